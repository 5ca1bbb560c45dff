"""The colours of a stretch of frames brought to those of the frames beside it.

Mean and deviation of each channel of the whole picture are moved (Reinhard et al. 2001, "Color transfer between images"; in RGB,
where a cast is a gain and an offset) by what they differ where the stretch begins and where it ends; in between the one
correction goes over into the other.
"""

from __future__ import annotations

import numpy as np

_BESIDE = 3  # frames on either side of a seam that are averaged
_GAIN = (0.5, 2.0)
Colours = tuple[np.ndarray, np.ndarray]
"""Mean and deviation, or gain and offset, of the three channels, each ``[3]``."""


def matched(frames_FHWC: np.ndarray, start: int, end: int) -> np.ndarray:
    """``frames_FHWC`` uint8 with frames ``start`` to ``end`` (not included) corrected; the others are the same, bit for bit.

    A stretch that reaches an end of the clip has one neighbour, whose correction counts for all of it.
    """
    new = frames_FHWC[start:end]
    seams = []
    if start > 0:
        seams.append((frames_FHWC[max(0, start - _BESIDE) : start], new[:_BESIDE]))
    if end < len(frames_FHWC):
        seams.append((frames_FHWC[end : end + _BESIDE], new[-_BESIDE:]))
    corrections = [_correction(_colours(kept), _colours(found)) for kept, found in seams]
    result = frames_FHWC.copy()
    for at, frame in enumerate(new):
        share = (at + 0.5) / len(new)
        gain, offset = ((1 - share) * one + share * two for one, two in zip(corrections[0], corrections[-1], strict=True))
        result[start + at] = (frame * gain + offset).round().clip(0, 255).astype(np.uint8)
    return result


def _colours(frames_FHWC: np.ndarray) -> Colours:
    pixels = frames_FHWC.reshape(-1, 3).astype(np.float64)
    return pixels.mean(0), pixels.std(0)


def _correction(wanted: Colours, found: Colours) -> Colours:
    """Gain and offset that give ``found`` the mean and, within limits, the deviation of ``wanted``."""
    gain = ((wanted[1] + 1) / (found[1] + 1)).clip(*_GAIN)  # deviations of next to nothing make no gain
    return gain, wanted[0] - gain * found[0]
