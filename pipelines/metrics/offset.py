"""By how much the sound of any clip is late, and whether that is more than chance: no readers, no knowledge of the world.

Offsets are seconds, above 0 where the sound is late. Confidence is the share of soundtracks with as many events at random
times (or the same loudness in another order) that fit the picture worse at every offset: a permutation test of the maximum,
so that looking at many offsets is paid for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.metrics.sync import peaks_of
from pipelines.optical_flow import speeds

LARGEST_S = 0.5
"""Offsets looked at, both ways."""
_STEP_S = 0.01
_DRAWS = 200
_LEAST_EVENTS = 2
_STRONG = 0.4
_AROUND = 2
_LEAST_TURN_PX = 0.5
_MOST_EVENTS = 40
_BLOCKS_S = 0.25
_NEARNESS = 0.1  # what is lost at the largest offset: of two that fit alike the smaller is likelier


@dataclass(frozen=True)
class Offset:
    """The best offset and how surely it is one, 0..1."""

    offset_s: float
    confidence: float


def contacts_of(flows_PHWC: list[np.ndarray], frame_rate: float) -> np.ndarray:
    """When something seems to hit something, in seconds, from the optical flow of neighbouring frames ``[H, W, 2]``.

    What moves fastest against the background turns upwards, or its parts turn from each other. Gravity alone only ever turns
    things downwards, and does not count. Each moment is compared over two frames before and after: things squash as they hit.
    """
    if len(flows_PHWC) < 2 * _AROUND:
        return np.zeros(0)
    motion = np.array([_motion(flow) for flow in flows_PHWC])
    sums = np.concatenate([np.zeros((1, 2)), motion.cumsum(0)])
    before, after = sums[_AROUND:-_AROUND] - sums[: -2 * _AROUND], sums[2 * _AROUND :] - sums[_AROUND:-_AROUND]
    strength = np.maximum(0, (after - before) / _AROUND).sum(1)
    if strength.max() < _LEAST_TURN_PX:
        return np.zeros(0)
    return (peaks_of(strength, _STRONG * float(strength.max()), 3) + _AROUND) / frame_rate


def _motion(flow_HWC: np.ndarray) -> tuple[float, float]:
    """How fast, in pixels a frame, the fastest part of the picture moves upwards, and how fast it moves apart sideways."""
    against = flow_HWC - np.median(flow_HWC, axis=(0, 1))
    speed = speeds(against)
    fast = speed >= max(0.3, 0.5 * float(np.percentile(speed, 99)))
    if not fast.any():
        return 0.0, 0.0
    x = np.nonzero(fast)[1].astype(np.float64)
    place = (x - x.mean()) / max(float(x.std()), 1.0)
    return -float(against[..., 1][fast].mean()), float((place * against[..., 0][fast]).mean())


def of_events(seen_s: np.ndarray, heard_s: np.ndarray, duration_s: float, frame_rate: float) -> Offset | None:
    """How moments seen and heard fit; ``None`` with fewer than two of either.

    The fit at an offset is the number of pairs within about a third of a frame (Gaussian), over the geometric mean of the counts.
    """
    seen, heard = seen_s[:_MOST_EVENTS], heard_s[:_MOST_EVENTS]
    if len(seen) < _LEAST_EVENTS or len(heard) < _LEAST_EVENTS:
        return None
    width_s = max(0.35 / frame_rate, 0.02)
    lags = _lags()
    fit = _event_fits(seen, heard[None], lags, width_s)[0]
    drawn = np.random.default_rng(0).uniform(0, duration_s, (_DRAWS, len(heard)))
    control = _event_fits(seen, drawn, lags, width_s).max(1)
    best = int(fit.argmax())
    return Offset(float(lags[best]), float((control < fit[best] - 1e-9).mean()))


def of_curves(seen_F: np.ndarray, heard_F: np.ndarray, frame_rate: float) -> Offset | None:
    """How two curves of one value a frame fit, such as a mouth's opening and loudness; ``None`` where either stands still.

    The fit at an offset is their correlation; the control hears the same quarters of a second in another order.
    """
    reach = min(round(LARGEST_S * frame_rate), len(seen_F) // 3)
    if reach < 1 or seen_F.std() < 0.02 or heard_F.std() < 1e-4:
        return None
    rng = np.random.default_rng(0)
    heard_RF = np.stack([heard_F, *(_reordered(heard_F, frame_rate, rng) for _ in range(_DRAWS))])
    fit, *control = _curve_fits(seen_F, heard_RF, reach)
    best = int(fit.argmax())
    shift = best + _between(fit, best) - reach
    return Offset(shift / frame_rate, float((np.max(control, axis=1) < fit[best] - 1e-9).mean()))


def surest(found: dict[str, Offset]) -> Offset | None:
    """The offset of the kind with the highest confidence, that confidence corrected for the number of kinds (Bonferroni)."""
    if not found:
        return None
    best = max(found.values(), key=lambda offset: (offset.confidence, -abs(offset.offset_s)))
    return Offset(best.offset_s, max(0.0, 1 - len(found) * (1 - best.confidence)))


def _lags() -> np.ndarray:
    steps = round(LARGEST_S / _STEP_S)
    return np.arange(-steps, steps + 1) * _STEP_S


def _event_fits(seen_S: np.ndarray, heard_RN: np.ndarray, lags_L: np.ndarray, width_s: float) -> np.ndarray:
    """``[R, L]``: the fit of each of ``R`` lists of moments at each offset."""
    distance = (heard_RN[:, None, :] - seen_S[None, :, None]).reshape(len(heard_RN), -1)
    fits = np.stack([np.exp(-0.5 * np.square((distance - lag) / width_s)).sum(1) for lag in lags_L], axis=1)
    return fits / np.sqrt(len(seen_S) * heard_RN.shape[1]) * (1 - _NEARNESS * np.abs(lags_L) / LARGEST_S)


def _curve_fits(seen_F: np.ndarray, heard_RF: np.ndarray, reach: int) -> np.ndarray:
    """``[R, L]``: correlations with each of ``R`` sounds, taken ``-reach .. reach`` frames later."""
    count, fits = len(seen_F), []
    for lag in range(-reach, reach + 1):
        one_F = seen_F[max(0, -lag) : count - max(0, lag)]
        two_RF = heard_RF[:, max(0, lag) : count - max(0, -lag)]
        one_F, two_RF = one_F - one_F.mean(), two_RF - two_RF.mean(1, keepdims=True)
        scale = np.sqrt((one_F @ one_F) * np.square(two_RF).sum(1))
        fits.append(np.divide(two_RF @ one_F, scale, out=np.zeros(len(scale)), where=scale > 1e-9))
    return np.stack(fits, axis=1)


def _reordered(heard_F: np.ndarray, frame_rate: float, rng: np.random.Generator) -> np.ndarray:
    size = max(2, round(_BLOCKS_S * frame_rate))
    turned = np.roll(heard_F, int(rng.integers(len(heard_F))))
    blocks = [turned[start : start + size] for start in range(0, len(turned), size)]
    return np.concatenate([blocks[at] for at in rng.permutation(len(blocks))])


def _between(fit: np.ndarray, at: int) -> float:
    """Where between whole frames, -0.5..0.5, the parabola through the best fit and its neighbours is highest."""
    if not 0 < at < len(fit) - 1:
        return 0.0
    before, peak, after = fit[at - 1 : at + 2]
    curve = before - 2 * peak + after
    return float(np.clip(0.5 * (before - after) / curve, -0.5, 0.5)) if curve < 0 else 0.0
