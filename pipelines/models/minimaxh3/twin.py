"""A tiny twin of MiniMax-H3's parts: the real classes of diffusers with random weights, for tests."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKLMiniMaxH3, AutoencoderKLMiniMaxH3Audio, MiniMaxH3Scheduler, MiniMaxH3Transformer3DModel
from transformers import Qwen2Tokenizer, Qwen2VLImageProcessorPil, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from pipelines.models.twin_words import TEXT_WIDTH, qwen_tokenizer

_LATENTS = 4
_DEPTH = 51
"""Of the reader: the blocks take what it says after 50 layers."""


def save(folder: Path, *, seed: int = 0, transformer: str = "transformer") -> None:
    """Write a folder as the released one is laid out, with one of its two transformers: ``transformer_ref`` is the other."""
    torch.manual_seed(seed)
    words = _words()
    parts = {
        "text_encoder": _reader(words),
        transformer: _transformer(),
        "vae": _vae(),
        "audio_vae": _audio_vae(),
        "scheduler": MiniMaxH3Scheduler(shift=12.0),
        "audio_scheduler": MiniMaxH3Scheduler(shift=3.0),
        "tokenizer": words,
        "processor": Qwen2VLImageProcessorPil(patch_size=4, temporal_patch_size=2, merge_size=2, size=_PICTURE),
    }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    index = {"_class_name": "MiniMaxH3ModularPipeline", "_blocks_class_name": "MiniMaxH3Blocks", "reference_image_short_edge": 32}
    (folder / "modular_model_index.json").write_text(json.dumps(index), encoding="utf-8")


_PICTURE = {"shortest_edge": 16 * 16, "longest_edge": 32 * 32}


def _words() -> Qwen2Tokenizer:
    words = qwen_tokenizer()
    words.add_tokens(["<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>"], special_tokens=True)
    return words


def _reader(words: Qwen2Tokenizer) -> Qwen3VLForConditionalGeneration:
    heads = dict(num_attention_heads=2, num_key_value_heads=1, head_dim=16)
    text = dict(vocab_size=len(words), hidden_size=TEXT_WIDTH, intermediate_size=32, num_hidden_layers=_DEPTH, **heads)
    eyes = dict(
        depth=1, hidden_size=16, intermediate_size=32, num_heads=2, out_hidden_size=TEXT_WIDTH, patch_size=4,
        deepstack_visual_indexes=[0], num_position_embeddings=16,
    )  # fmt: skip
    turning = {"rope_type": "default", "mrope_section": [2, 3, 3], "mrope_interleaved": True}
    ids = {f"{name}_token_id": words.convert_tokens_to_ids(f"<|{name}_pad|>") for name in ("image", "video")}
    ids |= {f"vision_{name}_token_id": words.convert_tokens_to_ids(f"<|vision_{name}|>") for name in ("start", "end")}
    config = Qwen3VLConfig(text_config=text | {"rope_parameters": turning}, vision_config=eyes, **ids)
    return Qwen3VLForConditionalGeneration(config).eval()


def _transformer() -> MiniMaxH3Transformer3DModel:
    return MiniMaxH3Transformer3DModel(
        num_attention_heads=2, attention_head_dim=32, hidden_size=32, num_layers=2, num_refiner_layers=1, ffn_dim=64,
        in_channels=_LATENTS, audio_in_channels=_LATENTS, text_dim=TEXT_WIDTH, freq_dim=16, time_embed_hidden_dim=32,
        time_embed_dim=16, rope_freq_dim=4,
    ).eval()  # fmt: skip


def _vae() -> AutoencoderKLMiniMaxH3:
    return AutoencoderKLMiniMaxH3(
        latent_channels=_LATENTS, block_out_channels=(8,) * 6, layers_per_block=1, norm_num_groups=2, decoder_num_layers=1,
        decoder_num_attention_heads=2, decoder_attention_head_dim=16, latents_mean=(0.0,) * _LATENTS,
        latents_std=(1.0,) * _LATENTS,
    ).eval()  # fmt: skip


def _audio_vae() -> AutoencoderKLMiniMaxH3Audio:
    return AutoencoderKLMiniMaxH3Audio(
        encoder_dim=4, encoder_rates=(4, 10, 5), latent_dim=16, latent_channels=_LATENTS, num_attention_heads=2, decoder_dim=16,
        decoder_rates=(10, 5, 4), decoder_kernel_sizes=(20, 9, 8), resblock_kernel_sizes=(3,),
        resblock_dilation_sizes=((1, 3, 5),), sampling_rate=8000, latents_mean=[0.0] * _LATENTS, latents_std=[1.0] * _LATENTS,
    ).eval()  # fmt: skip
