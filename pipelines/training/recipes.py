"""Recipes: one function each, returning the complete typed configuration of a model and its training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video, FlowMatchEulerDiscreteScheduler, LTX2VideoTransformer3DModel
from diffusers.pipelines.ltx2 import LTX2TextConnectors, LTX2Vocoder
from transformers import Gemma3TextConfig, Gemma3TextModel

from pipelines.mel import Mel
from pipelines.models.upscaler import FrameUpscaler


@dataclass(frozen=True)
class Optimization:
    """One stage's optimiser: peak learning rate, batch, and the half-life of the averaged weights in steps."""

    learning_rate: float
    batch_size: int
    ema_decay: float = 0.998
    warmup_steps: int = 100
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Recipe:
    """A small LTX-2.3 model. Widths hang together as the properties say."""

    size: int = 128
    num_frames: int = 25
    frame_rate: float = 12.0
    sound: Mel = field(default_factory=Mel)
    video_latent_channels: int = 72
    vae_width: int = 96
    audio_latent_channels: int = 1
    vocoder_width: int = 128
    upscaler_width: int = 64
    upscaler_blocks: int = 4
    video_width: int = 192
    audio_width: int = 96
    heads: int = 4
    layers: int = 6
    text_width: int = 128
    text_layers: int = 2
    prompt_tokens: int = 64
    video_vae: Optimization = Optimization(learning_rate=1e-4, batch_size=2)
    audio_vae: Optimization = Optimization(learning_rate=1.5e-3, batch_size=8)
    vocoder: Optimization = Optimization(learning_rate=1.5e-3, batch_size=8)
    transformer: Optimization = Optimization(learning_rate=2e-3, batch_size=32)
    upscaler: Optimization = Optimization(learning_rate=2e-3, batch_size=16, weight_decay=0.0)
    picture_reader: Optimization = Optimization(learning_rate=1.5e-3, batch_size=8)
    subject_reader: Optimization = Optimization(learning_rate=2e-3, batch_size=64)
    sound_reader: Optimization = Optimization(learning_rate=2e-3, batch_size=24)
    sync_reader: Optimization = Optimization(learning_rate=2e-3, batch_size=16)

    @property
    def duration_s(self) -> float:
        """Seconds of a clip."""
        return self.num_frames / self.frame_rate

    @property
    def audio_latent_frames(self) -> int:
        """Audio tokens of a clip; the audio VAE halves time twice."""
        return round(self.duration_s * self.sound.sample_rate / self.sound.hop_length / 4)

    @property
    def mel_frames(self) -> int:
        """Spectrogram frames of a clip; the causal VAE counts its first frame once."""
        return 4 * self.audio_latent_frames - 3

    @property
    def audio_token(self) -> int:
        """Features of one packed audio token."""
        return self.audio_latent_channels * self.sound.mel_bins // 4


def pocket() -> Recipe:
    """The embedded model."""
    return Recipe()


