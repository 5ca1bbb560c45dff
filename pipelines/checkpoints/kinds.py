"""What a file of weights is, by the names of its tensors alone.

The marks are tensors that only this family has, in its makers' layout or in diffusers' (as ComfyUI's ``model_detection.py`` and
diffusers' ``single_file_utils.py`` tell them apart).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pipelines.checkpoints.header import Header
from pipelines.checkpoints.transformer import LTX2, layout_of

_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.", "net.")
_LORA_ENDINGS = (
    ".lora_A.weight", ".lora_A.default.weight", ".lora_down.weight", ".lora.down.weight", ".lokr_w1", ".hada_w1_a", ".dora_scale",
)  # fmt: skip


class Kind(StrEnum):
    """What a file is to a person who makes clips."""

    TRANSFORMER = "transformer"
    LORA = "LoRA"
    VAE = "VAE"
    TEXT_ENCODER = "text encoder"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Content:
    """What is in a file; ``family`` names whose it is, as its makers do, and is empty where that cannot be told."""

    kind: Kind
    family: str = ""


_MARKS: tuple[tuple[Kind, str, tuple[str, ...]], ...] = (
    (Kind.TRANSFORMER, "LTX-2", LTX2.marks),
    (Kind.TRANSFORMER, "LTX-Video", ("patchify_proj.weight", "adaln_single.linear.weight")),
    (Kind.TRANSFORMER, "LTX-Video", ("proj_in.weight", "time_embed.linear.weight", "caption_projection.linear_1.weight")),
    (Kind.TRANSFORMER, "Wan", ("patch_embedding.weight", "blocks.0.self_attn.q.weight")),
    (Kind.TRANSFORMER, "Wan", ("patch_embedding.weight", "blocks.0.attn1.to_q.weight")),
    (Kind.TRANSFORMER, "HunyuanVideo", ("txt_in.individual_token_refiner.blocks.0.self_attn.qkv.weight",)),
    (Kind.TRANSFORMER, "HunyuanVideo", ("txt_in.individual_token_refiner.blocks.0.self_attn_qkv.weight",)),
    (Kind.TRANSFORMER, "HunyuanVideo", ("context_embedder.token_refiner.refiner_blocks.0.attn.to_q.weight",)),
    (Kind.TRANSFORMER, "CogVideoX", ("patch_embed.text_proj.weight",)),
    (Kind.TRANSFORMER, "FLUX", ("double_blocks.0.img_attn.qkv.weight",)),
    (Kind.TRANSFORMER, "FLUX", ("single_transformer_blocks.0.proj_mlp.weight", "x_embedder.weight")),
    (Kind.TRANSFORMER, "Qwen-Image", ("txt_norm.weight", "transformer_blocks.0.attn.add_q_proj.weight")),
    (Kind.TRANSFORMER, "Stable Diffusion 3", ("joint_blocks.0.x_block.attn.qkv.weight",)),
    (Kind.TRANSFORMER, "Stable Diffusion XL", ("input_blocks.0.0.weight", "label_emb.0.0.weight")),
    (Kind.TRANSFORMER, "Stable Diffusion", ("input_blocks.0.0.weight",)),
    (Kind.VAE, "LTX-2 sound", ("decoder.mid.block_1.conv1.conv.weight", "latents_mean")),
    (Kind.VAE, "LTX-2", ("decoder.conv_in.conv.weight", "latents_mean")),
    (Kind.VAE, "LTX-2", ("decoder.conv_in.conv.weight", "per_channel_statistics.mean-of-means")),
    (Kind.VAE, "LTX-2", ("vae.per_channel_statistics.mean-of-means",)),
    (Kind.VAE, "LTX-2 sound", ("audio_vae.per_channel_statistics.mean-of-means",)),
    (Kind.VAE, "Wan", ("decoder.conv1.weight", "decoder.middle.0.residual.0.gamma")),
    (Kind.VAE, "Stable Diffusion or FLUX", ("decoder.conv_in.weight", "decoder.mid.block_1.norm1.weight")),
    (Kind.VAE, "Stable Diffusion or FLUX", ("decoder.conv_in.weight", "decoder.mid_block.resnets.0.norm1.weight")),
    (Kind.TEXT_ENCODER, "T5", ("shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight")),
    (Kind.TEXT_ENCODER, "T5", ("token_embd.weight", "enc.blk.0.attn_q.weight")),
    (Kind.TEXT_ENCODER, "CLIP", ("text_model.encoder.layers.0.self_attn.q_proj.weight",)),
    (Kind.TEXT_ENCODER, "Gemma", ("model.layers.0.pre_feedforward_layernorm.weight",)),
    (Kind.TEXT_ENCODER, "Gemma", ("layers.0.pre_feedforward_layernorm.weight",)),
    (Kind.TEXT_ENCODER, "Gemma", ("blk.0.attn_q.weight", "blk.0.post_ffw_norm.weight")),
    (Kind.TEXT_ENCODER, "Gemma", ("language_model.model.layers.0.pre_feedforward_layernorm.weight",)),
    (Kind.TEXT_ENCODER, "a language model", ("model.layers.0.self_attn.q_proj.weight",)),
    (Kind.TEXT_ENCODER, "a language model", ("blk.0.attn_q.weight", "token_embd.weight")),
)
"""The first that fits counts: marks of a family lie before those of its kin that has fewer."""


def content_of(header: Header) -> Content:
    """What the file with this header is. A checkpoint of several parts is what its transformer is."""
    if any(name.endswith(_LORA_ENDINGS) for name in header.tensors):
        return Content(Kind.LORA)
    if (found := layout_of(header)) is not None:
        return Content(Kind.TRANSFORMER, found[0].family)
    names = set(header.tensors)
    for prefix in _PREFIXES:
        names |= {name.removeprefix(prefix) for name in header.tensors}
    for kind, family, marks in _MARKS:
        if names.issuperset(marks):
            return Content(kind, family)
    return Content(Kind.UNKNOWN)
