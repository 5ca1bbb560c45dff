"""Sounds of the procedural world, exact to the sample: impacts by material, drums, glides, and the places' ambience."""

from __future__ import annotations

import math
import zlib
from dataclasses import astuple

import numpy as np

from pipelines.world.scene import Scene, drum_times, impact_times

# What each shape is made of: partials (Hz), their levels, decay (1/s), and how much click there is.
_MATERIALS = {
    "ball": ((110.0, 190.0), (1.0, 0.4), 16.0, 0.25),
    "cube": ((320.0, 610.0, 1130.0), (1.0, 0.6, 0.35), 26.0, 0.60),
    "star": ((1320.0, 2110.0, 3300.0), (1.0, 0.6, 0.4), 7.0, 0.10),
    "triangle": ((880.0, 1760.0, 2640.0), (1.0, 0.3, 0.3), 5.0, 0.15),
    "heart": ((220.0, 330.0), (1.0, 0.7), 11.0, 0.10),
    "ring": ((520.0, 1390.0, 2280.0), (1.0, 0.8, 0.6), 4.5, 0.30),
}
_BASE_PITCH = {"ball": 196.0, "cube": 262.0, "star": 523.0, "triangle": 440.0, "heart": 330.0, "ring": 392.0}


def synthesize(scene: Scene, duration_s: float, sample_rate: int = 16_000) -> np.ndarray:
    """The scene's sound as ``[n]`` float32, peak below 1; exact zeros where the scene is silent."""
    samples = round(duration_s * sample_rate)
    if scene.sound == "silence":
        return np.zeros(samples, np.float32)
    rng = np.random.default_rng(zlib.crc32(repr(astuple(scene)).encode()))
    sound = np.zeros(samples)
    if scene.sound == "drums":
        for index, start in enumerate(drum_times(scene, duration_s)):
            _add(sound, start, _drum(index, sample_rate, rng), sample_rate)
    else:
        sound += _ambience(scene.place, samples, sample_rate, rng)
        sound += _glide(scene, samples, sample_rate)
        for start in impact_times(scene, duration_s):
            _add(sound, start, _impact(scene.shape, sample_rate, rng), sample_rate)
    return np.clip(sound, -0.98, 0.98).astype(np.float32)


def _add(sound: np.ndarray, start_s: float, part: np.ndarray, sample_rate: int) -> None:
    start = round(start_s * sample_rate)
    length = min(len(part), len(sound) - start)
    sound[start : start + length] += part[:length]


def _impact(shape: str, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Modal synthesis: a sum of decaying partials and a short click."""
    partials, levels, decay, click = _MATERIALS[shape]
    t = np.arange(round(0.6 * sample_rate)) / sample_rate
    body = sum(
        level * np.sin(2 * math.pi * hertz * t) * np.exp(-decay * (1 + 0.4 * k) * t)
        for k, (hertz, level) in enumerate(zip(partials, levels, strict=True))
    )
    noise = rng.standard_normal(len(t)) * np.exp(-300 * t) * click
    return 0.5 * (np.asarray(body) / sum(levels) + noise)


def _drum(index: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Kick on even beats, snare on odd ones."""
    t = np.arange(round(0.35 * sample_rate)) / sample_rate
    if index % 2 == 0:
        pitch = 52 + 120 * np.exp(-28 * t)
        return np.asarray(0.8 * np.sin(2 * math.pi * np.cumsum(pitch) / sample_rate) * np.exp(-9 * t))
    tone = 0.35 * np.sin(2 * math.pi * 190 * t) * np.exp(-20 * t)
    return np.asarray(tone + 0.40 * rng.standard_normal(len(t)) * np.exp(-18 * t))


def _glide(scene: Scene, samples: int, sample_rate: int) -> np.ndarray:
    """The tone of a movement without impacts: upwards when rising or growing, downwards when shrinking."""
    share = np.arange(samples) / samples
    base = _BASE_PITCH[scene.shape]
    match scene.action:
        case "rising" | "growing":
            pitch, level = base * 2**share, 0.10 + 0.18 * share
        case "shrinking":
            pitch, level = base * 2 ** (1 - share), 0.28 - 0.18 * share
        case "drifting left" | "drifting right":
            pitch, level = np.full(samples, base), 0.16 * np.sin(math.pi * share)
        case _:
            return np.zeros(samples)
    phase = 2 * math.pi * np.cumsum(pitch) / sample_rate
    fade = np.minimum(1, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / (0.02 * sample_rate))
    return np.asarray(level * fade * (np.sin(phase) + 0.25 * np.sin(2 * phase)))


def _ambience(place: str, samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    t = np.arange(samples) / sample_rate
    match place:
        case "sea":
            swell = 0.6 + 0.4 * np.sin(2 * math.pi * 0.5 * t - 1)
            return 0.10 * swell * _band(rng, samples, sample_rate, 150, 1800)
        case "desert":
            return 0.06 * _band(rng, samples, sample_rate, 200, 700)
        case "snow":
            return 0.05 * _band(rng, samples, sample_rate, 1500, 4000)
        case "night":
            chirp = (np.sin(2 * math.pi * 4 * t) > 0.3) * (0.6 + 0.4 * np.sin(2 * math.pi * 45 * t))
            return np.asarray(0.07 * chirp * np.sin(2 * math.pi * 4200 * t))
        case "grass":
            bird = np.exp(-((((t + 0.4) % 0.9) - 0.45) ** 2) / 0.004)
            return np.asarray(0.08 * bird * np.sin(2 * math.pi * (3000 * t + 14 * np.sin(2 * math.pi * 9 * t))))
        case _:
            return np.asarray(0.05 * sum(np.sin(2 * math.pi * hertz * t) for hertz in (220.0, 277.2, 329.6)))


def _band(rng: np.random.Generator, samples: int, sample_rate: int, low: float, high: float) -> np.ndarray:
    """Noise of unit level between two frequencies (Hz)."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / sample_rate)
    spectrum *= 1 / (1 + np.exp((low - hertz) / (0.1 * low))) / (1 + np.exp((hertz - high) / (0.1 * high)))
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise / noise.std())
