"""Tiny twins of Wan's pipelines: the real classes of diffusers with random weights, for tests."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanAnimatePipeline,
    WanAnimateTransformer3DModel,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from pipelines.models.twin_words import TEXT_WIDTH, t5_tokenizer, umt5

LATENT_CHANNELS = 4
_VISION_WIDTH = 16
FACE = 16
"""Height and width of the faces that a character takes on."""
EYES: dict[str, Any] = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
"""What pictures are cut to for them."""


def build(kind: str = "text", *, seed: int = 0) -> WanPipeline | WanImageToVideoPipeline | WanVACEPipeline | WanAnimatePipeline:
    """Wan 2.1 from words (``text``) or a picture (``image``), editing (``vace``); 2.2: ``both``, ``pair`` and ``animate``."""
    torch.manual_seed(seed)
    parts: dict[str, Any] = {
        "tokenizer": t5_tokenizer(),
        "text_encoder": umt5(seed),
        "vae": wan_vae(),
        "scheduler": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        "transformer": _transformer(kind),
    }
    if kind == "image":
        return WanImageToVideoPipeline(**parts, **_eyes())
    if kind == "animate":
        return WanAnimatePipeline(**parts, **_eyes())
    if kind == "vace":
        return WanVACEPipeline(**parts)
    if kind == "pair":
        return WanPipeline(**parts, transformer_2=_transformer(kind), boundary_ratio=0.875)
    return WanPipeline(**parts, expand_timesteps=kind == "both")


def _transformer(kind: str) -> WanTransformer3DModel | WanVACETransformer3DModel | WanAnimateTransformer3DModel:
    own = LATENT_CHANNELS
    sizes: dict[str, Any] = {
        "num_attention_heads": 2, "attention_head_dim": 16, "text_dim": TEXT_WIDTH, "freq_dim": 32, "ffn_dim": 64,
        "num_layers": 2,
    }  # fmt: skip
    if kind == "vace":
        # Of what is given the kept and the masked part, and a mask for each of the 64 pixels of a cell.
        masked = {"vace_layers": [0, 1], "vace_in_channels": 2 * own + 64}
        return WanVACETransformer3DModel(in_channels=own, out_channels=own, **masked, **sizes).eval()
    if kind == "animate":
        acting: dict[str, Any] = {
            "in_channels": 2 * own + 4, "latent_channels": own, "image_dim": _VISION_WIDTH, "added_kv_proj_dim": 32,
            "motion_encoder_channel_sizes": {str(side): 8 for side in (4, 8, 16)}, "motion_encoder_size": FACE,
            "motion_style_dim": 16, "motion_dim": 4, "motion_encoder_dim": 16, "face_encoder_hidden_dim": 16,
            "face_encoder_num_heads": 2, "inject_face_latents_blocks": 2,
        }  # fmt: skip
        return WanAnimateTransformer3DModel(out_channels=own, **acting, **sizes).eval()
    seeing: dict[str, Any] = {"image_dim": _VISION_WIDTH, "added_kv_proj_dim": 32} if kind == "image" else {}
    # Beside the noise: the first frame's latents, and four masks.
    return WanTransformer3DModel(in_channels=2 * own + 4 if kind == "image" else own, out_channels=own, **sizes, **seeing).eval()


def wan_vae() -> AutoencoderKLWan:
    """Wan's VAE, which SkyReels has too."""
    return AutoencoderKLWan(
        base_dim=4, z_dim=LATENT_CHANNELS, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * LATENT_CHANNELS,
        latents_std=[1.0] * LATENT_CHANNELS,
    ).eval()  # fmt: skip


def eye_sizes() -> dict[str, int]:
    """Two narrow layers of CLIP's eyes."""
    depth = {"num_hidden_layers": 2, "num_attention_heads": 2}
    return {"hidden_size": _VISION_WIDTH, "intermediate_size": 32, "image_size": 32, "patch_size": 16, **depth}


def _eyes() -> dict[str, Any]:
    eyes = CLIPVisionModel(CLIPVisionConfig(**eye_sizes())).eval()
    return {"image_encoder": eyes, "image_processor": CLIPImageProcessorPil(**EYES)}
