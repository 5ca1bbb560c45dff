"""From readings to scores: how much of what was asked is read back, how well sound and picture agree, and the controls.

A control scores the same pictures with the sounds of the other clips of the same kind; it has to come out near ``chance``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch

from pipelines.metrics.readers import CLASSES, SYNC_WINDOW, SyncReader, mel_window, shown
from pipelines.metrics.reading import ClipReading
from pipelines.metrics.selection import Asked
from pipelines.metrics.sync import BEAT_TOLERANCE_S, area_under_curve, lip_sync, match_f1
from pipelines.metrics.temporal import coherence
from pipelines.world.scene import SOUND_CLASSES, Scene, sound_class

_LEAST_MOTION = 0.02  # sides a second: below this a ratio of motions says nothing
_SHIFTS = (-5, -4, -3, 3, 4, 5)
_RANDOM_DRAWS = 40
LEAST_CONTROLLED = 8


@dataclass(frozen=True)
class ClipPair:
    """A clip that was asked for, and what is read in the file."""

    asked: Asked
    reading: ClipReading

    @property
    def scene(self) -> Scene:
        """What was asked for."""
        return self.asked.scene


def attribute(pair: ClipPair, name: str) -> float | None:
    """The share of what was asked of an attribute that is read; ``None`` where the scene shows none of it."""
    wanted = shown(pair.scene, name)
    if not wanted:
        return None
    read = pair.reading.ranked[name][: len(wanted)]
    return len(set(read) & set(wanted)) / len(wanted)


def attributes(pairs: Sequence[ClipPair]) -> dict[str, float]:
    """The score of each attribute, every class counting the same, so that always guessing one class scores chance."""
    return {
        name: _balanced((shown(pair.scene, name)[:1], right) for pair in pairs if (right := attribute(pair, name)) is not None)
        for name in CLASSES
    }


def sounds(pairs: Sequence[ClipPair]) -> float:
    """The share of clips that sound like what was asked, every class of sound counting the same."""
    return _balanced((sound_class(pair.scene), float(pair.reading.sound_class == sound_class(pair.scene))) for pair in pairs)


def _balanced(rows: Iterable[tuple[object, float]]) -> float:
    """The mean over classes of each class's mean; 0 without rows."""
    by_class = defaultdict(list)
    for name, value in rows:
        by_class[name].append(value)
    return float(np.mean([np.mean(values) for values in by_class.values()])) if by_class else 0.0


def chances() -> dict[str, float]:
    """What guessing scores, by attribute, and for ``sound class``."""
    return {name: 1 / len(classes) for name, classes in CLASSES.items()} | {"sound class": 1 / len(SOUND_CLASSES)}


def of_kind(pairs: Sequence[ClipPair], kind: str) -> list[ClipPair]:
    """Those for one sync measure."""
    return [pair for pair in pairs if pair.asked.kind == kind]


Agreement = Callable[[ClipReading, ClipReading], float]
"""How well the picture of the first reading and the sound of the second agree."""


def impact_sync(picture: ClipReading, sound: ClipReading) -> float:
    """F1 of visual contacts and audible onsets within one frame."""
    return match_f1(picture.contacts_s, sound.onsets_s, 1 / picture.frame_rate)


def beat_alignment(picture: ClipReading, sound: ClipReading) -> float:
    """F1 of motion peaks and strong onsets, which are the beats, within 70 ms."""
    return match_f1(picture.motion_peaks_s, sound.onsets_s, BEAT_TOLERANCE_S)


def lip_offset(picture: ClipReading, sound: ClipReading) -> float:
    """1 where mouth and speech fit best within one frame, else 0."""
    return float(lip_sync(picture.mouth_F, sound.envelope_F).holds)


def lip_correlation(picture: ClipReading, sound: ClipReading) -> float:
    """Correlation of the mouth's opening and the loudness of speech, unshifted."""
    return lip_sync(picture.mouth_F, sound.envelope_F).correlation


