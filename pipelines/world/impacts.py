"""Sounds of touch and movement: impacts by material, rushing air, rolling, and gliding tones; mono, exact to the sample.

Impacts are modal synthesis (van den Doel and Pai 1998, "The sounds of physical shapes"): decaying partials and a click.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len
from scipy.signal import lfilter

MATERIALS = ("rubber", "wood", "metal", "glass")


@dataclass(frozen=True)
class _Material:
    """Partials in Hz, the decay of the lowest in 1/s, and the click: its level and its band in Hz."""

    partials: tuple[float, ...]
    decay: float
    click: float
    click_band: tuple[float, float]


_RECIPES = {
    "rubber": _Material((95.0, 165.0, 270.0), 24.0, 0.35, (100.0, 1500.0)),
    "wood": _Material((410.0, 760.0, 1240.0, 1830.0), 30.0, 0.60, (400.0, 4500.0)),
    "metal": _Material((540.0, 1370.0, 2610.0, 3890.0, 5480.0), 8.0, 0.45, (900.0, 7500.0)),
    "glass": _Material((2280.0, 3560.0, 5230.0, 6900.0), 9.0, 0.35, (2000.0, 7900.0)),
}


def band_noise(rng: np.random.Generator, samples: int, sample_rate: int, low: float, high: float) -> np.ndarray:
    """Gaussian noise ``[samples]`` of unit RMS between two frequencies (Hz), with slopes of 24 dB an octave."""
    length = next_fast_len(samples, real=True)
    bins = length // 2 + 1
    spectrum = rng.standard_normal(2 * bins, dtype=np.float32).view(np.complex64)
    squared = (np.arange(bins, dtype=np.float32) * (sample_rate / length)) ** 2
    squared[0] = squared[1]
    spectrum /= np.sqrt((1 + (low**2 / squared) ** 4) * (1 + (squared / high**2) ** 4))
    noise = irfft(spectrum, length)[:samples]
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float64)


def sine(cycles_N: np.ndarray) -> np.ndarray:
    """The sine of ``cycles_N`` turns; wrapped first, so single precision, which is several times faster, is enough."""
    return np.asarray(np.sin(np.float32(2 * math.pi) * (cycles_N - np.floor(cycles_N)).astype(np.float32)))


def add_part(sound: np.ndarray, start_s: float, part: np.ndarray, sample_rate: int) -> None:
    """Add ``part`` ``[m]`` into ``sound`` ``[n]`` from ``start_s`` seconds on; what lies past the end is dropped."""
    start = round(start_s * sample_rate)
    length = min(len(part), len(sound) - start)
    if length > 0:
        sound[start : start + length] += part[:length]


def impact(material: str, strength: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """One hit ``[n]``, peak 0.25 + 0.55 ``strength`` (0..1), half of it within 2 ms; stronger is also brighter.

    Rubber and wood die within about 0.2 s, metal and glass ring for about 0.5 s. Every draw is tuned a little differently.
    """
    recipe = _RECIPES[material]
    samples = round(5.5 / recipe.decay * sample_rate)
    pulse = np.zeros(samples)
    pulse[0] = 1.0
    tuning = rng.uniform(0.94, 1.06)
    body = np.zeros(samples)
    total = 0.0
    for order, hertz in enumerate(recipe.partials):
        level = rng.uniform(0.8, 1.2) * (0.35 + 0.65 * strength) ** order
        body += level * _mode(pulse, hertz * tuning, recipe.decay * (1 + 0.3 * order), sample_rate)
        total += level
    burst = round(0.03 * sample_rate)
    click = band_noise(rng, burst, sample_rate, *recipe.click_band) * np.exp(-np.arange(burst) / (0.004 * sample_rate))
    sound = body / total
    sound[:burst] += recipe.click * (0.25 + 0.75 * strength) * click
    attack, release = round(0.0005 * sample_rate), round(0.02 * sample_rate)
    sound[:attack] *= np.linspace(0.2, 1, attack)
    sound[-release:] *= np.linspace(1, 0, release)
    return np.asarray((0.25 + 0.55 * strength) * sound / np.abs(sound).max())


def _mode(pulse: np.ndarray, hertz: float, decay: float, sample_rate: int) -> np.ndarray:
    """A decaying cosine ``[n]``: the answer of a two-pole resonator to ``pulse``."""
    radius, cosine = math.exp(-decay / sample_rate), math.cos(2 * math.pi * hertz / sample_rate)
    return np.asarray(lfilter((1.0, -radius * cosine), (1.0, -2 * radius * cosine, radius**2), pulse))


def whoosh(level_N: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Rushing air ``[n]``: band noise whose loudness and brightness follow ``level_N`` (0..1 a sample); RMS about 0.18 at 1."""
    level = np.clip(level_N, 0, 1)
    low, middle, high = (band_noise(rng, len(level), sample_rate, *band) for band in ((200, 700), (700, 2200), (2200, 6000)))
    return np.asarray(0.13 * level * ((1 - 0.4 * level) * low + level * middle + level**2 * high))


def rumble(level_N: np.ndarray, material: str, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Rolling ``[n]``: low noise and the material's partials driven by it; loudness follows ``level_N`` (0..1 a sample)."""
    recipe = _RECIPES[material]
    samples = len(level_N)
    drive = band_noise(rng, samples, sample_rate, 60, 7000)
    body = np.zeros(samples)
    for order, hertz in enumerate(recipe.partials[:3]):
        ringing = _mode(drive, hertz, 120.0, sample_rate)
        body += 0.7**order * ringing / (ringing.std() + 1e-9)
    ground = band_noise(rng, samples, sample_rate, 50, 160)
    return np.asarray(np.clip(level_N, 0, 1) * (0.07 * body + 0.06 * ground))


def glide(share_N: np.ndarray, level_N: np.ndarray, base_hertz: float, sample_rate: int) -> np.ndarray:
    """A tone ``[n]`` of ``base_hertz * 2**share_N`` Hz, level 0.3 ``level_N`` (0..1), faded over 20 ms at both ends."""
    samples = len(share_N)
    cycles = np.cumsum(base_hertz * 2.0**share_N) / sample_rate
    edge = np.arange(samples) / (0.02 * sample_rate)
    fade = np.minimum(1, np.minimum(edge, edge[::-1]))
    return np.asarray(0.3 * level_N * fade * (sine(cycles) + 0.3 * sine(2 * cycles) + 0.12 * sine(3 * cycles)) / 1.3)
