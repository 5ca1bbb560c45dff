"""First measurements of every clip, read back from the finished file as a stranger would."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.clip_io import Media, Sound, read_media

_SILENCE_DBFS = -120.0


def measure_file(path: Path) -> dict[str, float]:
    """Measurements of the clip at ``path``: lengths (s), loudness (dBFS), movement and sharpness (0..255 grey levels)."""
    return measure(read_media(path))


def measure(media: Media) -> dict[str, float]:
    """Measurements of a decoded clip; what the clip has no stream for is absent, not zero."""
    found: dict[str, float] = {}
    if media.frames is not None and media.frame_rate:
        found["picture_s"] = len(media.frames) / media.frame_rate
        found |= picture(media.frames)
    if media.sound is not None:
        found["sound_s"] = media.sound.samples.shape[1] / media.sound.sample_rate
        found |= loudness(media.sound)
    if "picture_s" in found and "sound_s" in found:
        found["length_difference_ms"] = 1000 * abs(found["picture_s"] - found["sound_s"])
    return {name: round(value, 4) for name, value in found.items()}


def picture(frames_FHWC: np.ndarray) -> dict[str, float]:
    """``movement``: mean absolute change of luma between frames; ``sharpness``: mean absolute Laplacian of luma."""
    luma = frames_FHWC.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    movement = float(np.abs(np.diff(luma, axis=0)).mean()) if len(luma) > 1 else 0.0
    centre = luma[:, 1:-1, 1:-1]
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    return {"movement": movement, "sharpness": float(np.abs(around - 4 * centre).mean())}


def loudness(sound: Sound) -> dict[str, float]:
    """Root-mean-square and peak level in dB of full scale, silence being -120."""
    rms, peak = float(np.sqrt(np.mean(np.square(sound.samples)))), float(np.abs(sound.samples).max(initial=0.0))
    return {"loudness_dbfs": _decibels(rms), "peak_dbfs": _decibels(peak)}


def _decibels(level: float) -> float:
    return max(_SILENCE_DBFS, 20 * float(np.log10(level))) if level > 0 else _SILENCE_DBFS
