"""One scene of the procedural world: who is where, what happens, how it is filmed and what is heard.

Everything that is seen or heard later is a pure function of a ``Scene`` and time, so every clip comes with ground truth.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.world.words import ACTIONS, CAMERAS, COLOURS, LOOKS, MATERIALS, PLACES, SHAPES, SPRITES, TALKERS, VEHICLES, VOICES

MUSIC = ("drums", "electronic", "soft")
SHAPE_MATERIALS = {"ball": "rubber", "cube": "wood", "star": "glass", "triangle": "wood", "heart": "rubber", "ring": "metal"}
_METAL_THINGS = (*VEHICLES, "bell", "robot", "crown")
_WOODEN_THINGS = ("gift", "guitar", "pumpkin", "carrot", "pineapple", "mushroom", "cookie", "umbrella", "turtle", "crab", "boat")
PAIR_ACTIONS = ("colliding", "bouncing", "dancing", "standing still")
_SOLO_ACTIONS = tuple(action for action in ACTIONS if action not in ("talking", "singing", "colliding"))
IDENTITIES = 24
"""How many talkers of each style there are."""


@dataclass(frozen=True)
class Subject:
    """One thing or character. ``drawing`` is one of two of a sprite, or the identity of a talker; shapes have a ``colour``."""

    name: str
    radius: float = 0.19
    x: float = 0.5
    drawing: int = 0
    colour: str | None = None
    material: str = "rubber"

    @property
    def is_shape(self) -> bool:
        """Whether it is a plain geometric shape."""
        return self.name in SHAPES

    @property
    def is_talker(self) -> bool:
        """Whether it has a mouth."""
        return self.name in TALKERS


@dataclass(frozen=True)
class Scene:
    """Attributes of one clip. Lengths are shares of the picture's side, times are seconds.

    ``sound`` is ``natural`` (what action, place and voice sound like), a kind of music, or ``silence``. ``period_s`` is the
    time between two impacts of a bounce, two collisions, or two beats; ``phase`` where in it the clip begins; ``direction``
    where a roll or an orbit goes; ``seed`` decides what is said and every noise.
    """

    subjects: tuple[Subject, ...]
    place: str
    action: str
    camera: str = "still"
    look: str = "flat"
    sound: str = "natural"
    voice: str | None = None
    phase: float = 0.0
    period_s: float = 0.7
    height: float = 0.42
    direction: int = 1
    seed: int = 0

    @property
    def subject(self) -> Subject:
        """The first, or only, one."""
        return self.subjects[0]

    @property
    def has_beat(self) -> bool:
        """Whether there is music or a dance, so that ``period_s`` is a beat."""
        return self.sound in MUSIC or self.action in ("dancing", "singing")

    @property
    def tempo(self) -> str | None:
        """``slow`` below 100 beats a minute, ``fast`` above 135, ``None`` between, or where there is no music."""
        if self.sound not in MUSIC:
            return None
        return "slow" if self.period_s > 0.6 else "fast" if self.period_s < 60 / 135 else None


def from_record(record: dict[str, Any]) -> Scene:
    """The scene that ``dataclasses.asdict`` turned into ``record``."""
    subjects = tuple(Subject(**subject) for subject in record["subjects"])
    return Scene(**{**record, "subjects": subjects})


def default_material(name: str) -> str:
    """What a thing sounds like when nobody says what it is made of."""
    if name in SHAPE_MATERIALS:
        return SHAPE_MATERIALS[name]
    return "metal" if name in _METAL_THINGS else "wood" if name in _WOODEN_THINGS else "rubber"


def is_held_out(scene: Scene) -> bool:
    """Whether the scene pairs a subject with a place, or with an action, that training never pairs: one pair in twelve."""
    pairs = (f"{scene.subject.name}+{scene.place}", f"{scene.subject.name}+{scene.action}")
    return not scene.subject.is_talker and any(zlib.crc32(pair.encode()) % 12 == 0 for pair in pairs)


def sample(rng: np.random.Generator) -> Scene:
    """A scene for training: drawn over all attributes, never one of the held-out combinations."""
    while True:
        scene = draw(rng)
        if not is_held_out(scene):
            return scene


def sample_held_out(rng: np.random.Generator) -> Scene:
    """A scene that training never shows: its attributes are known, their combination is not."""
    while True:
        scene = draw(rng)
        if is_held_out(scene):
            return scene


def draw(rng: np.random.Generator) -> Scene:
    """Any scene of the world."""
    kind = str(rng.choice(("shape", "sprite", "talker", "pair"), p=(0.30, 0.38, 0.20, 0.12)))
    voice = None
    sound = str(rng.choice(("natural", *MUSIC, "silence"), p=(0.76, 0.05, 0.05, 0.05, 0.09)))
    if kind == "talker":
        action = str(rng.choice(("talking", "singing", "dancing", "standing still"), p=(0.55, 0.25, 0.1, 0.1)))
        if action in ("talking", "singing"):
            voice, sound = str(rng.choice(tuple(VOICES))), "natural"
    else:
        action = str(rng.choice(PAIR_ACTIONS if kind == "pair" else _SOLO_ACTIONS))
    if action == "dancing" and sound == "natural":
        sound = str(rng.choice(MUSIC))
    return Scene(
        subjects=tuple(_subjects(kind, rng)),
        place=str(rng.choice(tuple(PLACES))),
        action=action,
        camera=str(rng.choice(tuple(CAMERAS), p=(0.65, 0.07, 0.07, 0.07, 0.07, 0.07))),
        look=str(rng.choice(tuple(LOOKS), p=(0.6, 0.1, 0.1, 0.1, 0.1))),
        sound=sound,
        voice=voice,
        phase=float(rng.uniform(0.0, 1.0)),
        period_s=_period(action, sound, rng),
        height=float(rng.uniform(0.26, 0.46)),
        direction=int(rng.choice((-1, 1))),
        seed=int(rng.integers(2**31)),
    )


def _period(action: str, sound: str, rng: np.random.Generator) -> float:
    if action == "colliding" or (action == "bouncing" and sound not in MUSIC):
        return float(rng.uniform(0.62, 0.82)) * (1.25 if action == "colliding" else 1.0)
    return 60 / float(rng.uniform(80, 160))


def _subjects(kind: str, rng: np.random.Generator) -> Iterator[Subject]:
    if kind == "talker":
        name, drawing = str(rng.choice(tuple(TALKERS))), int(rng.integers(IDENTITIES))
        yield Subject(name, float(rng.uniform(0.27, 0.31)), float(rng.uniform(0.46, 0.54)), drawing)
    elif kind == "pair":
        for x in (0.29, 0.71):
            yield _thing(rng, float(rng.uniform(0.15, 0.17)), x)
    else:
        yield _thing(rng, float(rng.uniform(0.18, 0.22)), float(rng.uniform(0.42, 0.58)), is_shape=kind == "shape")


def _thing(rng: np.random.Generator, radius: float, x: float, is_shape: bool | None = None) -> Subject:
    if is_shape is None:
        is_shape = bool(rng.random() < 0.5)
    if not is_shape:
        name = str(rng.choice(tuple(SPRITES)))
        return Subject(name, radius, x, int(rng.integers(2)), None, default_material(name))
    name = str(rng.choice(tuple(SHAPES)))
    material = default_material(name) if rng.random() < 0.6 else str(rng.choice(tuple(MATERIALS)))
    return Subject(name, radius, x, 0, str(rng.choice(tuple(COLOURS))), material)


def sound_class(scene: Scene) -> str:
    """What a listener would say this is: ``silence``, a kind of music, a voice, a material, a movement, or a place's ambience.

    Movements are ``glide`` (rising, growing, shrinking) and ``whoosh`` (drifting, spinning, orbiting).
    """
    if scene.sound != "natural":
        return scene.sound
    match scene.action:
        case "talking" | "singing":
            return f"{scene.voice} voice"
        case "bouncing" | "colliding" | "falling" | "rolling":
            return scene.subject.material
        case "rising" | "growing" | "shrinking":
            return "glide"
        case "drifting left" | "drifting right" | "spinning" | "orbiting":
            return "whoosh"
        case _:
            return f"{scene.place} ambience"


SOUND_CLASSES = (
    "silence",
    *MUSIC,
    *(f"{voice} voice" for voice in VOICES),
    *MATERIALS,
    "glide",
    "whoosh",
    *(f"{place} ambience" for place in PLACES),
)