def build_video_vae(recipe: Recipe) -> AutoencoderKLLTX2Video:
    """32x32 pixels and 4 frames a cell. The encoder is a linear map, so the weights go where pictures are made.

    Widths of the encoder are the least at which its steps lose nothing that the latents could hold; their number has to be a
    multiple of 3.
    """
    wide, latent = recipe.vae_width, recipe.video_latent_channels
    return AutoencoderKLLTX2Video(
        latent_channels=latent, block_out_channels=(latent * 2 // 3,) * 3 + (latent * 4 // 3,),
        down_block_types=("LTX2VideoDownBlock3D",) * 4, layers_per_block=(0,) * 5, spatio_temporal_scaling=(True,) * 4,
        downsample_type=("spatial", "temporal", "temporal", "spatial"),
        decoder_block_out_channels=(wide, wide, wide, 2 * wide), decoder_layers_per_block=(4, 2, 1, 2, 0),
        decoder_spatio_temporal_scaling=(True,) * 4, decoder_inject_noise=(False,) * 5, decoder_causal=False,
        decoder_spatial_padding_mode="zeros", upsample_residual=(True,) * 4, upsample_factor=(2, 1, 1, 2),
        upsample_type=("spatial", "temporal", "temporal", "spatial"), patch_size=8, patch_size_t=1,
        spatial_compression_ratio=32, temporal_compression_ratio=4,
    )  # fmt: skip


def build_audio_vae(recipe: Recipe) -> AutoencoderKLLTX2Audio:
    """Mono mel spectrograms; diffusers ties the width to the packed token."""
    sound = recipe.sound
    return AutoencoderKLLTX2Audio(
        base_channels=recipe.audio_token, ch_mult=(1, 2, 4), num_res_blocks=2, in_channels=1, output_channels=1,
        latent_channels=recipe.audio_latent_channels, mel_bins=sound.mel_bins, sample_rate=sound.sample_rate,
        mel_hop_length=sound.hop_length, norm_type="pixel", causality_axis="height",
    )  # fmt: skip


def build_vocoder(recipe: Recipe) -> LTX2Vocoder:
    """Mel frames to samples in three leaps: low widths at high rates are what costs time."""
    return LTX2Vocoder(
        in_channels=recipe.sound.mel_bins, hidden_channels=recipe.vocoder_width, out_channels=1,
        upsample_kernel_sizes=[16, 8, 16], upsample_factors=[8, 4, 8], resnet_kernel_sizes=[3, 7],
        resnet_dilations=[[1, 3], [1, 3]], output_sampling_rate=recipe.sound.sample_rate,
    )  # fmt: skip


def build_upscaler(recipe: Recipe) -> FrameUpscaler:
    """Four times the width and height; most of it works at half the decoder's resolution, where a pixel costs a quarter."""
    return FrameUpscaler(width=recipe.upscaler_width, num_blocks=recipe.upscaler_blocks)


def build_transformer(recipe: Recipe) -> LTX2VideoTransformer3DModel:
    """The 2.3 layout; positions are scaled to the clip, or a small model cannot tell them apart."""
    video_head, audio_head = recipe.video_width // recipe.heads, recipe.audio_width // recipe.heads
    seconds = max(1, round(recipe.duration_s))
    return LTX2VideoTransformer3DModel(
        in_channels=recipe.video_latent_channels, out_channels=recipe.video_latent_channels, num_layers=recipe.layers,
        num_attention_heads=recipe.heads, attention_head_dim=video_head, cross_attention_dim=recipe.video_width,
        audio_in_channels=recipe.audio_token, audio_out_channels=recipe.audio_token, audio_num_attention_heads=recipe.heads,
        audio_attention_head_dim=audio_head, audio_cross_attention_dim=recipe.audio_width,
        audio_sampling_rate=recipe.sound.sample_rate, audio_hop_length=recipe.sound.hop_length,
        caption_channels=recipe.text_width, vae_scale_factors=(4, 32, 32), pos_embed_max_pos=seconds,
        audio_pos_embed_max_pos=seconds, base_height=recipe.size, base_width=recipe.size, rope_type="split",
        rope_theta=100.0, rope_double_precision=False, use_prompt_embeddings=False, gated_attn=True, audio_gated_attn=True,
        cross_attn_mod=True, audio_cross_attn_mod=True, perturbed_attn=True,
    )  # fmt: skip


def build_connectors(recipe: Recipe) -> LTX2TextConnectors:
    """From all hidden states of the text encoder to the widths of both streams."""
    return LTX2TextConnectors(
        caption_channels=recipe.text_width, text_proj_in_factor=recipe.text_layers + 1,
        video_connector_num_attention_heads=recipe.heads, audio_connector_num_attention_heads=recipe.heads,
        video_connector_attention_head_dim=recipe.video_width // recipe.heads, video_connector_num_layers=1,
        audio_connector_attention_head_dim=recipe.audio_width // recipe.heads, audio_connector_num_layers=1,
        video_connector_num_learnable_registers=16, audio_connector_num_learnable_registers=16, video_gated_attn=True,
        audio_gated_attn=True, rope_type="split", rope_double_precision=False, per_modality_projections=True,
        video_hidden_dim=recipe.video_width, audio_hidden_dim=recipe.audio_width, proj_bias=True,
    )  # fmt: skip


def build_text_encoder(recipe: Recipe, vocabulary: int) -> Gemma3TextModel:
    """A Gemma of two layers, trained together with the transformer."""
    return Gemma3TextModel(
        Gemma3TextConfig(
            vocab_size=vocabulary, hidden_size=recipe.text_width, intermediate_size=2 * recipe.text_width,
            num_hidden_layers=recipe.text_layers, num_attention_heads=4, num_key_value_heads=2, head_dim=recipe.text_width // 4,
            max_position_embeddings=1024, query_pre_attn_scalar=recipe.text_width // 4, sliding_window=1024,
        )
    )  # fmt: skip


def build_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """A short clip has few tokens, so the schedule leans only a little towards noise."""
    settings: dict[str, Any] = dict(base_shift=0.5, max_shift=1.15, base_image_seq_len=64, max_image_seq_len=1024)
    return FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, **settings)
