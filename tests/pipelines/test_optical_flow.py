"""Optical flow of pictures of any shape: its truth, and no shape that ends the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.optical_flow import DenseFlow

ROOT = Path(__file__).parents[2]
EVERY_SHAPE = """
import numpy as np
from pipelines.optical_flow import FAST, MEDIUM, DenseFlow
chance = np.random.default_rng(0)
for preset in (FAST, MEDIUM):
    for width, height in ((256, 26), (256, 13), (256, 1), (640, 64), (320, 32), (1024, 16), (64, 640), (1, 256), (8, 8), (1, 1)):
        one = chance.integers(0, 256, (height, width), np.uint8)
        flow = DenseFlow(preset).between(one, np.roll(one, 1, axis=1))
        assert flow.shape == (height, width, 2) and np.isfinite(flow).all()
"""


@pytest.mark.parametrize("shape", [(128, 128), (30, 400), (400, 30)])
def test_a_picture_that_moves_is_found_where_it_went(shape: tuple[int, int]) -> None:
    chance = np.random.default_rng(1)
    texture = cv2.GaussianBlur(chance.integers(0, 256, (shape[0] + 8, shape[1] + 8), np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    one, two = texture[4:-4, 4:-4].copy(), texture[3:-5, 2:-6].copy()
    flow = DenseFlow().between(one, two)
    assert np.allclose(np.median(flow, axis=(0, 1)), (2, 1), atol=0.2)


def test_no_shape_ends_the_process() -> None:
    """OpenCV reads beyond pictures that are much wider than high; in a process of its own, since that would end this one."""
    ended = subprocess.run(
        [sys.executable, "-c", EVERY_SHAPE], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
