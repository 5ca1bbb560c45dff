"""Dense optical flow between two frames, of any shape.

OpenCV's inverse search (DIS; Kroeger et al. 2016, arXiv:1603.03590) chooses how far it halves a picture from the width alone:
low, wide ones end up lower than one of its patches, it reads beyond them, and the process dies. They are continued first.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

FAST, MEDIUM = cv2.DISOPTICAL_FLOW_PRESET_FAST, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
_PATCH = 8
_LEAST_SIDE = 16


class DenseFlow:
    """Finds where every pixel of one frame is in another; ``preset`` is ``FAST`` or ``MEDIUM``."""

    def __init__(self, preset: int = MEDIUM) -> None:
        self._method = cv2.DISOpticalFlow.create(preset)

    def between(self, one_HW: np.ndarray, two_HW: np.ndarray) -> np.ndarray:
        """The way ``[H, W, 2]`` in pixels, x then y, from each pixel of ``one_HW`` to its place in ``two_HW``; both uint8."""
        height, width = one_HW.shape
        down, right = max(0, _least_height(width) - height), max(0, _LEAST_SIDE - width)
        if down or right:
            one_HW, two_HW = (cv2.copyMakeBorder(each, 0, down, 0, right, cv2.BORDER_REPLICATE) for each in (one_HW, two_HW))
        flow: np.ndarray = self._method.calc(one_HW, two_HW, np.empty(0))
        return flow[:height, :width]


def speeds(flow_HW2: np.ndarray) -> np.ndarray:
    """How far each pixel goes ``[H, W]``; ``np.linalg.norm`` is slow along so short an axis."""
    x, y = flow_HW2[..., 0], flow_HW2[..., 1]
    return np.sqrt(x * x + y * y)


def _least_height(width: int) -> int:
    """The height at which the coarsest picture that a ``width`` leads to is still as high as a patch."""
    halvings = max(0, math.floor(math.log2(max(1.0, 2 * width / (5 * _PATCH)))))
    return max(_LEAST_SIDE, _PATCH << halvings)
