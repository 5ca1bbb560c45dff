"""Where everything is at each moment, and exactly when it touches, beats and speaks: pure functions of a scene and time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipelines.world.scene import Scene, Subject
from pipelines.world.speech import Phoneme, mouth_opening, mouth_width, plan_song, plan_speech

GROUND = 0.80
"""Height of the ground line, as a share of the picture from its top."""
_SKY = 0.14
_GAP = 0.20


@dataclass(frozen=True)
class Pose:
    """Where a subject is at one moment: centre and radius in picture shares, turn in radians, squash 1 = none.

    ``mouth_open`` and ``mouth_wide`` are 0..1.
    """

    x: float
    y: float
    radius: float
    angle: float = 0.0
    squash: float = 1.0
    mouth_open: float = 0.0
    mouth_wide: float = 0.5


@dataclass(frozen=True)
class Impact:
    """One contact: when, how hard (0..1), and which subject's material is heard."""

    time_s: float
    strength: float
    subject: int


@dataclass(frozen=True)
class Events:
    """What picture and sound must share: contacts, beats (seconds) and what is said."""

    impacts: tuple[Impact, ...]
    beats_s: tuple[float, ...]
    phonemes: tuple[Phoneme, ...]

    def mouth_opening(self, times_s: np.ndarray) -> np.ndarray:
        """How far the mouth is open at each of the times, 0..1; zeros when nothing is said."""
        return mouth_opening(self.phonemes, times_s) if self.phonemes else np.zeros(len(times_s))


@lru_cache(maxsize=256)
def events(scene: Scene, duration_s: float) -> Events:
    """The event list of a scene that lasts ``duration_s``."""
    beats = tuple(_whole(scene, duration_s)) if scene.has_beat else ()
    rng = np.random.default_rng(scene.seed)
    phonemes: tuple[Phoneme, ...] = ()
    if scene.action == "talking":
        phonemes = plan_speech(duration_s, rng)
    elif scene.action == "singing":
        phonemes = plan_song(beats, duration_s, rng)
    return Events(tuple(_impacts(scene, duration_s)), beats, phonemes)


def _whole(scene: Scene, duration_s: float) -> list[float]:
    """The moments at which a whole number of periods has passed."""
    first = (1 - scene.phase) * scene.period_s
    count = max(0, math.ceil((duration_s - first) / scene.period_s))
    return [first + k * scene.period_s for k in range(count) if first + k * scene.period_s < duration_s - 0.02]


def _impacts(scene: Scene, duration_s: float) -> list[Impact]:
    match scene.action:
        case "bouncing":
            strength = 0.35 + 1.3 * (scene.height - 0.2)
            return [Impact(t, strength, k) for t in _whole(scene, duration_s) for k in range(len(scene.subjects))]
        case "colliding":
            return [Impact(t, 0.7, k) for t in _whole(scene, duration_s) for k in (0, 1)]
        case "falling":
            return [Impact(_landing(scene, duration_s), 0.9, 0)]
        case _:
            return []


def _landing(scene: Scene, duration_s: float) -> float:
    return duration_s * (0.35 + 0.35 * scene.phase)


def poses(scene: Scene, times_s: np.ndarray, duration_s: float) -> list[tuple[Pose, ...]]:
    """The subjects' poses at each of the times."""
    said = events(scene, duration_s).phonemes
    opening, width = (mouth_opening(said, times_s), mouth_width(said, times_s)) if said else (times_s * 0, times_s * 0 + 0.5)
    return [
        tuple(_pose(scene, k, float(t), duration_s, (float(o), float(w))) for k in range(len(scene.subjects)))
        for t, o, w in zip(times_s, opening, width, strict=True)
    ]


def _pose(scene: Scene, index: int, time_s: float, duration_s: float, mouth: tuple[float, float]) -> Pose:
    subject, beat = scene.subjects[index], time_s / scene.period_s + scene.phase
    match scene.action:
        case "bouncing":
            return _bounce(subject, beat % 1.0, scene.height)
        case "falling":
            return _fall(subject, time_s, _landing(scene, duration_s))
        case "dancing":
            return _dance(subject, beat)
        case "colliding":
            return _collide(scene, index, beat)
        case "talking" | "singing":
            sway = 0.06 * math.sin(math.pi * beat) if scene.action == "singing" else 0.0
            return Pose(subject.x, GROUND - 0.8 * subject.radius, subject.radius, sway, 1.0, *mouth)
        case _:
            return _glide(scene, subject, time_s / duration_s)


def _glide(scene: Scene, subject: Subject, share: float) -> Pose:
    """The actions that go evenly through the clip; ``share`` is how much of it is over."""
    x, radius, rest = subject.x, subject.radius, GROUND - subject.radius
    turn = 2 * math.pi * share * scene.direction
    match scene.action:
        case "rolling":
            way = 0.56 * (share - 0.5) * scene.direction
            return Pose(0.5 + way, rest, radius, way / radius)
        case "drifting left" | "drifting right":
            way = 0.56 * (share - 0.5) * (-1 if scene.action.endswith("left") else 1)
            return Pose(0.5 + way, 0.48 + 0.03 * math.sin(2 * math.pi * (share + scene.phase)), radius)
        case "rising":
            return Pose(x, rest - 0.40 * share, radius)
        case "spinning":
            return Pose(x, 0.52, radius, 2 * turn)
        case "growing":
            return Pose(x, 0.5, radius * (0.5 + 1.0 * share))
        case "shrinking":
            return Pose(x, 0.5, radius * (1.5 - 1.0 * share))
        case "orbiting":
            angle = turn + 2 * math.pi * scene.phase
            return Pose(0.5 + 0.24 * math.cos(angle), 0.46 + 0.20 * math.sin(angle), 0.8 * radius)
        case _:
            return Pose(x, rest, radius)


def _squashed(subject: Subject, time_to_contact: float, softness: float) -> tuple[float, float]:
    """Squash near a contact, and the height of the centre that keeps the foot on the ground."""
    squash = 1 - 0.28 * max(0.0, 1 - abs(time_to_contact) / softness)
    return squash, GROUND - subject.radius * squash


def _bounce(subject: Subject, within: float, height: float) -> Pose:
    squash, foot = _squashed(subject, min(within, 1 - within), 0.12)
    return Pose(subject.x, foot - height * 4 * within * (1 - within), subject.radius, 0.0, squash)


def _fall(subject: Subject, time_s: float, landing_s: float) -> Pose:
    squash, foot = _squashed(subject, time_s - landing_s, 0.10)
    drop = min(1.0, time_s / landing_s) ** 2
    return Pose(subject.x, _SKY + (foot - _SKY) * drop, subject.radius, 0.0, squash)


def _dance(subject: Subject, beat: float) -> Pose:
    """A lean to the other side on every beat, fastest exactly on it, so that motion peaks are beats."""
    nearest = round(beat)
    turn = math.tanh(7.0 * (beat - nearest)) * (1 if nearest % 2 else -1)
    return Pose(subject.x + 0.07 * turn, GROUND - subject.radius, subject.radius, 0.40 * turn)


def _collide(scene: Scene, index: int, beat: float) -> Pose:
    subject = scene.subjects[index]
    away = 1 - abs(1 - 2 * (beat % 1.0))  # 0 at contact, 1 half-way between
    side = -1 if index == 0 else 1
    return Pose(0.5 + side * (subject.radius + _GAP * away), GROUND - subject.radius, subject.radius, 0.0)
