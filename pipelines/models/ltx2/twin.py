"""Tiny twins: the real LTX-2 classes with random weights at a size that runs in milliseconds, for tests and benchmarks.

Sizes hang together (see ``_check``): the audio VAE's width is the packed audio token, the connectors write the
transformer's widths, and both streams have the same number of heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKLLTX2Audio,
    AutoencoderKLLTX2Video,
    FlowMatchEulerDiscreteScheduler,
    LTX2Pipeline,
    LTX2VideoTransformer3DModel,
)
from diffusers.pipelines.ltx2 import LTX2LatentUpsamplerModel, LTX2TextConnectors, LTX2Vocoder
from transformers import (
    Gemma3TextConfig,
    Gemma3TextModel,
    Gemma4UnifiedConfig,
    Gemma4UnifiedForConditionalGeneration,
    Gemma4UnifiedTextConfig,
    GemmaTokenizer,
)

Layout = Literal["2.0", "2.3", "2.5"]


@dataclass(frozen=True)
class TwinSize:
    """Widths and depths of a twin; the default has 0.76 M parameters."""

    video_width: int = 32
    audio_width: int = 16
    heads: int = 2
    layers: int = 3
    latent_channels: int = 8
    text_width: int = 16
    text_layers: int = 1
    mel_bins: int = 16
    audio_channels: int = 2
    prompt_tokens: int = 64

    @property
    def audio_token(self) -> int:
        """Features of one packed audio token."""
        return self.audio_channels * (self.mel_bins // 4)


def build(layout: Layout, size: TwinSize | None = None, *, seed: int = 0) -> LTX2Pipeline:
    """A diffusers pipeline of tiny real components in the 2.0, 2.3 or 2.5 layout, its weights drawn from ``seed``."""
    size = size or TwinSize()
    tokenizer = _tokenizer(size)
    torch.manual_seed(seed)
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_shift=0.95,
        max_shift=2.05,
        base_image_seq_len=1024,
        max_image_seq_len=4096,
        shift_terminal=0.1,
    )
    return LTX2Pipeline(
        scheduler=scheduler,
        vae=AutoencoderKLLTX2Video(**_video_vae(size)).eval(),
        audio_vae=AutoencoderKLLTX2Audio(**_audio_vae(size)).eval(),
        text_encoder=_text_encoder(layout, size, len(tokenizer)).eval(),
        tokenizer=tokenizer,
        connectors=LTX2TextConnectors(**_connectors(layout, size)).eval(),
        transformer=LTX2VideoTransformer3DModel(**_transformer(layout, size)).eval(),
        vocoder=LTX2Vocoder(**_vocoder(size)).eval(),
    )


def _text_encoder(layout: Layout, size: TwinSize, vocabulary: int) -> Gemma3TextModel | Gemma4UnifiedForConditionalGeneration:
    shape = dict(
        vocab_size=vocabulary, hidden_size=size.text_width, intermediate_size=2 * size.text_width,
        num_hidden_layers=size.text_layers, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
        max_position_embeddings=2048, sliding_window=64,
    )  # fmt: skip
    if layout == "2.5":
        text = Gemma4UnifiedTextConfig(**shape, layer_types=["full_attention"] * size.text_layers)
        return Gemma4UnifiedForConditionalGeneration(Gemma4UnifiedConfig(text_config=text, vision_config=None, audio_config=None))
    return Gemma3TextModel(Gemma3TextConfig(**shape, query_pre_attn_scalar=16))


def latent_upsampler(size: TwinSize | None = None, *, seed: int = 0) -> LTX2LatentUpsamplerModel:
    """The net between two stages for a twin's latents, as small as its group norm allows; its folder is ``latent_upsampler``."""
    torch.manual_seed(seed)
    channels = (size or TwinSize()).latent_channels
    return LTX2LatentUpsamplerModel(in_channels=channels, mid_channels=32, num_blocks_per_stage=1).eval()


def _tokenizer(size: TwinSize) -> GemmaTokenizer:
    """Bytes and ASCII characters only: Gemma's tokenizer class with a whole vocabulary of 350 entries."""
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])}
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    for character in "▁" + "".join(map(chr, range(33, 127))):
        vocabulary.setdefault(character, len(vocabulary))
    return GemmaTokenizer(vocab=vocabulary, merges=[], model_max_length=size.prompt_tokens)


def _video_vae(size: TwinSize) -> dict[str, Any]:
    return dict(
        latent_channels=size.latent_channels, block_out_channels=(16, 32, 32, 32), layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True,) * 4, downsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
        decoder_block_out_channels=(8, 16, 32), decoder_layers_per_block=(1, 1, 1, 1), decoder_causal=False,
        decoder_spatial_padding_mode="zeros", patch_size=4, patch_size_t=1, spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    )  # fmt: skip


def _audio_vae(size: TwinSize) -> dict[str, Any]:
    return dict(
        base_channels=size.audio_token, ch_mult=(1, 2, 4), num_res_blocks=1, in_channels=2, output_channels=2,
        latent_channels=size.audio_channels, mel_bins=size.mel_bins, sample_rate=16000, mel_hop_length=160,
        norm_type="pixel", causality_axis="height",
    )  # fmt: skip


def _vocoder(size: TwinSize) -> dict[str, Any]:
    return dict(
        in_channels=2 * size.mel_bins, hidden_channels=32, out_channels=2, upsample_kernel_sizes=[16, 15, 8, 4, 4],
        upsample_factors=[6, 5, 2, 2, 2], resnet_kernel_sizes=[3], resnet_dilations=[[1, 3]], output_sampling_rate=24000,
    )  # fmt: skip


def _connectors(layout: Layout, size: TwinSize) -> dict[str, Any]:
    new = layout != "2.0"
    video, audio = (size.video_width, size.audio_width) if new else (size.text_width, size.text_width)
    return dict(
        caption_channels=size.text_width, text_proj_in_factor=size.text_layers + 1,
        video_connector_num_attention_heads=size.heads,
        video_connector_attention_head_dim=video // size.heads, audio_connector_num_attention_heads=size.heads,
        audio_connector_attention_head_dim=audio // size.heads, video_connector_num_layers=1, audio_connector_num_layers=1,
        video_connector_num_learnable_registers=8, audio_connector_num_learnable_registers=8, video_gated_attn=new,
        audio_gated_attn=new, rope_type="split" if new else "interleaved", per_modality_projections=new,
        video_hidden_dim=size.video_width, audio_hidden_dim=size.audio_width, proj_bias=new,
    )  # fmt: skip


def _transformer(layout: Layout, size: TwinSize) -> dict[str, Any]:
    new, newest = layout != "2.0", layout == "2.5"
    return dict(
        in_channels=size.latent_channels, out_channels=size.latent_channels, num_layers=size.layers,
        num_attention_heads=size.heads, attention_head_dim=size.video_width // size.heads, cross_attention_dim=size.video_width,
        audio_in_channels=size.audio_token, audio_out_channels=size.audio_token, audio_num_attention_heads=size.heads,
        audio_attention_head_dim=size.audio_width // size.heads, audio_cross_attention_dim=size.audio_width,
        caption_channels=size.text_width, rope_type="split" if new else "interleaved", vae_scale_factors=(8, 32, 32),
        use_prompt_embeddings=not new, gated_attn=new, audio_gated_attn=new, cross_attn_mod=new, audio_cross_attn_mod=new,
        perturbed_attn=new, ff_bias=not newest, use_prompt_adaln_single=not newest, use_keyframes_abs_pos_embedding=newest,
    )  # fmt: skip
