"""A tiny twin of Kandinsky 6's pipeline: the real classes of diffusers with random weights, for tests."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo,
    FlowMatchEulerDiscreteScheduler,
    Kandinsky6TI2VAPipeline,
    Kandinsky6Transformer3DModel,
    MMAudioVAE,
    MMAudioVocoder,
)
from transformers import CLIPTextConfig, CLIPTextModel, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from pipelines.models.twin_words import TEXT_WIDTH, clip_tokenizer, qwen_sizes, qwen_tokenizer

_LATENT_CHANNELS = 4
_AUDIO_CHANNELS = 4
_MELS = 16
_POOLED_WIDTH = 16


def build(kind: str = "both", *, seed: int = 0) -> Kandinsky6TI2VAPipeline:
    """``both``: with sound, from words or a first frame; ``silent``: without sound, from words alone."""
    torch.manual_seed(seed)
    return Kandinsky6TI2VAPipeline(
        transformer=_transformer(kind),
        vae=_vae(),
        text_encoder=_reader(),
        tokenizer=qwen_tokenizer(),
        text_encoder_2=_pooled(),
        tokenizer_2=clip_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        audio_vae=None if kind == "silent" else _audio_vae(),
        vocoder=None if kind == "silent" else _vocoder(),
    )


def as_released(folder: Path) -> None:
    """Name the processor in a saved twin's index, as the released one does: making it takes torchvision."""
    file = folder / "model_index.json"
    index = json.loads(file.read_text(encoding="utf-8")) | {"tokenizer": ["transformers", "Qwen2_5_VLProcessor"]}
    file.write_text(json.dumps(index, indent=1), encoding="utf-8")


def _transformer(kind: str) -> Kandinsky6Transformer3DModel:
    return Kandinsky6Transformer3DModel(
        in_visual_dim=_LATENT_CHANNELS, out_visual_dim=_LATENT_CHANNELS, in_text_dim=TEXT_WIDTH, in_text_dim2=_POOLED_WIDTH,
        time_dim=16, model_dim=32, ff_dim=64, num_text_blocks=1, num_visual_blocks=2, axes_dims=(4, 6, 6),
        in_audio_dim=_AUDIO_CHANNELS, out_audio_dim=_AUDIO_CHANNELS,
        visual_token_type_num_embeddings=0 if kind == "silent" else 2,
    ).eval()  # fmt: skip


def _vae() -> AutoencoderKLHunyuanVideo:
    return AutoencoderKLHunyuanVideo(
        latent_channels=_LATENT_CHANNELS, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2
    ).eval()


def _reader() -> Qwen2_5_VLForConditionalGeneration:
    eyes = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": TEXT_WIDTH}
    config = Qwen2_5_VLConfig(text_config=qwen_sizes(), vision_config={**eyes, "fullatt_block_indexes": (0,)})
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def _pooled() -> CLIPTextModel:
    words = clip_tokenizer()
    sizes = dict(hidden_size=_POOLED_WIDTH, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    ends = dict(bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id)
    return CLIPTextModel(CLIPTextConfig(vocab_size=len(words), max_position_embeddings=77, **sizes, **ends)).eval()


def _audio_vae() -> MMAudioVAE:
    return MMAudioVAE(
        mel_bins=_MELS, latent_channels=_AUDIO_CHANNELS, hidden_channels=16, channel_multipliers=(1, 1, 1), layers_per_block=1
    ).eval()


def _vocoder() -> MMAudioVocoder:
    return MMAudioVocoder(
        num_mels=_MELS, upsample_initial_channel=64, resblock_kernel_sizes=(3,), resblock_dilation_sizes=((1, 3, 5),)
    ).eval()
