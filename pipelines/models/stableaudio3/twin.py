"""A tiny twin of Stable Audio 3's pipeline: the real classes of diffusers with random weights, for tests."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderSAME, FlowMatchEulerDiscreteScheduler, StableAudio3DiTModel, StableAudio3Pipeline
from diffusers.pipelines.stable_audio_3 import StableAudio3DurationEmbedder
from torch import nn
from transformers import T5GemmaConfig, T5GemmaEncoderModel, T5GemmaModuleConfig

from pipelines.models.twin_words import TEXT_WIDTH, gemma_tokenizer

_LATENTS = 8


def build(kind: str = "distilled", *, seed: int = 0) -> StableAudio3Pipeline:
    """``distilled``: a few steps without guidance; ``base``: with it."""
    torch.manual_seed(seed)
    return StableAudio3Pipeline(
        vae=_vae(),
        text_encoder=_reader(),
        tokenizer=gemma_tokenizer(),
        duration_embedder=StableAudio3DurationEmbedder(output_dim=TEXT_WIDTH, fourier_dim=16, max_val=12.0).eval(),
        transformer=_transformer(),
        scheduler=FlowMatchEulerDiscreteScheduler(stochastic_sampling=kind == "distilled"),
    )


def _transformer() -> StableAudio3DiTModel:
    return _awake(
        StableAudio3DiTModel(
            io_channels=_LATENTS, embed_dim=32, depth=2, num_heads=2, cond_token_dim=TEXT_WIDTH, global_cond_dim=TEXT_WIDTH,
            local_add_cond_dim=_LATENTS + 1, timestep_features_dim=16, num_memory_tokens=2,
        )
    )  # fmt: skip


def _vae() -> AutoencoderSAME:
    return _awake(
        AutoencoderSAME(
            patch_size=64, encoder_channels=16, encoder_c_mults=(2,), encoder_strides=(4,), encoder_transformer_depths=(2,),
            latent_dim=_LATENTS, dim_heads=16, sampling_rate=8000,
        )
    )  # fmt: skip


def _awake(network: Any) -> Any:
    """``network`` with weights in place of what begins as nothing, which would hide what comes before it."""
    for weight in network.parameters():
        if weight.abs().max() < 1e-3:
            nn.init.normal_(weight, std=0.1)
    return network.eval()


def _reader() -> T5GemmaEncoderModel:
    sizes = T5GemmaModuleConfig(
        vocab_size=len(gemma_tokenizer()), hidden_size=TEXT_WIDTH, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16,
    )  # fmt: skip
    return T5GemmaEncoderModel(T5GemmaConfig(encoder=sizes, decoder=sizes, is_encoder_decoder=False)).eval()