SYNC_MEASURES: dict[str, tuple[str, Agreement]] = {
    "impact sync": ("impact", impact_sync),
    "lip sync, offset": ("speech", lip_offset),
    "lip sync, correlation": ("speech", lip_correlation),
    "beat alignment": ("dance", beat_alignment),
}


def agreement(pairs: Sequence[ClipPair], name: str) -> float:
    """The mean of one of ``SYNC_MEASURES`` over its kind of clips; 0 without any."""
    kind, measure = SYNC_MEASURES[name]
    found = [measure(pair.reading, pair.reading) for pair in of_kind(pairs, kind)]
    return float(np.mean(found)) if found else 0.0


def control(pairs: Sequence[ClipPair], name: str) -> float | None:
    """The same with the sound of every other clip of the kind; ``None`` below 8 clips, where it says too little."""
    kind, measure = SYNC_MEASURES[name]
    readings = [pair.reading for pair in of_kind(pairs, kind)]
    if len(readings) < LEAST_CONTROLLED:
        return None
    return float(np.mean([measure(picture, sound) for picture, sound in permutations(readings, 2)]))


def sync_chance(pairs: Sequence[ClipPair], name: str) -> float:
    """What unrelated sound scores: as many onsets at random times; a random one of 11 lags; no correlation."""
    if name == "lip sync, offset":
        return 3 / 11
    if name == "lip sync, correlation":
        return 0.0
    rng, kind = np.random.default_rng(0), SYNC_MEASURES[name][0]
    found = []
    for reading in (pair.reading for pair in of_kind(pairs, kind)):
        seen = reading.contacts_s if kind == "impact" else reading.motion_peaks_s
        tolerance = 1 / reading.frame_rate if kind == "impact" else BEAT_TOLERANCE_S
        duration_s = len(reading.mouth_F) / reading.frame_rate
        draws = [rng.uniform(0, duration_s, len(reading.onsets_s)) for _ in range(_RANDOM_DRAWS)]
        found.append(np.mean([match_f1(seen, drawn, tolerance) for drawn in draws]))
    return float(np.mean(found)) if found else 0.0


def sync_auc(pairs: Sequence[ClipPair], net: SyncReader) -> float | None:
    """How often the sync reader finds a speaking clip's own sound better than that sound shifted or another's.

    ``None`` with fewer than two such clips. Shifts are of 3 to 5 frames.
    """
    readings = [pair.reading for pair in of_kind(pairs, "speech")]
    if len(readings) < 2:
        return None
    matched, mismatched = [], []
    for reading, other in zip(readings, [*readings[1:], readings[0]], strict=True):
        first = (len(reading.motion) - SYNC_WINDOW) // 2
        matched.append(_together(net, reading, reading, first, first))
        mismatched.append(_together(net, reading, other, first, first))
        mismatched += [_together(net, reading, reading, first, first + shift) for shift in _SHIFTS]
    return area_under_curve(matched, mismatched)


@torch.inference_mode()
def _together(net: SyncReader, picture: ClipReading, sound: ClipReading, seen_from: int, heard_from: int) -> float:
    motion = picture.motion[seen_from : seen_from + SYNC_WINDOW]
    heard = mel_window(sound.mel, heard_from, SYNC_WINDOW, len(sound.motion))
    return float(net(motion[None], heard[None])[0])


def temporal_ratios(pairs: Sequence[ClipPair], references: Sequence[ClipPair]) -> dict[str, float]:
    """Warp error, flicker and motion against the renders of the same captions, medians over clips.

    The first two are 1 where the error is no larger than the render's; the third is the ratio of motions.
    """
    both = [(pair.reading.temporal, reference.reading.temporal) for pair, reference in zip(pairs, references, strict=True)]
    moving = [made.motion / true.motion for made, true in both if true.motion >= _LEAST_MOTION]
    return {
        "warp error": float(np.median([coherence(made.warp_error, true.warp_error) for made, true in both])),
        "flicker": float(np.median([coherence(made.flicker, true.flicker) for made, true in both])),
        "dynamic degree": float(np.median(moving)) if moving else 1.0,
    }
