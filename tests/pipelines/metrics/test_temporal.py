"""Coherence and motion on pictures whose motion is known."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.metrics.temporal import coherence, temporal
from pipelines.world.renderer import render
from pipelines.world.scene import Scene, Subject

FRAMES, RATE = 13, 12.0


def texture(size: int) -> np.ndarray:
    """Smooth random colours, ``[size, size, 3]``."""
    import cv2

    noise = np.random.default_rng(0).uniform(0, 255, (size // 8, size // 8, 3)).astype(np.float32)
    return cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 255)


def moving(step: int) -> np.ndarray:
    whole = texture(256)
    return np.stack([whole[40:168, 40 + step * k : 168 + step * k] for k in range(FRAMES)]).astype(np.uint8)


def test_motion_is_measured_in_sides_a_second():
    assert temporal(moving(2), RATE).motion == pytest.approx(2 * RATE / 128, rel=0.1)
    still = temporal(moving(0), RATE)
    assert still.motion == pytest.approx(0, abs=1e-3) and still.warp_error == still.flicker == 0


def test_motion_alone_is_no_error_but_boiling_and_flicker_are():
    clean = temporal(moving(2), RATE)
    noise = np.random.default_rng(1).normal(0, 12, (FRAMES, 128, 128, 3))
    boiling = temporal((moving(2) + noise).clip(0, 255).astype(np.uint8), RATE)
    assert boiling.warp_error > 3 * clean.warp_error and coherence(boiling.warp_error, clean.warp_error) < 0.5
    lamp = 10 * (-1.0) ** np.arange(FRAMES)[:, None, None, None]
    flickering = temporal((moving(0) + lamp).clip(0, 255).astype(np.uint8), RATE)
    assert flickering.flicker > 5 and coherence(flickering.flicker, temporal(moving(0), RATE).flicker) < 0.2


def test_a_frozen_clip_is_coherent_and_fails_by_its_motion():
    scene = Scene((Subject("ball", colour="red"),), "grass", "drifting right", camera="pan right")
    true = render(scene, FRAMES, RATE, 128)
    frozen = temporal(np.repeat(true[:1], FRAMES, axis=0), RATE)
    assert coherence(frozen.warp_error, temporal(true, RATE).warp_error) == 1
    assert frozen.motion / temporal(true, RATE).motion < 0.1
