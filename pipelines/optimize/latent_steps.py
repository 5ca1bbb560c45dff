"""How coarsely a model's latents may be kept: by what its own decoders make of an error in each channel.

An error e in channel c changes the decoded result by ``|J_c e|^2``. The sum of a Jacobian's squared columns is the expectation
of ``(J^T v)^2`` over random ``v`` (Hutchinson 1989), so a few backward passes tell it for all channels. Steps whose errors
weigh the same cost the fewest bits at a given loss (reverse water-filling; Cover and Thomas, "Elements of Information Theory",
10.3). The decoders are asked about a picture and a sound that are always the same, so equal models have equal steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pipelines.clip_io import Sound
from pipelines.models.ltx2.encode import encode_frames, encode_sound
from pipelines.models.ltx2.latents import (
    Canvas,
    denormalize_audio,
    denormalize_video,
    unpack_audio,
    unpack_video,
)
from pipelines.models.ltx2.load import LTX2Model
from pipelines.optimize.latent_codec import exponents_of

PICTURE_DB, SOUND_DB = 46.0, 46.0
"""PSNR of what is decoded after keeping, against the exact latents': pixels over their range, log-mel over its own."""
_PROBES = 2
_CELLS, _LATENTS, _LASTS_S = 4, 3, 1.0
_LEAST_EFFECT = 1e-4
"""Of the strongest channel's: one that does nothing would otherwise have a step without end."""


@dataclass(frozen=True)
class Steps:
    """Step sizes a channel, as the codec wants them: uint8 ``[C]`` of the picture, ``[D]`` of the packed sound."""

    video: np.ndarray
    audio: np.ndarray


def steps_of_model(model: LTX2Model) -> Steps:
    """The steps of ``model``; encodes a moment of picture and sound once, and goes back through the decoders a few times."""
    side = _CELLS * model.vae.spatial_compression_ratio
    frames = (_LATENTS - 1) * model.vae.temporal_compression_ratio + 1
    canvas = Canvas.of(model, height=side, width=side, num_frames=frames, frame_rate=frames / _LASTS_S)
    timestep = torch.zeros(1, device=model.device, dtype=model.vae.dtype) if model.vae.config.timestep_conditioning else None
    bins = model.audio_vae.config.mel_bins // model.audio_vae.mel_compression_ratio

    def pixels(tokens_BND: torch.Tensor) -> torch.Tensor:
        latents = denormalize_video(model, unpack_video(tokens_BND, canvas)).to(model.vae.dtype)
        decoded: torch.Tensor = model.vae.decode(latents, timestep, return_dict=False)[0]
        return decoded

    def mel(tokens_BND: torch.Tensor) -> torch.Tensor:
        latents = unpack_audio(denormalize_audio(model, tokens_BND), bins).to(model.audio_vae.dtype)
        decoded: torch.Tensor = model.audio_vae.decode(latents, return_dict=False)[0]
        return decoded

    return Steps(
        _steps(pixels, encode_frames(model, picture(frames, side)), PICTURE_DB),
        _steps(mel, encode_sound(model, sound(_LASTS_S), canvas), SOUND_DB),
    )


def _steps(decode: Callable[[torch.Tensor], torch.Tensor], tokens_BND: torch.Tensor, psnr_db: float) -> np.ndarray:
    """Steps whose errors together leave ``psnr_db`` of what is decoded, each channel's with an equal part in them."""
    tokens = tokens_BND.clone().requires_grad_(True)  # what was made in inference mode knows no gradients
    decoded = decode(tokens)
    chance = torch.Generator().manual_seed(0)
    squares = torch.zeros(tokens.shape[-1], dtype=torch.float64)
    for probe in range(_PROBES):
        direction = torch.randn(decoded.shape, generator=chance).to(decoded)
        (gradient,) = torch.autograd.grad(decoded, tokens, direction, retain_graph=probe < _PROBES - 1)
        squares += gradient.double().square().sum((0, 1)).cpu() / _PROBES
    peak = float(decoded.detach().max() - decoded.detach().min())
    allowed = decoded.numel() * peak**2 * 10 ** (-psnr_db / 10) / len(squares)
    return exponents_of(np.sqrt(12 * allowed / squares.clamp(min=_LEAST_EFFECT * float(squares.max())).numpy()))


def picture(frames: int, side: int) -> np.ndarray:
    """A disc that crosses a slope of colours above a chequered floor, ``[F, S, S, 3]`` uint8."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    sky = np.stack([0.3 + 0.4 * rows, 0.5 + 0.3 * columns, 0.8 - 0.4 * rows], -1)
    floor = ((np.floor(8 * columns) + np.floor(8 * rows)) % 2 == 0) & (rows > 0.75)
    still = np.where(floor[..., None], (0.1, 0.6, 0.2), sky)
    discs = [(columns - at) ** 2 + (rows - 0.5) ** 2 < 0.04 for at in np.linspace(0.2, 0.8, frames)]
    drawn = np.stack([np.where(disc[..., None], (0.9, 0.2, 0.15), still) for disc in discs])
    pixels: np.ndarray = np.round(255 * drawn).astype(np.uint8)
    return pixels


def sound(duration_s: float, sample_rate: int = 16_000) -> Sound:
    """A rising tone and a burst of noise that dies away."""
    moments = np.arange(round(duration_s * sample_rate)) / sample_rate
    tone = 0.3 * np.sin(2 * np.pi * (200 + 900 * moments / duration_s) * moments)
    burst = 0.3 * np.random.default_rng(0).standard_normal(len(moments)) * np.exp(-6 * moments / duration_s)
    return Sound((tone + burst)[None].astype(np.float32), sample_rate)
