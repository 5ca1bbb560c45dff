"""The figures of a report: each score beside its ceiling, its chance, its control, its floor and its target."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from pipelines.metrics.readers import CLASSES, READERS_FOLDER, load_readers
from pipelines.metrics.scores import (
    SYNC_MEASURES,
    ClipPair,
    agreement,
    attributes,
    chances,
    control,
    sounds,
    sync_auc,
    sync_chance,
    temporal_ratios,
)

_CONTROL_MARGIN = 0.15
_LEAST_CEILING = 0.05
_TIMES_CHANCE = 3.0
_SYNC_GATES = {
    "impact sync": (0.60, 0.90),
    "lip sync, offset": (0.60, 0.95),
    "lip sync, correlation": (0.60, 0.95),
    "beat alignment": (0.60, 0.85),
}


@dataclass(frozen=True)
class Figure:
    """One measure. ``judged`` says what ``floor`` and ``target`` are about.

    ``share``: the model's score as a share of the ceiling's; ``value``: the model's own score; ``around one``: the ratio is
    at least ``floor`` and at most as much above 1; ``reported``: nothing. ``control`` is of the ceiling's
    clips, ``control_model`` of the model's, both with another clip's sound.
    """

    name: str
    judged: Literal["share", "value", "around one", "reported"]
    model: float
    unit: str = ""
    renders: float | None = None
    ceiling: float | None = None
    chance: float | None = None
    control: float | None = None
    control_model: float | None = None
    floor: float | None = None
    target: float | None = None
    times_chance: float | None = None

    @property
    def share(self) -> float | None:
        """The model's score as a share of the ceiling's; ``None`` where there is no ceiling, or none worth the name."""
        return self.model / self.ceiling if self.ceiling is not None and self.ceiling > _LEAST_CEILING else None

    @property
    def judged_value(self) -> float:
        """What is compared with floor and target."""
        if self.judged == "share":
            return self.share or 0.0
        return min(self.model, 2 - self.model) if self.judged == "around one" else self.model

    @property
    def control_holds(self) -> bool:
        """Whether unrelated sound scores near chance, and true sound clearly above it; if not, the measure itself is wrong."""
        if self.control is None or self.chance is None or self.ceiling is None:
            return True
        return self.control <= self.chance + _CONTROL_MARGIN and self.ceiling >= self.control + _CONTROL_MARGIN

    @property
    def beats_chance(self) -> bool:
        """Whether the model is ``times_chance`` above guessing, and above its own pictures with other clips' sound."""
        above = self.times_chance is None or self.chance is None or self.model >= self.times_chance * self.chance
        return above and (self.control_model is None or self.model >= self.control_model + _CONTROL_MARGIN)

    @property
    def holds(self) -> bool:
        """Whether the floor is reached, chance is beaten, and the control is near chance."""
        return self.control_holds and self.beats_chance and (self.floor is None or self.judged_value >= self.floor)

    @property
    def reaches_target(self) -> bool:
        """Whether the target is reached."""
        return self.target is None or self.judged_value >= self.target


@dataclass(frozen=True)
class Evidence:
    """The same captions three times, in the same order, and what the codecs lose: PSNR in dB, distance of ``log_mel``."""

    renders: Sequence[ClipPair]
    ceiling: Sequence[ClipPair]
    model: Sequence[ClipPair]
    psnr_db: float
    mel_distance: float

    def unseen(self) -> Evidence:
        """Only the combinations that training never saw."""
        renders, ceiling, model = (
            [pair for pair in pairs if pair.asked.is_unseen] for pairs in (self.renders, self.ceiling, self.model)
        )
        return replace(self, renders=renders, ceiling=ceiling, model=model)


def figures(evidence: Evidence) -> tuple[Figure, ...]:
    """All figures, in the order of the report."""
    return (*_attribute_figures(evidence), *_sync_figures(evidence), *_other_figures(evidence))


def _attribute_figures(evidence: Evidence) -> Iterator[Figure]:
    renders, ceiling, model = (attributes(pairs) for pairs in (evidence.renders, evidence.ceiling, evidence.model))
    guess = chances()
    for name in CLASSES:
        yield Figure(
            name, "share", model[name], "", renders[name], ceiling[name], guess[name],
            target=0.95, times_chance=_TIMES_CHANCE,
        )  # fmt: skip
    known = fmean(guess[name] for name in CLASSES)
    yield Figure(
        "attributes, mean", "share", fmean(model.values()), "", fmean(renders.values()), fmean(ceiling.values()), known,
        floor=0.70, target=0.95,
    )  # fmt: skip
    few = evidence.unseen()
    means = [fmean(attributes(pairs).values()) for pairs in (few.model, few.renders, few.ceiling)]
    yield Figure("unseen combinations", "share", means[0], "", means[1], means[2], known, floor=0.60, target=0.90)


def _sync_figures(evidence: Evidence) -> Iterator[Figure]:
    for name, (floor, target) in _SYNC_GATES.items():
        assert name in SYNC_MEASURES
        yield Figure(
            name, "share", agreement(evidence.model, name), renders=agreement(evidence.renders, name),
            ceiling=agreement(evidence.ceiling, name),
            chance=sync_chance(evidence.ceiling, name), control=control(evidence.ceiling, name),
            control_model=control(evidence.model, name), floor=floor, target=target,
        )  # fmt: skip
    net = load_readers().sync
    made, true, best = (sync_auc(pairs, net) for pairs in (evidence.model, evidence.renders, evidence.ceiling))
    if made is not None:
        yield Figure("lip sync, AUC", "reported", made, "", true, best, chance=0.5)


def _other_figures(evidence: Evidence) -> Iterator[Figure]:
    ratios, best = temporal_ratios(evidence.model, evidence.renders), temporal_ratios(evidence.ceiling, evidence.renders)
    for name in ("warp error", "flicker"):
        yield Figure(f"{name} against renders", "value", ratios[name], "", 1.0, best[name], floor=0.85, target=0.95)
    name = "dynamic degree"
    yield Figure(f"{name} against renders", "around one", ratios[name], "", 1.0, best[name], floor=0.70, target=0.90)
    heard = [sounds(pairs) for pairs in (evidence.model, evidence.renders, evidence.ceiling)]
    yield Figure("sound class", "share", heard[0], "", heard[1], heard[2], chances()["sound class"], floor=0.60, target=0.90)
    yield Figure("picture codec, PSNR", "value", evidence.psnr_db, "dB", floor=27.0, target=32.0)
    yield Figure("sound codec, log-mel distance", "reported", evidence.mel_distance)
    for name, right in reader_accuracy().items():
        yield Figure(f"reader of {name}, on renders", "value", right, floor=0.97)


def reader_accuracy() -> dict[str, float]:
    """What share of held-out renders the released readers read rightly, by attribute and for the sound class."""
    told = json.loads((READERS_FOLDER / "accuracy.json").read_text(encoding="utf-8"))
    return {name: float(told[name]) for name in (*CLASSES, "sound class")}
