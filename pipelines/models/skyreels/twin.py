"""Tiny twins of SkyReels V2's pipelines: the real classes of diffusers with random weights, for tests."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    DiffusionPipeline,
    SkyReelsV2DiffusionForcingPipeline,
    SkyReelsV2ImageToVideoPipeline,
    SkyReelsV2Pipeline,
    SkyReelsV2Transformer3DModel,
    UniPCMultistepScheduler,
)
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from pipelines.models.twin_words import TEXT_WIDTH, t5_tokenizer, umt5
from pipelines.models.wan.twin import EYES, LATENT_CHANNELS, eye_sizes, wan_vae


def build(kind: str = "text", *, seed: int = 0) -> DiffusionPipeline:
    """``text``: from words; ``image``: from a first frame; ``forcing``: from either, in pieces."""
    torch.manual_seed(seed)
    parts: dict[str, Any] = {
        "tokenizer": t5_tokenizer(),
        "text_encoder": umt5(seed),
        "vae": wan_vae(),
        "scheduler": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0),
        "transformer": _transformer(kind),
    }
    if kind == "forcing":
        return SkyReelsV2DiffusionForcingPipeline(**parts)
    if kind == "text":
        return SkyReelsV2Pipeline(**parts)
    eyes = CLIPVisionModelWithProjection(CLIPVisionConfig(**eye_sizes(), projection_dim=16)).eval()
    return SkyReelsV2ImageToVideoPipeline(**parts, image_encoder=eyes, image_processor=CLIPImageProcessorPil(**EYES))


def _transformer(kind: str) -> SkyReelsV2Transformer3DModel:
    own = LATENT_CHANNELS
    seeing: dict[str, Any] = {"image_dim": eye_sizes()["hidden_size"], "added_kv_proj_dim": 32} if kind == "image" else {}
    return SkyReelsV2Transformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=2 * own + 4 if kind == "image" else own, out_channels=own,
        text_dim=TEXT_WIDTH, freq_dim=32, ffn_dim=64, num_layers=2, **seeing,
    ).eval()  # fmt: skip
