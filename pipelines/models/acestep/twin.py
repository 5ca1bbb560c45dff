"""A tiny twin of ACE-Step 1.5's pipeline: the real classes of diffusers with random weights, for tests."""

from __future__ import annotations

import torch
from diffusers import AceStepPipeline, AceStepTransformer1DModel, AutoencoderOobleck, FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.ace_step import AceStepConditionEncoder
from transformers import Qwen3Config, Qwen3Model

from pipelines.models.twin_words import TEXT_WIDTH, qwen_tokenizer

_LATENTS = 8
_HEADS = dict(num_attention_heads=2, num_key_value_heads=1, head_dim=16, sliding_window=16)


def build(kind: str = "turbo", *, seed: int = 0) -> AceStepPipeline:
    """``turbo``: a few steps without guidance; ``base``: with it."""
    torch.manual_seed(seed)
    return AceStepPipeline(
        vae=_vae(),
        text_encoder=_reader(),
        tokenizer=qwen_tokenizer(),
        transformer=_transformer(is_turbo=kind == "turbo"),
        condition_encoder=_conditions(),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )


def _transformer(is_turbo: bool) -> AceStepTransformer1DModel:
    return AceStepTransformer1DModel(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, in_channels=3 * _LATENTS, audio_acoustic_hidden_dim=_LATENTS,
        is_turbo=is_turbo, model_version="turbo" if is_turbo else "base", **_HEADS,
    ).eval()  # fmt: skip


def _conditions() -> AceStepConditionEncoder:
    return AceStepConditionEncoder(
        hidden_size=32, intermediate_size=64, text_hidden_dim=TEXT_WIDTH, timbre_hidden_dim=_LATENTS,
        num_lyric_encoder_hidden_layers=1, num_timbre_encoder_hidden_layers=1, **_HEADS,
    ).eval()  # fmt: skip


def _vae() -> AutoencoderOobleck:
    return AutoencoderOobleck(
        encoder_hidden_size=8, downsampling_ratios=[4, 8, 10], channel_multiples=[1, 2, 4], decoder_channels=8,
        decoder_input_channels=_LATENTS, sampling_rate=8000,
    ).eval()  # fmt: skip


def _reader() -> Qwen3Model:
    words = qwen_tokenizer()
    return Qwen3Model(
        Qwen3Config(
            vocab_size=len(words), hidden_size=TEXT_WIDTH, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, head_dim=16,
        )
    ).eval()  # fmt: skip
