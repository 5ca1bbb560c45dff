"""Speech of made-up syllables with exact phoneme times: plans, the mouth's shape, and formant synthesis; mono.

The voice is a band-limited pulse train (Moorer 1976) through a cascade of resonators (Klatt 1980, "Software for a
cascade/parallel formant synthesizer"), vowels at the formants of Peterson and Barney (1952).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import sosfilt

from pipelines.world.impacts import band_noise

VOICES = ("high", "low", "child", "robot")
VOWELS = "aeiou"
CONSONANTS = "mbpstklrw"
_RAMP_S = 0.016  # from one phoneme's sound to the next
_PENTATONIC = (0, 2, 4, 7, 9)  # major, in semitones


@dataclass(frozen=True)
class Phoneme:
    """One of ``VOWELS`` or ``CONSONANTS`` from ``start_s`` to ``end_s``; what no phoneme covers is a pause."""

    symbol: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class _Voice:
    """Pitch in Hz, formants against an adult man's, the frequency by which the pulses lose 8.7 dB, and the buzz in Hz."""

    pitch: float
    formant_scale: float
    tilt_hertz: float
    buzz_hertz: float | None = None


@dataclass(frozen=True)
class _Sound:
    """How a phoneme looks and sounds: opening and width 0..1, RMS against an open a, formants or a burst's band (Hz)."""

    opening: float
    width: float
    level: float
    formants: tuple[float, float, float] | None = None
    noise: tuple[float, float] | None = None
    stops: bool = False  # silent, and the burst at its end


_VOICES = {
    "high": _Voice(210, 1.12, 1500),
    "low": _Voice(105, 0.95, 1400),
    "child": _Voice(310, 1.42, 3000),
    "robot": _Voice(140, 1.0, 6000, buzz_hertz=70),
}
_SOUNDS = {
    "a": _Sound(1.00, 0.50, 1.00, formants=(730, 1090, 2440)),
    "e": _Sound(0.65, 0.80, 0.65, formants=(530, 1840, 2480)),
    "i": _Sound(0.35, 0.95, 0.35, formants=(270, 2290, 3010)),
    "o": _Sound(0.65, 0.20, 0.65, formants=(570, 840, 2410)),
    "u": _Sound(0.35, 0.05, 0.35, formants=(300, 870, 2240)),
    "m": _Sound(0.00, 0.50, 0.08, formants=(250, 1100, 2200)),
    "b": _Sound(0.00, 0.50, 0.06, formants=(200, 800, 2000)),
    "p": _Sound(0.00, 0.50, 0.12, noise=(400, 1600), stops=True),
    "s": _Sound(0.12, 0.70, 0.13, noise=(4200, 7600)),
    "t": _Sound(0.15, 0.60, 0.20, noise=(2800, 6500), stops=True),
    "k": _Sound(0.15, 0.50, 0.20, noise=(1400, 2800), stops=True),
    "l": _Sound(0.25, 0.55, 0.25, formants=(360, 1300, 2700)),
    "r": _Sound(0.25, 0.35, 0.25, formants=(420, 1200, 1600)),
    "w": _Sound(0.15, 0.08, 0.15, formants=(290, 610, 2150)),
}


def plan_speech(duration_s: float, rng: np.random.Generator) -> tuple[Phoneme, ...]:
    """Words of 1 to 3 syllables, 3 to 4 syllables a second, from 0.05 to 0.3 s in; the last ends 0.05 s before the end."""
    phonemes: list[Phoneme] = []
    now = rng.uniform(0.05, 0.3)
    while True:
        for _ in range(int(rng.integers(1, 4))):
            consonant_s, vowel_s = rng.uniform(0.07, 0.09), rng.uniform(0.13, 0.17)
            if now + consonant_s + vowel_s > duration_s - 0.05:
                return tuple(phonemes)
            middle, end = now + consonant_s, now + consonant_s + vowel_s
            phonemes += [Phoneme(_draw(CONSONANTS, rng), now, middle), Phoneme(_draw(VOWELS, rng), middle, end)]
            now = end
        now += rng.uniform(0.07, 0.14)


def plan_song(beats_s: Sequence[float], duration_s: float, rng: np.random.Generator) -> tuple[Phoneme, ...]:
    """One syllable a beat: the vowel begins on the beat and is held; its consonant leads by 0.07 s where there is room."""
    phonemes: list[Phoneme] = []
    for beat, following in zip(beats_s, [*beats_s[1:], math.inf], strict=True):
        end = min(beat + 0.9 * (following - beat), following - 0.1, beat + 0.9, duration_s - 0.03)
        if end - beat < 0.05:
            continue
        consonant = _draw(CONSONANTS, rng)
        if beat >= 0.07:
            phonemes.append(Phoneme(consonant, beat - 0.07, beat))
        phonemes.append(Phoneme(_draw(VOWELS, rng), beat, end))
    return tuple(phonemes)


def _draw(symbols: str, rng: np.random.Generator) -> str:
    return symbols[int(rng.integers(len(symbols)))]


def mouth_opening(phonemes: Sequence[Phoneme], times_s: np.ndarray) -> np.ndarray:
    """How open the mouth is, 0..1 at each of ``times_s`` ``[n]``: 0 in pauses and for m, b, p; 1 for a."""
    return _shape(phonemes, times_s, [_SOUNDS[phoneme.symbol].opening for phoneme in phonemes])


def mouth_width(phonemes: Sequence[Phoneme], times_s: np.ndarray) -> np.ndarray:
    """How wide the mouth is, 0..1 at each of ``times_s`` ``[n]``: about 0 for u and w, 1 for i, 0.5 in pauses."""
    return 0.5 + _shape(phonemes, times_s, [_SOUNDS[phoneme.symbol].width - 0.5 for phoneme in phonemes])


