"""Which of several clips is the best in what, from their cards. No torch: the page's server asks this too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.metrics.catalogue import METRICS, Metric

LETTERS = "abcdefgh"
"""What clips beside one another are called."""
_ALIKE = 0.01  # of the metric's span


@dataclass(frozen=True)
class Compared:
    """One measurement of every clip, in the order of the clips, and the index of the best; ``None`` where two are alike."""

    name: str
    values: tuple[float, ...]
    best: int | None


def compared(cards: Sequence[Mapping[str, float]]) -> list[Compared]:
    """The measurements that all cards have, in the order of the card."""
    shared = [metric for metric in METRICS if metric.group != "length" and all(metric.name in card for card in cards)]
    found = []
    for metric in shared:
        values = tuple(card[metric.name] for card in cards)
        found.append(Compared(metric.name, values, _best(metric, values)))
    return found


def _best(metric: Metric, values: Sequence[float]) -> int | None:
    """Whichever value is better than the next by more than a hundredth of the metric's span."""
    badness = [metric.badness(value) for value in values]
    first, second = sorted(badness)[:2]
    return None if second - first <= _ALIKE * (metric.span[1] - metric.span[0]) else badness.index(first)
