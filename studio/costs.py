"""What clips cost: the seconds that the library's own took, at what an hour of the machine costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Price:
    """What an hour of the machine costs, in any currency, and for which share of it the machine makes clips (0 to 1]."""

    an_hour: float
    utilisation: float = 1.0

    def of(self, seconds: float) -> float:
        """What so many seconds of work cost: idle time is paid for, too."""
        return seconds / 3600 * self.an_hour / self.utilisation


@dataclass(frozen=True)
class Cost:
    """Clips of one kind: how many were measured, seconds of work and money for each, and for each second of clip."""

    model: str
    shape: str
    steps: int
    effort: str
    clips: int
    seconds: float
    price: float
    price_a_second: float


def costs(clips: Iterable[Mapping[str, Any]], price: Price) -> list[Cost]:
    """By model, size, length, steps and effort, the most frequent first; ``clips`` are generated ones as the API tells them."""
    kinds: dict[tuple[str, str, int, str, float], list[float]] = {}
    for clip in clips:
        request = clip["request"]
        if request["kind"] != "generate":
            continue
        shape = f"{clip['width']}x{clip['height']}, {clip['num_frames']} frames"
        kind = (request["model"], shape, request["num_inference_steps"], request["effort"], clip["duration_s"])
        kinds.setdefault(kind, []).append(sum(clip["stage_seconds"].values()))
    found = []
    for (model, shape, steps, effort, duration_s), spent in kinds.items():
        each = price.of(median(spent))
        found.append(Cost(model, shape, steps, effort, len(spent), round(median(spent), 3), each, each / duration_s))
    return sorted(found, key=lambda cost: (-cost.clips, cost.model, cost.shape))