def _shape(phonemes: Sequence[Phoneme], times_s: np.ndarray, targets: Sequence[float]) -> np.ndarray:
    """Targets joined by 40 ms steps that run 10 ms ahead of the sound, as lips do."""
    ahead = np.asarray(times_s, np.float64) + 0.01
    shape = np.zeros(len(ahead))
    for phoneme, target in zip(phonemes, targets, strict=True):
        shape += target * (_step(ahead - phoneme.start_s, 0.04) - _step(ahead - phoneme.end_s, 0.04))
    return shape


def _step(t: np.ndarray, width_s: float) -> np.ndarray:
    """From 0 to 1 over ``width_s`` around ``t`` = 0, smooth at both ends."""
    share = np.clip(t / width_s + 0.5, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def speak(
    phonemes: Sequence[Phoneme],
    voice: str,
    duration_s: float,
    sample_rate: int,
    rng: np.random.Generator,
    melody: bool = False,
) -> np.ndarray:
    """The phonemes said by one of ``VOICES`` (sung where ``melody``) as ``[n]``, peak at most 0.9; pauses are exact zeros."""
    recipe = _VOICES[voice]
    samples = round(duration_s * sample_rate)
    times_s = np.arange(samples) / sample_rate
    source = _pulses(_pitch(phonemes, recipe, times_s, rng, melody), recipe, sample_rate)
    sound = np.zeros(samples)
    for phoneme in phonemes:
        joins = any(math.isclose(other.end_s, phoneme.start_s, abs_tol=1e-6) for other in phonemes)
        joined = any(math.isclose(other.start_s, phoneme.end_s, abs_tol=1e-6) for other in phonemes)
        first_s = phoneme.start_s - (_RAMP_S / 2 if joins else 0)
        last_s = phoneme.end_s + (_RAMP_S / 2 if joined else 0)
        span = slice(max(0, math.ceil(first_s * sample_rate)), min(samples, math.floor(last_s * sample_rate)))
        part = _part(_SOUNDS[phoneme.symbol], source, span, recipe, sample_rate, rng)
        edge = _step(times_s[span] - first_s - _RAMP_S / 2, _RAMP_S) * _step(last_s - _RAMP_S / 2 - times_s[span], _RAMP_S)
        sound[span] += 0.17 * edge * part
    return sound * min(1.0, 0.9 / max(float(np.abs(sound).max(initial=0.0)), 1e-9))


def _pitch(phonemes: Sequence[Phoneme], voice: _Voice, times_s: np.ndarray, rng: np.random.Generator, melody: bool) -> np.ndarray:
    """Hz ``[n]``: a note and vibrato a syllable when sung, else falling with an accent a syllable; the robot's is flat."""
    anchors, pitches = [0.0], [voice.pitch]
    for vowel in (phoneme for phoneme in phonemes if phoneme.symbol in VOWELS):
        if melody:
            pitch = voice.pitch * 2 ** (int(rng.choice(_PENTATONIC)) / 12)
        elif voice.buzz_hertz:
            pitch = voice.pitch
        else:
            pitch = voice.pitch * rng.uniform(0.9, 1.15)
        anchors += [max(anchors[-1], vowel.start_s - 0.02), vowel.end_s]
        pitches += [pitch, pitch if melody or voice.buzz_hertz else 0.93 * pitch]
    vibrato = 0.012 * np.sin(2 * math.pi * 5.5 * times_s) if melody and not voice.buzz_hertz else 0.0
    return np.asarray(np.interp(times_s, anchors, pitches) * (1 + vibrato))


def _pulses(pitch_N: np.ndarray, voice: _Voice, sample_rate: int) -> np.ndarray:
    """Glottal pulses ``[n]`` as the closed sum of harmonics k at ``ratio**k``; a robot's are ring modulated by a buzz."""
    phase = 2 * math.pi * np.cumsum(pitch_N) / sample_rate
    ratio = np.exp(-pitch_N / voice.tilt_hertz)
    squared = ratio**2
    pulses = (1 - squared) / (1 - 2 * ratio * np.cos(phase) + squared) - 1
    if voice.buzz_hertz:
        pulses *= 1 + 0.9 * np.sin(2 * math.pi * voice.buzz_hertz / sample_rate * np.arange(len(phase)))
    return np.asarray(pulses)


def _part(
    sound: _Sound, source: np.ndarray, span: slice, voice: _Voice, sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """A phoneme's samples over ``span`` at its level: voiced from ``source``, hissed, or silent and then a burst."""
    length = span.stop - span.start
    if sound.formants:
        before = min(span.start, round(0.02 * sample_rate))  # the resonators settle
        scale = voice.formant_scale
        sections = [_resonator(hertz * scale, 60 + 0.04 * hertz, sample_rate) for hertz in (*sound.formants, 3600)]
        part = sosfilt(sections, source[span.start - before : span.stop])[before:]
        if voice.buzz_hertz:
            part += 0.15 * part.std() / max(float(source[span].std()), 1e-9) * source[span]
    else:
        part = band_noise(rng, length, sample_rate, *(sound.noise or (100, 7000)))
        if sound.stops:
            part *= np.arange(length) > 0.6 * length
    return np.asarray(sound.level * part / max(float(np.sqrt(np.mean(part**2))), 1e-9))


def _resonator(hertz: float, bandwidth: float, sample_rate: int) -> tuple[float, ...]:
    """Klatt's digital resonator of unit gain at 0 Hz, as a second-order section."""
    last = -math.exp(-2 * math.pi * bandwidth / sample_rate)
    middle = 2 * math.exp(-math.pi * bandwidth / sample_rate) * math.cos(2 * math.pi * hertz / sample_rate)
    return (1 - middle - last, 0.0, 0.0, 1.0, -middle, -last)
