"""Music with a known beat: drums, electronic and soft; every beat has its attack exactly at its time, mono.

Saws and squares are closed sums of harmonics (Moorer 1976, "The synthesis of complex audio spectra by means of discrete
summation formulae"), bells are frequency modulation (Chowning 1973).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipelines.world.impacts import add_part, band_noise, sine

KINDS = ("drums", "electronic", "soft")
_PENTATONIC = (0, 3, 5, 7, 10)  # minor, in semitones


def music(kind: str, beats_s: Sequence[float], duration_s: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Music ``[n]`` of one of ``KINDS`` with an onset at each of ``beats_s`` (seconds, rising), peak at most 0.9."""
    sound = np.zeros(round(duration_s * sample_rate))
    match kind:
        case "drums":
            _drums(sound, beats_s, sample_rate, rng)
        case "electronic":
            _electronic(sound, beats_s, sample_rate, rng)
        case "soft":
            _soft(sound, beats_s, sample_rate, rng)
        case _:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
    return sound * min(1.0, 0.9 / max(float(np.abs(sound).max(initial=0.0)), 1e-9))


def _drums(sound: np.ndarray, beats_s: Sequence[float], sample_rate: int, rng: np.random.Generator) -> None:
    """Kick and snare by turns, and a light hat in the middle between two beats."""
    kick, snare, hat = _kick(sample_rate, rng), _snare(sample_rate, rng), _hat(sample_rate, rng)
    for index, beat in enumerate(beats_s):
        add_part(sound, beat, 0.75 * kick if index % 2 == 0 else 0.6 * snare, sample_rate)
    for between in _between(beats_s):
        add_part(sound, between, 0.02 * hat, sample_rate)


def _electronic(sound: np.ndarray, beats_s: Sequence[float], sample_rate: int, rng: np.random.Generator) -> None:
    """A kick, a saw bass note and a square stab on each beat, in a minor pentatonic on a root drawn by ``rng``."""
    root = 55.0 * 2 ** (rng.integers(0, 8) / 12)
    kick, hat = _kick(sample_rate, rng), _hat(sample_rate, rng)
    t = np.arange(round(0.4 * sample_rate)) / sample_rate
    loudness = np.minimum(1, t / 0.002) * np.exp(-5 * t) * np.minimum(1, (t[-1] - t) / 0.02)
    brightness = 0.45 + 0.45 * np.exp(-9 * t)
    for beat in beats_s:
        bass, stab = (2 ** (int(rng.choice(_PENTATONIC)) / 12) for _ in range(2))
        add_part(sound, beat, 0.45 * kick[: len(t)], sample_rate)
        add_part(sound, beat, 0.16 * loudness * _saw(2 * math.pi * root * bass * t, brightness), sample_rate)
        for ratio in (stab, 1.4983 * stab):
            add_part(sound, beat, 0.13 * loudness * _square(2 * math.pi * 8 * root * ratio * t, brightness), sample_rate)
    for between in _between(beats_s):
        add_part(sound, between, 0.02 * hat, sample_rate)


def _soft(sound: np.ndarray, beats_s: Sequence[float], sample_rate: int, rng: np.random.Generator) -> None:
    """A chord of three bells on each beat, moving through a major pentatonic on a root drawn by ``rng``."""
    root = 262.0 * 2 ** (rng.integers(0, 8) / 12)
    ratio = float(rng.choice((2.0, 3.0)))
    t = np.arange(round(0.9 * sample_rate)) / sample_rate
    loudness = np.minimum(1, t / 0.003) * np.exp(-5 * t) * np.minimum(1, (t[-1] - t) / 0.05)
    index = 0.2 * np.exp(-12 * t)
    for beat in beats_s:
        first = int(rng.integers(0, 3))
        for degree in (first, first + 2, first + 4):
            octave, step = divmod(degree, 5)
            cycles = root * 2 ** (octave + (0, 2, 4, 7, 9)[step] / 12) * t
            add_part(sound, beat, 0.17 * loudness * sine(cycles + index * sine(ratio * cycles)), sample_rate)


def _between(beats_s: Sequence[float]) -> list[float]:
    return [(one + two) / 2 for one, two in pairwise(beats_s)]


def _saw(phase: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """All harmonics k at ``brightness**k``."""
    return np.asarray(brightness * np.sin(phase) / (1 - 2 * brightness * np.cos(phase) + brightness**2))


def _square(phase: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """The odd harmonics k at ``brightness**k``."""
    squared = brightness**2
    return np.asarray(brightness * (1 + squared) * np.sin(phase) / (1 - 2 * squared * np.cos(2 * phase) + squared**2))


def _kick(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A falling sine with a click, peak about 1."""
    t = np.arange(round(0.4 * sample_rate)) / sample_rate
    pitch = rng.uniform(46, 58) + 130 * np.exp(-30 * t)
    tone = np.sin(2 * math.pi * np.cumsum(pitch) / sample_rate) * np.exp(-10 * t)
    click = band_noise(rng, len(t), sample_rate, 800, 4000) * np.exp(-250 * t)
    return np.asarray((tone + 0.2 * click) * np.minimum(1, (t[-1] - t) / 0.02))


def _snare(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A short tone under bright noise, peak about 1."""
    t = np.arange(round(0.3 * sample_rate)) / sample_rate
    tone = 0.5 * np.sin(2 * math.pi * rng.uniform(175, 215) * t) * np.exp(-22 * t)
    noise = 0.4 * band_noise(rng, len(t), sample_rate, 900, 7500) * np.exp(-20 * t)
    return np.asarray((tone + noise) * np.minimum(1, (t[-1] - t) / 0.02))


def _hat(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A tick of the highest band."""
    samples = round(0.06 * sample_rate)
    return band_noise(rng, samples, sample_rate, 5500, 8000) * np.exp(-np.arange(samples) / (0.012 * sample_rate))
