"""How loud a sound is, and whether it is clipped or silent."""

from __future__ import annotations

import numpy as np
import pyloudnorm

from pipelines.clip_io import Sound

_BLOCK_S = 0.4  # the gating block of BS.1770: nothing shorter has a loudness
_SURROUND, _FIVE_OF_SIX = 6, (0, 1, 2, 4, 5)
_FULL_SCALE = 0.999
_RUN = 3
_STEP_S, _SILENT_DBFS = 0.02, -60.0
_FLOOR_DBFS = -120.0


def sound_metrics(sound: Sound) -> dict[str, float]:
    """Loudness (LUFS), peak (dBFS), shares of clipped samples and of silent time; no loudness for silence or under 0.4 s.

    Of 5.1 (front left, right, centre, low frequencies, back left, right) the low frequencies do not count (BS.1770); more
    channels have no loudness here.
    """
    samples_CN = sound.samples
    found = {"sound.peak_dbfs": decibels(float(np.abs(samples_CN).max(initial=0.0)))}
    counted_CN = samples_CN[list(_FIVE_OF_SIX)] if len(samples_CN) == _SURROUND else samples_CN
    if samples_CN.shape[1] >= _BLOCK_S * sound.sample_rate and len(counted_CN) <= len(_FIVE_OF_SIX):
        loudness = float(pyloudnorm.Meter(sound.sample_rate).integrated_loudness(counted_CN.T.astype(np.float64)))
        if np.isfinite(loudness):  # all blocks under the gate: silence has no loudness
            found["sound.lufs"] = loudness
    found["sound.clipped"] = clipped(samples_CN)
    found["sound.silence"] = silence(samples_CN, sound.sample_rate)
    return found


def clipped(samples_CN: np.ndarray) -> float:
    """The share of samples that lie in runs of three or more at full scale: one alone is a peak, a run is cut off."""
    full = np.abs(samples_CN) >= _FULL_SCALE
    if full.shape[1] < _RUN:
        return 0.0
    begins = full[:, :-2] & full[:, 1:-1] & full[:, 2:]
    inside = np.zeros_like(full)
    for shift in range(_RUN):
        inside[:, shift : inside.shape[1] - _RUN + 1 + shift] |= begins
    return float(inside.mean())


def silence(samples_CN: np.ndarray, sample_rate: int) -> float:
    """The share of steps of 20 ms whose RMS is under -60 dBFS in every channel; 1 for no sound at all."""
    step = max(1, round(_STEP_S * sample_rate))
    count = samples_CN.shape[1] // step
    if not count:
        return 1.0
    power = np.square(samples_CN[:, : count * step].reshape(len(samples_CN), count, step)).mean(2).max(0)
    return float((power < 10 ** (_SILENT_DBFS / 10)).mean())


def decibels(level: float) -> float:
    """An amplitude in dB of full scale, -120 at the least."""
    return max(_FLOOR_DBFS, 20 * float(np.log10(level))) if level > 0 else _FLOOR_DBFS
