"""What jumps where an edit's new frames meet the kept ones: colour, sharpness and motion, against what the clip does anyway."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from pipelines.metrics.picture import sharpness
from pipelines.metrics.temporal import Change, fastest

_REACH = 6  # frames on each side of a seam
_CELLS = 4
_SEEN = 0.2  # of the picture: where less is seen in all three frames, everything counts
_FLAT = 0.5  # grey levels: between pictures with hardly an edge there is no ratio of sharpness


def seam_metrics(frames_FHWC: np.ndarray, pairs: list[Change], frame_rate: float, imagined: tuple[int, int]) -> dict[str, float]:
    """Measurements ``seam.*`` of ``[F, H, W, 3]`` uint8 and the changes between its neighbours.

    ``imagined`` is the first new frame and the first kept one after; they run over the end where the second is the smaller, as
    in a loop. A seam at the clip's edge is none.
    """
    start, end = imagined
    count = len(frames_FHWC)
    wraps = start > end
    bounds = {
        "in": (end if wraps else 0, start, count if wraps else end),
        "out": (0 if wraps else start, end, start if wraps else count),
    }
    found: dict[str, float] = {}
    for side, (low, at, high) in bounds.items():
        if not 0 < at < count:
            continue
        low, high = max(low, at - _REACH), min(high, at + _REACH)
        found[f"seam.{side}_s"] = at / frame_rate
        found[f"seam.{side}_colour"] = colour_jump(frames_FHWC[low:high], at - low)
        before, after = (_sharp(part) for part in (frames_FHWC[low:at], frames_FHWC[at:high]))
        new, kept = (after, before) if side == "in" else (before, after)
        found[f"seam.{side}_sharpness"] = (new + _FLAT) / (kept + _FLAT)
        jump = motion_jump(pairs[low : high - 1], at - low)
        if jump is not None:
            found[f"seam.{side}_motion"] = jump * frame_rate / max(frames_FHWC.shape[1:3])
    return found


def colour_jump(frames_FHWC: np.ndarray, at: int) -> float:
    """By how much the colours change more from frame ``at - 1`` to ``at`` than between any other two neighbours.

    The mean distance in CIELAB (CIE 1976) of the mean colours of 4x4 fields of the picture, 0 where another step is larger.
    """
    steps = [float(np.linalg.norm(two - one, axis=-1).mean()) for one, two in pairwise(map(_fields, frames_FHWC))]
    seam = steps.pop(at - 1)
    return max(0.0, seam - max(steps, default=0.0))


def _fields(frame_HW3: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(frame_HW3.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return cv2.resize(lab, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)


def _sharp(frames_FHWC: np.ndarray) -> float:
    return float(np.mean([sharpness(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)) for frame in frames_FHWC]))


def motion_jump(pairs: list[Change], at: int) -> float | None:
    """By how much the motion changes more at the seam than elsewhere, in pixels a frame; ``None`` where a side is one frame.

    ``pairs`` lead from each frame to the next, ``at`` is the first frame after the seam. A change is the length of the difference
    of two flows in a row, the mean over the fastest twentieth of the picture; those that have a part in the step over the
    seam are compared with the largest of the others.
    """
    if not 0 < at - 1 < len(pairs) - 1:
        return None
    changes = [_turn(one, two) for one, two in pairwise(pairs)]
    seam = max(changes[at - 2], changes[at - 1])
    return max(0.0, seam - max([*changes[: at - 2], *changes[at:]], default=0.0))


def _turn(one: Change, two: Change) -> float:
    """How far two flows in a row differ, where both can be trusted: at the picture's edges a flow is a guess."""
    change, seen = two[0] - one[0], one[2] & two[2]
    return fastest(change[seen] if seen.mean() >= _SEEN else change)
