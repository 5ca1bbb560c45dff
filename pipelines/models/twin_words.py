"""Tokenizers and text encoders that the tiny twins of several families share: real classes, a vocabulary of characters."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import (
    CLIPTokenizer,
    GemmaTokenizer,
    Qwen2Tokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

TEXT_WIDTH = 32
_SPECIAL = ("<pad>", "</s>", "<unk>", "▁")


def t5_tokenizer() -> T5Tokenizer:
    """T5's own class over ASCII characters."""
    words = [*_SPECIAL, *map(chr, range(33, 127))]
    return T5Tokenizer(vocab=[(word, -1.0) for word in words], extra_ids=0, model_max_length=512)


def gemma_tokenizer() -> GemmaTokenizer:
    """Gemma's own class over ASCII characters."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *map(chr, range(33, 127))]
    vocabulary = {word: index for index, word in enumerate(words)}
    return GemmaTokenizer(vocab=vocabulary, merges=[], padding_side="right", model_max_length=256)


def _sizes() -> dict[str, Any]:
    return dict(
        vocab_size=128, d_model=TEXT_WIDTH, d_kv=8, d_ff=64, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )  # fmt: skip


def umt5(seed: int) -> UMT5EncoderModel:
    """One layer of UMT5."""
    torch.manual_seed(seed)
    return UMT5EncoderModel(UMT5Config(**_sizes())).eval()


def t5(seed: int) -> T5EncoderModel:
    """One layer of T5."""
    torch.manual_seed(seed)
    return T5EncoderModel(T5Config(**_sizes())).eval()


def qwen_sizes() -> dict[str, Any]:
    """Three narrow layers of Qwen 2.5 VL's reader, over the words of ``qwen_tokenizer``."""
    return dict(
        vocab_size=len(qwen_tokenizer()), hidden_size=TEXT_WIDTH, intermediate_size=64, num_hidden_layers=3,
        num_attention_heads=2, num_key_value_heads=1, bos_token_id=1, eos_token_id=2,
        rope_parameters={"rope_type": "default", "mrope_section": [2, 3, 3]},
    )  # fmt: skip


def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's own class over bytes, each also as the end of a word."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return CLIPTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77)


def qwen_tokenizer() -> Qwen2Tokenizer:
    """Qwen 2's own class over bytes, with its way of writing talks."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    words = {letter: index for index, letter in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(letters)])}
    tokenizer = Qwen2Tokenizer(vocab=words, merges=[], extra_special_tokens=["<|im_start|>", "<|im_end|>"])
    tokenizer.chat_template = (
        "{% for turn in messages %}<|im_start|>{{ turn['role'] }}\n{{ turn['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return tokenizer
