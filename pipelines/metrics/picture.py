"""How sharp a picture is and how it is exposed."""

from __future__ import annotations

import cv2
import numpy as np

_BLOCK = 8
_BY_CHANCE = 0.75  # of the noise's power: noise alone leans further in one block of a hundred
_NOISE_FILTER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)  # 0 on smooth surfaces and straight edges
_DARK, _BLOWN = 0.03 * 255, 0.98 * 255
_LOOKED_AT = 24


def picture_metrics(frames_FHWC: np.ndarray) -> dict[str, float]:
    """Sharpness, brightness and exposure of ``[F, H, W, 3]`` uint8, means over up to 24 evenly spaced frames."""
    chosen = np.unique(np.linspace(0, len(frames_FHWC) - 1, _LOOKED_AT).round().astype(int))
    lumas = np.stack([cv2.cvtColor(frames_FHWC[at], cv2.COLOR_RGB2GRAY) for at in chosen])
    return {
        "picture.sharpness": float(np.mean([sharpness(luma) for luma in lumas])),
        "picture.brightness": float(lumas.mean()) / 255,
        "picture.dark": float((lumas < _DARK).mean()),
        "picture.blown": float((lumas > _BLOWN).mean()),
    }


def sharpness(luma_HW: np.ndarray) -> float:
    """Mean strength of edges with a direction, in grey levels a pixel; 0 for pictures under 10 pixels.

    Each block of 8x8 pixels gives the singular values ``s1 >= s2`` of its gradients and counts ``s1 (s1 - s2) / (s1 + s2)``
    (Zhu and Milanfar 2010, "Automatic parameter selection for denoising algorithms using a no-reference measure of image
    content"). Blocks whose gradients lean no more to one side than the picture's noise makes them by chance count nothing, so
    that grain does not pass for detail.
    """
    luma = luma_HW.astype(np.float32)
    height, width = ((side - 2) // _BLOCK * _BLOCK for side in luma.shape)
    if not height or not width:
        return 0.0
    right = (luma[1:-1, 2:] - luma[1:-1, :-2])[:height, :width] / 2
    down = (luma[2:, 1:-1] - luma[:-2, 1:-1])[:height, :width] / 2
    xx, yy, xy = (_blocks(part) for part in (right * right, down * down, right * down))
    middle, lean = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    largest, smallest = np.sqrt(middle + lean), np.sqrt(np.maximum(0, middle - lean))
    coherence = (largest - smallest) / np.maximum(largest + smallest, 1e-6)
    residue = cv2.filter2D(luma, -1, _NOISE_FILTER)[1:-1, 1:-1][:height, :width]
    by_chance = _BY_CHANCE * _noise_power(_blocks(residue * residue)) / 2  # half of the noise's power is in either gradient
    return float(np.where(lean > by_chance, largest * coherence, 0).mean())


def _noise_power(residue_HW: np.ndarray) -> float:
    """The variance of the noise, from what ``_NOISE_FILTER`` leaves of each block; of the quietest tenth of them.

    Immerkaer 1996, "Fast noise variance estimation", whose mean over everything would take texture for noise.
    """
    return float(np.percentile(residue_HW, 10)) / float(np.square(_NOISE_FILTER).sum())


def _blocks(values_HW: np.ndarray) -> np.ndarray:
    """Means over blocks."""
    height, width = values_HW.shape
    return values_HW.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).mean((1, 3))
