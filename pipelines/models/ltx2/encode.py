"""Pixels and samples to latents: what a clip that exists is to the transformer."""

from __future__ import annotations

import numpy as np
import soxr
import torch

from pipelines.clip_io import Sound
from pipelines.mel import Mel, log_mel
from pipelines.models.ltx2.latents import Canvas, normalize_audio, normalize_video, pack_audio, pack_video
from pipelines.models.ltx2.load import LTX2Model


@torch.inference_mode()
def encode_frames(model: LTX2Model, frames_FHWC: np.ndarray) -> torch.Tensor:
    """Frames on the model's grid, uint8, to packed, normalised latents ``[1, N, D]``."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames_FHWC)).to(model.device).float() / 127.5 - 1
    pixels_BCFHW = pixels.permute(3, 0, 1, 2).unsqueeze(0).to(model.vae.dtype)
    latents = model.vae.encode(pixels_BCFHW).latent_dist.mode().float()
    return pack_video(normalize_video(model, latents))


@torch.inference_mode()
def encode_sound(model: LTX2Model, sound: Sound, canvas: Canvas) -> torch.Tensor:
    """Sound from the canvas's beginning on to packed, normalised latents ``[1, L, D]``; cut or padded with silence to fit."""
    mel = mel_of(model)
    samples = soxr.resample(sound.samples.T.astype(np.float32), sound.sample_rate, mel.sample_rate).T
    channels = int(model.audio_vae.config.in_channels)
    heard = np.repeat(samples.mean(0, keepdims=True), channels, axis=0) if len(samples) != channels else samples
    frames = 4 * canvas.audio_frames - 3  # causal in time: the first spectrogram frame is a latent of its own
    spectrogram = log_mel(torch.from_numpy(np.ascontiguousarray(heard)).to(model.device), mel, frames)
    latents = model.audio_vae.encode(spectrogram.transpose(0, 1).to(model.audio_vae.dtype)).latent_dist.mode().float()
    return normalize_audio(model, pack_audio(latents))


def mel_of(model: LTX2Model) -> Mel:
    """How the model's audio VAE wants its spectrograms."""
    config = model.audio_vae.config
    centre, spread = model.spec.mel_scale
    return Mel(config.sample_rate, config.mel_bins, config.mel_hop_length, centre=centre, spread=spread)
