"""Whether picture and sound happen together: onsets, contacts, lips and beats, each from pixels and samples alone.

Times are seconds; frame ``k`` shows the moment ``k / frame_rate``. A control is the same measure with another clip's sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import librosa
import numpy as np

BEAT_TOLERANCE_S = 0.07
MAX_LAG = 5
"""Frames by which lips may be early or late before they count as unrelated."""
_HOP_S = 0.008
_STRONG = 0.3  # of a clip's strongest onset
_LEAST_RISE = 0.05  # less is no onset but the grain of noise
_COMPRESSION, _LAG = 30.0, 3
_LEAST_CONTACT = 0.35
_STRONG_MOTION = 0.4
_LEAST_FIT = 0.5
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


def onsets(waveform_N: np.ndarray, sample_rate: int) -> np.ndarray:
    """When something distinctly begins to sound, rising; none in silence or steady noise.

    Spectral flux on mel bands, each against its neighbours a moment ago (Böck and Widmer 2013, "Maximum filter vibrato
    suppression"), compressed so that loud bands count most; what is far weaker than the clip's strongest onset is left out.
    """
    hop = round(_HOP_S * sample_rate)
    if len(waveform_N) < 8 * hop or float(np.abs(waveform_N).max()) < 1e-4:
        return np.zeros(0)
    spectrum = librosa.feature.melspectrogram(
        y=np.asarray(waveform_N, np.float32), sr=sample_rate, n_fft=4 * hop, hop_length=hop, n_mels=40, fmax=8000, power=1.0
    )
    level = np.log1p(_COMPRESSION * spectrum / spectrum.max()) / np.log1p(_COMPRESSION)
    around = np.pad(level, ((1, 1), (0, 0)), mode="edge")
    highest = np.maximum(level, np.maximum(around[:-2], around[2:]))
    rise = np.concatenate([np.zeros(_LAG), np.maximum(0, level[:, _LAG:] - highest[:, :-_LAG]).mean(0)])
    peaks = librosa.util.peak_pick(rise, pre_max=6, post_max=6, pre_avg=12, post_avg=12, delta=_LEAST_RISE, wait=15)
    return np.array([(peak - 1) * hop / sample_rate for peak in peaks if rise[peak] >= _STRONG * rise.max()])


def match_f1(found_s: Sequence[float] | np.ndarray, truth_s: Sequence[float] | np.ndarray, tolerance_s: float) -> float:
    """F1 of the best one-to-one matching within ``tolerance_s``; 0 where either list is empty."""
    found, truth = sorted(found_s), sorted(truth_s)
    if not found or not truth:
        return 0.0
    matched = position = 0
    for time_s in truth:  # both rise, so the earliest that still fits is always a best choice
        while position < len(found) and found[position] < time_s - tolerance_s - 1e-9:
            position += 1
        if position < len(found) and found[position] <= time_s + tolerance_s + 1e-9:
            matched += 1
            position += 1
    return 2 * matched / (len(found) + len(truth))


def contacts(logits_F: np.ndarray, frame_rate: float) -> np.ndarray:
    """When things touch, from each frame's logit of a contact: peaks, placed between frames by a parabola."""
    shows = 1 / (1 + np.exp(-np.asarray(logits_F, np.float64)))
    return peaks_of(shows, _LEAST_CONTACT, 3) / frame_rate


def motion_peaks(frames_FHWC: np.ndarray, frame_rate: float) -> np.ndarray:
    """When most of the picture ``[F, H, W, 3]`` uint8 changes: peaks of the luma's change from frame to frame."""
    luma = frames_FHWC.astype(np.float32) @ _LUMA
    change = np.abs(np.diff(luma, axis=0)).mean((1, 2))
    spread = change.max() - np.median(change)
    if len(change) < 3 or spread < 0.2:
        return np.zeros(0)
    return (peaks_of(change, float(np.median(change) + _STRONG_MOTION * spread), 2) + 0.5) / frame_rate


def peaks_of(values_N: np.ndarray, least: float, apart: int) -> np.ndarray:
    """Positions of local maxima of at least ``least``, the higher of two closer than ``apart``, refined by a parabola."""
    padded = np.concatenate([[-np.inf], values_N, [-np.inf]])
    highest = (padded[1:-1] >= padded[:-2]) & (padded[1:-1] > padded[2:]) & (values_N >= least)
    chosen: list[int] = []
    for at in sorted(np.flatnonzero(highest), key=lambda at: -values_N[at]):
        if all(abs(at - other) >= apart for other in chosen):
            chosen.append(int(at))
    return np.array([at + _vertex(values_N, at) for at in sorted(chosen)], np.float64)


def _vertex(values_N: np.ndarray, at: int) -> float:
    """Where between its neighbours, -0.5..0.5, the parabola through a peak and them is highest."""
    if not 0 < at < len(values_N) - 1:
        return 0.0
    before, peak, after = values_N[at - 1 : at + 2]
    curve = before - 2 * peak + after
    return float(np.clip(0.5 * (before - after) / curve, -0.5, 0.5)) if curve < 0 else 0.0


def envelope(waveform_N: np.ndarray, sample_rate: int, frame_rate: float, num_frames: int) -> np.ndarray:
    """Loudness around each frame's moment ``[F]``: RMS of two frames' sound under a Hann window."""
    window = round(2 * sample_rate / frame_rate)
    weights = np.hanning(window)
    padded = np.pad(np.asarray(waveform_N, np.float64), (window, 2 * window))
    starts = [round(frame * sample_rate / frame_rate) + window - window // 2 for frame in range(num_frames)]
    return np.array([np.sqrt((weights * padded[start : start + window] ** 2).sum() / weights.sum()) for start in starts])


@dataclass(frozen=True)
class LipSync:
    """By how many frames the sound is later than the lips at its best fit, and the correlation there and without a shift.

    ``offset`` is ``None`` where either does not move at all.
    """

    offset: int | None
    best: float
    correlation: float

    @property
    def holds(self) -> bool:
        """Whether the best fit is within one frame, and a fit at all: syllables are regular, so some lag fits a little."""
        return self.offset is not None and abs(self.offset) <= 1 and self.best >= _LEAST_FIT


def lip_sync(opening_F: np.ndarray, envelope_F: np.ndarray) -> LipSync:
    """The mouth's opening against the loudness of speech, both a value a frame, over lags of up to ``MAX_LAG`` frames."""
    found = {lag: _correlation(*_lagged(opening_F, envelope_F, lag)) for lag in range(-MAX_LAG, MAX_LAG + 1)}
    if found[0] is None:
        return LipSync(None, 0.0, 0.0)
    known = {lag: value for lag, value in found.items() if value is not None}
    offset = max(known, key=lambda lag: (known[lag], -abs(lag)))
    return LipSync(offset, known[offset], known[0])


def _lagged(opening_F: np.ndarray, envelope_F: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """The parts that meet when the sound is taken ``lag`` frames later."""
    count = len(opening_F)
    return opening_F[max(0, -lag) : count - max(0, lag)], envelope_F[max(0, lag) : count - max(0, -lag)]


def _correlation(one: np.ndarray, two: np.ndarray) -> float | None:
    if one.std() < 0.02 or two.std() < 1e-4:
        return None
    return float(np.corrcoef(one, two)[0, 1])


def area_under_curve(matched: Sequence[float], mismatched: Sequence[float]) -> float:
    """How often a matched score is above a mismatched one (ties count half): 0.5 is chance. Raises ``ValueError`` if empty."""
    if not len(matched) or not len(mismatched):
        raise ValueError("an AUC needs scores of both kinds")
    one, two = np.asarray(matched)[:, None], np.asarray(mismatched)[None]
    return float((one > two).mean() + 0.5 * (one == two).mean())
