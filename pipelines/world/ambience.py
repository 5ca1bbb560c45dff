"""The sound of places: winds, waves, creatures, rain, rooms and crowds, without onsets or beats; mono."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

from pipelines.world.impacts import band_noise, sine

_Maker = Callable[[int, int, np.random.Generator], np.ndarray]


def ambience(place: str, samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The background of one of ``PLACES`` as ``[samples]``, RMS between 0.028 and 0.042."""
    sound = _MAKERS[place](samples, sample_rate, rng)
    return np.asarray(rng.uniform(0.028, 0.042) * sound / np.sqrt(np.mean(sound**2)))


def _swell(samples: int, sample_rate: int, depth: float, rng: np.random.Generator) -> np.ndarray:
    """A slow irregular level ``[samples]`` around 1: two sines of periods between 2 and 8 s."""
    t = np.arange(samples) / sample_rate
    knots = np.arange(0, t[-1] + 0.05, 0.05)
    waves = sum(sine(rng.uniform(0.12, 0.5) * knots + rng.random()) for _ in range(2))
    return np.asarray(1 + 0.5 * depth * np.interp(t, knots, waves))


def _tones(samples: int, sample_rate: int, partials: dict[float, float], rng: np.random.Generator) -> np.ndarray:
    """Steady sines, Hz to level, each from a random phase and swelling on its own."""
    t = np.arange(samples) / sample_rate
    sound = np.zeros(samples)
    for hertz, level in partials.items():
        sound += level * _swell(samples, sample_rate, 0.4, rng) * sine(hertz * t + rng.random())
    return sound


def _birds(samples: int, sample_rate: int, calls_per_s: float, rng: np.random.Generator) -> np.ndarray:
    """Warbling whistles of 2 to 5 kHz at irregular times, each swelling in and out over 0.2 to 0.4 s."""
    sound = np.zeros(samples)
    for _ in range(max(1, round(calls_per_s * samples / sample_rate))):
        length = round(rng.uniform(0.2, 0.4) * sample_rate)
        t = np.arange(length) / sample_rate
        warble = 0.06 * sine(rng.uniform(8, 16) * t)
        pitch = rng.uniform(2300, 4600) * (1 + rng.uniform(-0.5, 0.5) * (t - t.mean()) + warble)
        call = np.hanning(length) * sine(np.cumsum(pitch) / sample_rate)
        start = int(rng.integers(-length // 2, samples - length // 2))
        first, last = max(0, start), min(samples, start + length)
        sound[first:last] += rng.uniform(0.6, 1.0) * call[first - start : last - start]
    return sound


def _wind(low: float, high: float) -> _Maker:
    """Gusting noise between two frequencies in Hz."""

    def make(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
        return _swell(samples, sample_rate, 0.4, rng) * band_noise(rng, samples, sample_rate, low, high)

    return make


def _night(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Crickets: trills too fast to be heard as beats, over quiet air."""
    t = np.arange(samples) / sample_rate
    sound = 0.12 * band_noise(rng, samples, sample_rate, 100, 6000)
    for hertz in (4150, 4500, 4800):
        trill = 1 + 0.9 * sine(rng.uniform(38, 55) * t + rng.random())
        carrier = sine(hertz * rng.uniform(0.985, 1.015) * t + rng.random())
        sound += _swell(samples, sample_rate, 0.5, rng) * trill * carrier
    return sound


def _grass(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A few birds over a mild breeze."""
    breeze = _swell(samples, sample_rate, 0.3, rng) * band_noise(rng, samples, sample_rate, 150, 900)
    return breeze + 0.12 * band_noise(rng, samples, sample_rate, 900, 7000) + _birds(samples, sample_rate, 1.2, rng)


def _forest(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Many birds over rustling leaves."""
    leaves = _swell(samples, sample_rate, 0.4, rng) * band_noise(rng, samples, sample_rate, 1600, 5000)
    return 0.9 * leaves + 0.1 * band_noise(rng, samples, sample_rate, 80, 600) + 1.2 * _birds(samples, sample_rate, 3.5, rng)


def _sea(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Waves: a low roar, and foam that rises with each wave."""
    t = np.arange(samples) / sample_rate
    wave = 0.5 + 0.5 * sine(rng.uniform(0.3, 0.45) * t + rng.random())
    roar = band_noise(rng, samples, sample_rate, 80, 1000)
    foam = band_noise(rng, samples, sample_rate, 600, 2600)
    return (0.5 + 0.5 * wave) * roar + (0.15 + 0.6 * wave**2) * foam


def _sunset(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A warm pad: a major chord with two harmonics, on one of four roots."""
    root = 174.6 * 2 ** (int(rng.integers(0, 4)) / 12)
    chord = [root * 2 ** (step / 12) for step in (0, 4, 7, 12)]
    partials = {hertz * order: 0.5 ** (order - 1) for hertz in chord for order in (1, 2)}
    return _tones(samples, sample_rate, partials, rng) + 0.05 * band_noise(rng, samples, sample_rate, 100, 3000)


def _city(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Rain, thousands of tiny drops, over the hum of traffic."""
    drops = np.where(rng.random(samples) < 0.15, rng.standard_normal(samples), 0.0)
    patter = lfilter((1.0, -0.6), (1.0, -0.25, 0.3), drops)
    hum = band_noise(rng, samples, sample_rate, 70, 180)
    return 0.4 * patter / patter.std() + hum


def _room(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The hum of the mains, quiet air, and a clock that can barely be heard."""
    sound = _tones(samples, sample_rate, {100.0: 1.0, 200.0: 0.35, 300.0: 0.2, 400.0: 0.1}, rng)
    sound += 0.06 * band_noise(rng, samples, sample_rate, 60, 5000)
    tick = 0.08 * band_noise(rng, round(0.02 * sample_rate), sample_rate, 1800, 3200) * np.hanning(round(0.02 * sample_rate))
    for start in range(int(rng.integers(0, sample_rate)), samples - len(tick), sample_rate):
        sound[start : start + len(tick)] += tick
    return sound


def _space(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A deep drone: close low tones that beat slowly, over the darkest noise."""
    root = rng.uniform(50, 58)
    drone = _tones(samples, sample_rate, {root: 1.0, 1.012 * root: 0.8, 1.5 * root: 0.6, 2.01 * root: 0.3}, rng)
    return drone + 0.2 * band_noise(rng, samples, sample_rate, 30, 140)


def _stage(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A murmuring crowd: the bands of the voice, each waxing and waning on its own."""
    t = np.arange(samples) / sample_rate
    sound = np.zeros(samples)
    for level, low, high in ((1.0, 180, 420), (0.9, 420, 800), (0.5, 1000, 1500), (0.3, 2000, 2600)):
        talk = 1 + 0.3 * sine(rng.uniform(1.5, 3.5) * t + rng.random())
        sound += level * talk * _swell(samples, sample_rate, 0.3, rng) * band_noise(rng, samples, sample_rate, low, high)
    return sound


_MAKERS: dict[str, _Maker] = {
    "sky": _wind(500, 1500),
    "night": _night,
    "grass": _grass,
    "desert": _wind(120, 420),
    "sea": _sea,
    "sunset": _sunset,
    "forest": _forest,
    "snow": _wind(3000, 7600),
    "city": _city,
    "room": _room,
    "space": _space,
    "stage": _stage,
}
PLACES = tuple(_MAKERS)
