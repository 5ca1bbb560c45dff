"""What happens to a clean picture on its way through a lossy decoder, imitated: blur, noise, and the marks of 8x8 blocks."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as functional

_BLOCK = 8
_LEAST_SIGMA, _MOST_SIGMA = 0.3, 1.3
_MOST_NOISE = 0.03
_COARSEST_STEP = 0.12


def degrade(clip_FCHW: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """``clip_FCHW`` ``[F, C, H, W]``, 0..1, softened, made noisy and quantized as chance has it; same shape and range."""
    made = clip_FCHW
    if rng.random() < 0.8:
        made = blur(made, float(rng.uniform(_LEAST_SIGMA, _MOST_SIGMA)))
    if rng.random() < 0.7:
        noise = rng.standard_normal(made.shape, dtype=np.float32) * rng.uniform(0, _MOST_NOISE)
        made = made + torch.from_numpy(noise).to(made)
    if rng.random() < 0.6:
        made = quantize(made, float(rng.uniform(0.01, _COARSEST_STEP)))
    return made.clamp(0, 1)


def blur(clip_FCHW: torch.Tensor, sigma: float) -> torch.Tensor:
    """A Gaussian blur of ``sigma`` pixels."""
    reach = math.ceil(3 * sigma)
    line = torch.arange(-reach, reach + 1, device=clip_FCHW.device, dtype=clip_FCHW.dtype)
    kernel = torch.exp(-line.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(clip_FCHW.shape[1], 1, -1)
    padded = functional.pad(clip_FCHW, (reach,) * 4, mode="replicate")
    across = functional.conv2d(padded, kernel.unsqueeze(2), groups=clip_FCHW.shape[1])
    return functional.conv2d(across, kernel.unsqueeze(3), groups=clip_FCHW.shape[1])


def quantize(clip_FCHW: torch.Tensor, step: float) -> torch.Tensor:
    """Round the cosine transform of every 8x8 block, high frequencies up to four times as coarsely as the mean.

    As JPEG and H.264 do (ITU-T T.81, H.264), without their colour spaces and prediction. ``step`` is in the range's unit.
    """
    height, width = clip_FCHW.shape[2:]
    padded = functional.pad(clip_FCHW, (0, -width % _BLOCK, 0, -height % _BLOCK), mode="replicate")
    blocks = padded.unflatten(3, (-1, _BLOCK)).unflatten(2, (-1, _BLOCK)).transpose(3, 4)
    cosine = _cosine(clip_FCHW)
    frequency = torch.arange(_BLOCK, device=clip_FCHW.device, dtype=clip_FCHW.dtype)
    steps = step * _BLOCK / 4 * (0.25 + 0.75 * (frequency[:, None] + frequency) / (2 * _BLOCK - 2))
    rounded = ((cosine @ blocks @ cosine.T) / steps).round() * steps
    restored = (cosine.T @ rounded @ cosine).transpose(3, 4).flatten(4, 5).flatten(2, 3)
    return restored[..., :height, :width]


def _cosine(like: torch.Tensor) -> torch.Tensor:
    """The orthonormal DCT-II of eight samples, ``[8, 8]``."""
    index = torch.arange(_BLOCK, device=like.device, dtype=like.dtype)
    rows = torch.cos(math.pi / _BLOCK * (index + 0.5) * index[:, None]) * math.sqrt(2 / _BLOCK)
    rows[0] /= math.sqrt(2)
    return rows
