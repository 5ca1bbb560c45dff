"""How a picture holds together in time, and how much it moves; both, because a still picture is perfectly coherent.

Motion is dense optical flow (DIS; Kroeger et al. 2016, arXiv:1603.03590), warp error as in Lai et al. 2018 (arXiv:1808.00449).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from pipelines.optical_flow import DenseFlow, speeds

_CONSISTENT_PX = 1.0  # forward and backward flow differ by less where nothing is hidden
_STILL_PX = 0.3


@dataclass(frozen=True)
class Temporal:
    """``warp_error``: mean change of colours along motion, 0..255; ``flicker``: that of what does not move.

    ``motion`` is in picture sides a second. Smaller errors are better; how much motion is right depends on what was asked for.
    """

    warp_error: float
    flicker: float
    motion: float


Change = tuple[np.ndarray, np.ndarray, np.ndarray]
"""From one frame to the next: the flow ``[H, W, 2]``, the error after warping ``[H, W]``, and what both show ``[H, W]``."""


def temporal(frames_FHWC: np.ndarray, frame_rate: float) -> Temporal:
    """Measures of ``[F, H, W, 3]`` uint8, two frames or more, as means over neighbouring frames."""
    return of_changes(list(changes(frames_FHWC)), frame_rate)


def of_changes(pairs: Sequence[Change], frame_rate: float) -> Temporal:
    """As ``temporal``, from changes that are known already."""
    side = max(pairs[0][1].shape)
    fast = [speeds(flow) for flow, _, _ in pairs]
    motion = float(np.mean([each.mean() for each in fast]))
    warp_error = _mean(np.concatenate([error[seen] for _, error, seen in pairs]))
    flicker = _mean(np.concatenate([error[each < _STILL_PX] for each, (_, error, _) in zip(fast, pairs, strict=True)]))
    return Temporal(warp_error, flicker, motion * frame_rate / side)


def dynamic_degree(pairs: Sequence[Change], frame_rate: float) -> float:
    """Speed of the fastest twentieth of the picture, in picture sides a second, the mean over ``pairs`` (as VBench 2024)."""
    return float(np.mean([fastest(flow) for flow, _, _ in pairs])) * frame_rate / max(pairs[0][1].shape)


def fastest(flow_HW2: np.ndarray) -> float:
    """Mean speed of the fastest twentieth of a flow, in pixels a frame."""
    each = speeds(flow_HW2).ravel()
    count = max(1, len(each) // 20)
    return float(np.partition(each, -count)[-count:].mean())


def drift(frames_FHWC: np.ndarray) -> float:
    """How far the colours of the last quarter are from those of the first, 0..1: half the L1 distance of RGB histograms."""
    quarter = max(1, len(frames_FHWC) // 4)
    first, last = (_histogram(part) for part in (frames_FHWC[:quarter], frames_FHWC[-quarter:]))
    return float(np.abs(first - last).sum() / 2)


def _histogram(frames_FHWC: np.ndarray) -> np.ndarray:
    coarse = frames_FHWC.reshape(-1, 3).astype(np.int64) >> 5
    counts = np.bincount((coarse[:, 0] << 6) | (coarse[:, 1] << 3) | coarse[:, 2], minlength=512).reshape(8, 8, 8)
    smooth: np.ndarray = counts.astype(np.float64)
    for axis in range(3):  # a colour at the edge of a bin is in both, so that codec noise moves nothing
        padded = np.pad(smooth, [(1, 1) if each == axis else (0, 0) for each in range(3)], mode="edge")
        smooth = np.mean([np.take(padded, range(start, start + 8), axis) for start in range(3)], axis=0)
    return smooth / smooth.sum()


def changes(frames_FHWC: np.ndarray) -> Iterator[Change]:
    """What happens between each two neighbours of ``[F, H, W, 3]`` uint8."""
    flow = DenseFlow()
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_FHWC]
    height, width = greys[0].shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    for (one, two), (grey, following) in zip(pairwise(frames_FHWC), pairwise(greys), strict=True):
        forward, backward = flow.between(grey, following), flow.between(following, grey)
        to_x, to_y = x + forward[..., 0], y + forward[..., 1]
        warped = cv2.remap(two.astype(np.float32), to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        returned = cv2.remap(backward, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
        seen = inside & (speeds(forward + returned) < _CONSISTENT_PX)
        yield forward, np.abs(warped - one).mean(-1), seen


def _mean(values_N: np.ndarray) -> float:
    return float(values_N.mean()) if len(values_N) else 0.0


def coherence(made: float, truth: float) -> float:
    """How close an error comes to that of the ground truth: 1 where it is no larger. Half a grey level counts as nothing."""
    return min(1.0, (truth + 0.5) / (made + 0.5))
