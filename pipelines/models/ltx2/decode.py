"""Latents to pixels and samples."""

from __future__ import annotations

import torch

from pipelines.models.ltx2.latents import Canvas, denormalize_audio, denormalize_video, unpack_audio, unpack_video
from pipelines.models.ltx2.load import LTX2Model
from pipelines.optimize.tiling import decode_mel

SOUND_CHUNK = 512
"""Latent frames of sound that are decoded at once, 20 s for LTX-2: a longer sound takes no more memory than that."""


@torch.inference_mode()
def decode_video(model: LTX2Model, tokens_BND: torch.Tensor, canvas: Canvas) -> torch.Tensor:
    """Packed latents to frames ``[F, H, W, 3]``, float 0..1."""
    return decode_frames(model, unpack_video(tokens_BND, canvas))


@torch.inference_mode()
def decode_frames(model: LTX2Model, latents_BCFHW: torch.Tensor) -> torch.Tensor:
    """Normalised, unpacked latents of one clip to frames ``[F, H, W, 3]``, float 0..1."""
    vae = model.vae
    latents = denormalize_video(model, latents_BCFHW.to(model.dtype)).to(vae.dtype)
    timestep = torch.zeros(1, device=model.device, dtype=vae.dtype) if vae.config.timestep_conditioning else None
    pixels_BCFHW = vae.decode(latents, timestep, return_dict=False)[0]
    return (pixels_BCFHW[0].permute(1, 2, 3, 0).float() / 2 + 0.5).clamp(0, 1)


@torch.inference_mode()
def decode_audio(model: LTX2Model, tokens_BND: torch.Tensor, chunk: int = SOUND_CHUNK) -> torch.Tensor:
    """Packed latents to samples ``[channels, n]``, float -1..1 at ``model.sample_rate``; ``chunk`` latent frames at once."""
    bins = model.audio_vae.config.mel_bins // model.audio_vae.mel_compression_ratio
    latents_BCLM = unpack_audio(denormalize_audio(model, tokens_BND), bins)
    mel_BCTM = decode_mel(model.audio_vae, latents_BCLM.to(model.audio_vae.dtype), chunk)
    samples: torch.Tensor = model.vocoder(mel_BCTM)[0].float()
    return samples
