"""Tiny twins of HunyuanVideo 1.5's pipelines: the real classes of diffusers with random weights, for tests."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo15,
    ClassifierFreeGuidance,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15ImageToVideoPipeline,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
)
from transformers import (
    ByT5Tokenizer,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5EncoderModel,
)

from pipelines.models.twin_words import TEXT_WIDTH, qwen_sizes, qwen_tokenizer

_LATENT_CHANNELS = 4
_VISION_WIDTH = 16
_TARGET = 78
"""About 64 x 96 pixels."""


def build(kind: str = "text", *, seed: int = 0) -> HunyuanVideo15Pipeline | HunyuanVideo15ImageToVideoPipeline:
    """``text``: from words; ``image``: from a first frame."""
    torch.manual_seed(seed)
    parts: dict[str, Any] = {
        "text_encoder": _reader(),
        "tokenizer": qwen_tokenizer(),
        "transformer": _transformer(kind),
        "vae": _vae(),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=7.0),
        "text_encoder_2": _letters(),
        "tokenizer_2": ByT5Tokenizer(),
        "guider": ClassifierFreeGuidance(guidance_scale=6.0),
    }
    return HunyuanVideo15ImageToVideoPipeline(**parts, **_eyes()) if kind == "image" else HunyuanVideo15Pipeline(**parts)


def _reader() -> Qwen2_5_VLTextModel:
    return Qwen2_5_VLTextModel(Qwen2_5_VLTextConfig(**qwen_sizes())).eval()


def _letters() -> T5EncoderModel:
    sizes = dict(vocab_size=384, d_model=TEXT_WIDTH, d_kv=8, d_ff=64, num_layers=1, num_heads=2, decoder_start_token_id=0)
    return T5EncoderModel(T5Config(**sizes, feed_forward_proj="gated-gelu")).eval()


def _transformer(kind: str) -> HunyuanVideo15Transformer3DModel:
    own = _LATENT_CHANNELS
    return HunyuanVideo15Transformer3DModel(
        in_channels=2 * own + 1, out_channels=own, num_attention_heads=2, attention_head_dim=16, num_layers=2,
        num_refiner_layers=1, text_embed_dim=TEXT_WIDTH, text_embed_2_dim=TEXT_WIDTH, image_embed_dim=_VISION_WIDTH,
        rope_axes_dim=(2, 2, 12), target_size=_TARGET, task_type="i2v" if kind == "image" else "t2v",
    ).eval()  # fmt: skip


def _vae() -> AutoencoderKLHunyuanVideo15:
    return AutoencoderKLHunyuanVideo15(
        latent_channels=_LATENT_CHANNELS, block_out_channels=(8, 8, 8, 8, 8), layers_per_block=1
    ).eval()


def _eyes() -> dict[str, Any]:
    # 27 x 27 places: the pipeline counts on 729.
    config = SiglipVisionConfig(
        hidden_size=_VISION_WIDTH, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=54, patch_size=2
    )
    processor = SiglipImageProcessorPil(size={"height": 54, "width": 54})
    return {"image_encoder": SiglipVisionModel(config).eval(), "feature_extractor": processor}
