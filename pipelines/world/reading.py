"""Reads a clip of the procedural world back into attributes, so that what a prompt asked for can be checked on the result.

Rules over pixels and samples, no model: proven on rendered clips, where the truth is known (``tests/pipelines/world``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipelines.world.renderer import background, coverage
from pipelines.world.scene import COLOURS, PLACES, SHAPES, Pose

_VISIBLE = 0.16
_SILENCE_DBFS = -50.0


@dataclass(frozen=True)
class Reading:
    """What is seen and heard; ``None`` where nothing stands out from the place."""

    place: str
    colour: str | None
    shape: str | None
    action: str | None
    sound: str


@dataclass(frozen=True)
class Track:
    """The mover frame by frame: centre ``x``, ``y`` and ``radius`` (of a disc of equal area) in picture shares."""

    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray


def read(frames_FHWC: np.ndarray, waveform: np.ndarray, sample_rate: int) -> Reading:
    """Attributes of a clip: frames uint8 ``[F, S, S, 3]``, samples ``[n]`` in -1..1."""
    pictures = frames_FHWC.astype(np.float32) / 255
    place = read_place(pictures)
    empty = background(place, pictures.shape[1])
    away = np.abs(pictures - empty).mean(-1)
    away[:, round(0.79 * away.shape[1]) : round(0.86 * away.shape[1])] *= 0.5  # shadows lie here
    weight = np.clip(away - _VISIBLE, 0, None)
    sound = read_sound(waveform, sample_rate)
    if weight.sum(axis=(1, 2)).max() < 0.0005 * away[0].size:
        return Reading(place, None, None, None, sound)
    colour, median = _colour(pictures, weight)
    return Reading(place, colour, _shape(pictures, empty, median), read_action(follow(weight)), sound)


def read_place(pictures_FHWC: np.ndarray) -> str:
    """The place whose empty picture is nearest to the clip's median over time, by the median pixel."""
    still = np.median(pictures_FHWC, axis=0)
    error = {place: float(np.median(np.abs(still - background(place, still.shape[0])).mean(-1))) for place in PLACES}
    return min(error, key=lambda place: error[place])


def follow(weight_FHW: np.ndarray) -> Track:
    """The mover's track from its visibility; frames without it take the clip's mean."""
    size = weight_FHW.shape[1]
    centres = (np.arange(size) + 0.5) / size
    mass = weight_FHW.sum(axis=(1, 2)) + 1e-9
    x = (weight_FHW.sum(axis=1) * centres).sum(1) / mass
    y = (weight_FHW.sum(axis=2) * centres).sum(1) / mass
    radius = np.sqrt((weight_FHW > 0).mean(axis=(1, 2)) / np.pi)
    seen = mass > 0.05 * mass.max()
    return Track(*(np.where(seen, values, values[seen].mean()) for values in (x, y, radius)))


def read_action(track: Track) -> str:
    """The action whose signature the track shows."""
    third = max(1, len(track.x) // 3)

    def change(values: np.ndarray) -> float:
        return float(values[-third:].mean() - values[:third].mean())

    growth = change(track.radius) / float(track.radius.mean())
    if abs(growth) > 0.25:
        return "growing" if growth > 0 else "shrinking"
    if abs(change(track.x)) > 0.12:
        return "drifting right" if change(track.x) > 0 else "drifting left"
    turns = int((np.diff(np.sign(np.diff(track.y)[np.abs(np.diff(track.y)) > 0.004])) != 0).sum())
    height = float(np.ptp(track.y))
    if turns < 2 and change(track.y) < -0.12:
        return "rising"
    if turns >= 2 and height > 0.26:
        return "bouncing"
    if turns >= 2 and height > 0.06:
        return "dancing"
    return "standing"


def read_sound(waveform: np.ndarray, sample_rate: int) -> str:
    """Silence by level, drums by the share of energy below 130 Hz."""
    power = float(np.square(waveform).mean())
    if 10 * np.log10(power + 1e-12) < _SILENCE_DBFS:
        return "silence"
    spectrum = np.square(np.abs(np.fft.rfft(waveform)))
    hertz = np.fft.rfftfreq(len(waveform), 1 / sample_rate)
    low = spectrum[(hertz > 35) & (hertz < 95)].sum() / spectrum.sum()
    return "drums" if low > 0.2 else "natural"


def _colour(pictures: np.ndarray, weight: np.ndarray) -> tuple[str, np.ndarray]:
    """The colour's name, and the mover's own median colour ``[3]``, 0..1."""
    core = weight >= np.quantile(weight[weight > 0], 0.5)
    median = np.median(pictures[core], axis=0)
    return min(COLOURS, key=lambda name: float(np.linalg.norm(median * 255 - np.array(COLOURS[name])))), median


def _shape(pictures: np.ndarray, empty: np.ndarray, colour: np.ndarray) -> str:
    """The shape whose outline overlaps best with what is painted in the mover's colour, over five frames."""
    towards = colour - empty
    size = empty.shape[0]
    score = dict.fromkeys(SHAPES, 0.0)
    for picture in pictures[np.linspace(0, len(pictures) - 1, 5).round().astype(int)]:
        painted = ((picture - empty) * towards).sum(-1) / (np.square(towards).sum(-1) + 1e-3)
        seen = painted > 0.5
        ys, xs = np.nonzero(seen)
        if len(xs) < 20:
            continue
        for shape in SHAPES:
            area, centre = _footprint(shape)
            radius = float(np.sqrt(len(xs) / size**2 / area))
            at = Pose(float(xs.mean() + 0.5) / size, float(ys.mean() + 0.5) / size - centre * radius, radius)
            outline = coverage(shape, at, size) > 0.5
            score[shape] += (seen & outline).sum() / (seen | outline).sum()
    return max(score, key=lambda shape: score[shape])


@lru_cache(maxsize=16)
def _footprint(shape: str) -> tuple[float, float]:
    """Area and height of the centre of mass of a shape of radius 1."""
    outline = coverage(shape, Pose(0.5, 0.5, 0.2), 256)
    rows = (np.arange(256) + 0.5) / 256 - 0.5
    return float(outline.mean()) / 0.04, float((outline.sum(1) * rows).sum() / outline.sum()) / 0.2
