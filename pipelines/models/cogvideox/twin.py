"""Tiny twins of CogVideoX's pipelines: the real classes of diffusers with random weights, for tests."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)

from pipelines.models.twin_words import TEXT_WIDTH, t5, t5_tokenizer

_LATENT_CHANNELS = 4


def build(kind: str = "text", *, seed: int = 0) -> CogVideoXPipeline | CogVideoXImageToVideoPipeline:
    """``text``: the 2 B model's layout; ``new``: that of 1.5, from words; ``image``: of 1.5, from a first frame."""
    torch.manual_seed(seed)
    schedule = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    parts: dict[str, Any] = {
        "tokenizer": t5_tokenizer(),
        "text_encoder": t5(seed),
        "vae": _vae(),
        "scheduler": (CogVideoXDDIMScheduler if kind == "text" else CogVideoXDPMScheduler)(**schedule),
        "transformer": _transformer(kind),
    }
    return CogVideoXImageToVideoPipeline(**parts) if kind == "image" else CogVideoXPipeline(**parts)


def _transformer(kind: str) -> CogVideoXTransformer3DModel:
    own = _LATENT_CHANNELS
    layout: dict[str, Any] = (
        {} if kind == "text" else {"patch_size_t": 2, "use_rotary_positional_embeddings": True, "patch_bias": False}
    )
    return CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=2 * own if kind == "image" else own, out_channels=own,
        text_embed_dim=TEXT_WIDTH, time_embed_dim=16, num_layers=2, sample_width=90, sample_height=60, max_text_seq_length=226,
        **layout,
    ).eval()  # fmt: skip


def _vae() -> AutoencoderKLCogVideoX:
    return AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8), latent_channels=_LATENT_CHANNELS, layers_per_block=1, norm_num_groups=2
    ).eval()
