"""Tiny twins of language and text-image models: the real classes of transformers and real tokenizers, trained here in seconds.

They know one or two sentences each, by heart: enough to see that a prompt goes in as it should and comes out as it must.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPConfig,
    CLIPModel,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    NllbTokenizer,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    SiglipTokenizer,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

CHAT = (
    "{% for turn in messages %}<|{{ turn['role'] }}|>{{ turn['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_ROLES = ["<|system|>", "<|user|>", "<|assistant|>"]


def byte_tokenizer(texts: Iterable[str], size: int = 1200) -> PreTrainedTokenizerFast:
    """Byte-level BPE that has seen ``texts``."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "<s>", "</s>", *_ROLES]
    raw.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet))
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def fit(network: Any, batch: Mapping[str, torch.Tensor], steps: int = 300, good: float = 0.02) -> None:
    """Learn ``batch`` by heart."""
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    network.train()
    for _ in range(steps):
        loss = network(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < good:
            break
    network.eval()


def instruction_twin(folder: Path, talks: Sequence[tuple[str, str, str]], template: str | None = CHAT) -> Path:
    """A Llama of two layers that answers each (system, user, answer) with the answer."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer([text for talk in talks for text in talk])
    tokenizer.chat_template = template
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    network = LlamaForCausalLM(config)
    rows = []
    for system, user, answer in talks:
        turns = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        begin = tokenizer.apply_chat_template(turns, chat_template=CHAT, add_generation_prompt=True, return_dict=True)[
            "input_ids"
        ]
        end = [*tokenizer(answer)["input_ids"], 2]
        rows.append((begin + end, [-100] * len(begin) + end))
    longest = max(len(tokens) for tokens, _ in rows)
    filled = [(tokens + [0] * (longest - len(tokens)), labels + [-100] * (longest - len(labels))) for tokens, labels in rows]
    batch = {"input_ids": torch.tensor([row for row, _ in filled]), "labels": torch.tensor([row for _, row in filled])}
    fit(network, batch)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _pieces(folder: Path, name: str, lines: Sequence[str], size: int) -> list[str]:
    """A real SentencePiece model at ``folder/name``; its pieces."""
    held = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=held, vocab_size=size, model_type="bpe", hard_vocab_limit=False, minloglevel=2
    )
    (folder / name).write_bytes(held.getvalue())
    read = sentencepiece.SentencePieceProcessor(model_proto=held.getvalue())
    return [read.id_to_piece(index) for index in range(read.get_piece_size())]


def _vocabulary(folder: Path, tokens: Iterable[str]) -> dict[str, int]:
    found = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(found), encoding="utf-8")
    return found


_SIZES: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64, "dropout": 0.0, "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0, "attention_dropout": 0.0,
}  # fmt: skip


def _learn(network: Any, tokenizer: Any, pairs: Sequence[tuple[str, str]], folder: Path) -> Path:
    batch = tokenizer([a for a, _ in pairs], text_target=[b for _, b in pairs], return_tensors="pt", padding=True)
    labels = batch["labels"].masked_fill(batch["labels"] == tokenizer.pad_token_id, -100)
    fit(network, {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "labels": labels})
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def marian_twin(folder: Path, pairs: Sequence[tuple[str, str]], source: str = "fr", target: str = "en") -> Path:
    """A Marian model of one layer each way that knows ``pairs`` by heart."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    foreign = _pieces(folder, "source.spm", [a for a, _ in pairs], 60)
    english = _pieces(folder, "target.spm", [b for _, b in pairs], 60)
    tokens = _vocabulary(folder, ["</s>", "<unk>", *foreign, *english, "<pad>"])
    names = [str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")]
    tokenizer = MarianTokenizer(*names, source_lang=source, target_lang=target)
    pad = tokens["<pad>"]
    config = MarianConfig(
        vocab_size=len(tokens), pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0, **_SIZES
    )
    return _learn(MarianMTModel(config), tokenizer, pairs, folder)


def m2m100_twin(folder: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    """An M2M100 model of one layer each way that knows ``pairs`` (French, English) by heart."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _pieces(folder, "sentencepiece.bpe.model", [text for pair in pairs for text in pair], 100)
    _vocabulary(folder, ["<s>", "<pad>", "</s>", "<unk>", *pieces])
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"), src_lang="fr", tgt_lang="en")
    config = M2M100Config(vocab_size=max(tokenizer.lang_token_to_id.values()) + 9, **_SIZES)
    return _learn(M2M100ForConditionalGeneration(config), tokenizer, pairs, folder)


def nllb_twin(folder: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    """The same with NLLB's tokenizer and its codes of languages."""
    torch.manual_seed(0)
    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    raw.train_from_iterator(
        [text for pair in pairs for text in pair], trainers.BpeTrainer(vocab_size=120, special_tokens=special)
    )
    held = json.loads(raw.to_str())["model"]
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in held["merges"]]
    tokenizer = NllbTokenizer(vocab=held["vocab"], merges=merges, src_lang="fra_Latn", tgt_lang="eng_Latn")
    return _learn(M2M100ForConditionalGeneration(M2M100Config(vocab_size=len(tokenizer), **_SIZES)), tokenizer, pairs, folder)


_TOWER: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}


def clip_twin(folder: Path) -> Path:
    """A CLIP of one layer each side with random weights; its texts end after 16 tokens."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer(["a red ball bouncing on grass", "a blue star at night"], 400)
    ends = [("<s>", 1), ("</s>", 2)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    vision = {**_TOWER, "image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config={**_TOWER, **text}, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def siglip_twin(folder: Path) -> Path:
    """A SigLIP of one layer each side with random weights and SigLIP's own tokenizer."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    _pieces(folder, "spiece.model", ["a red ball bouncing on grass", "a blue star at night"], 60)
    tokenizer = SiglipTokenizer(str(folder / "spiece.model"))
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "pad_token_id": 1, "projection_size": 32}
    vision = {**_TOWER, "image_size": 32, "patch_size": 16}
    SiglipModel(SiglipConfig(text_config={**_TOWER, **text}, vision_config=vision)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def gemma_twin(folder: Path) -> Path:
    """A Gemma 3 with eyes, the class that LTX-2 names as its enhancer, at one layer each and with random weights."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer(["user prompt: a red fox"], 400)
    tokenizer.chat_template = CHAT
    text = {
        **_TOWER, "vocab_size": len(tokenizer), "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 1024,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    vision = {**_TOWER, "image_size": 32, "patch_size": 16}
    Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision, eos_token_id=2)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
