"""One scene of the procedural world: a shape, where it is, what it does, and exactly when it is heard.

Everything that is seen or heard later is a pure function of a ``Scene`` and time, so every clip comes with ground
truth: attributes, positions, and the moments at which picture and sound must meet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SHAPES = ("ball", "cube", "star", "triangle", "heart", "ring")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 40, 44),
    "orange": (245, 138, 31),
    "yellow": (248, 218, 50),
    "green": (38, 166, 75),
    "blue": (42, 92, 226),
    "purple": (142, 62, 190),
    "pink": (248, 130, 182),
    "white": (244, 244, 246),
}
PLACES = ("grass", "night", "sea", "desert", "snow", "sunset")
ACTIONS = ("bouncing", "drifting left", "drifting right", "rising", "growing", "shrinking", "dancing", "standing")
SOUNDS = ("natural", "drums", "silence")

GROUND = 0.80
"""Height of the ground line, as a share of the picture from its top."""


@dataclass(frozen=True)
class Scene:
    """Attributes of one clip. Lengths are shares of the picture's side, times are seconds."""

    shape: str
    colour: str
    place: str
    action: str
    sound: str = "natural"
    radius: float = 0.17
    x: float = 0.5
    phase: float = 0.0
    period_s: float = 0.7
    """Time between two impacts of a bounce or two beats of a dance."""

    @property
    def is_impacting(self) -> bool:
        """Whether the shape strikes the ground at known moments."""
        return self.action in ("bouncing", "dancing")


@dataclass(frozen=True)
class Pose:
    """Where the shape is at one moment: centre and radius in picture shares, turn in radians, squash 1 = none."""

    x: float
    y: float
    radius: float
    angle: float = 0.0
    squash: float = 1.0


def sample(rng: np.random.Generator) -> Scene:
    """A scene drawn evenly over attributes; positions and sizes vary a little around the middle."""
    action = str(rng.choice(ACTIONS))
    sound = "drums" if action == "dancing" else str(rng.choice(SOUNDS, p=(0.7, 0.15, 0.15)))
    return Scene(
        shape=str(rng.choice(SHAPES)),
        colour=str(rng.choice(tuple(COLOURS))),
        place=str(rng.choice(PLACES)),
        action=action,
        sound=sound,
        radius=float(rng.uniform(0.15, 0.19)),
        x=float(rng.uniform(0.40, 0.60)),
        phase=float(rng.uniform(0.0, 0.5)),
        period_s=0.5 if action == "dancing" else float(rng.uniform(0.62, 0.78)),
    )


def impact_times(scene: Scene, duration_s: float) -> list[float]:
    """Seconds at which the shape touches the ground, within the clip; also the moments of its sound."""
    if not scene.is_impacting:
        return []
    first = (1 - scene.phase) * scene.period_s
    count = max(0, math.ceil((duration_s - first) / scene.period_s))
    return [first + k * scene.period_s for k in range(count) if first + k * scene.period_s < duration_s]


def drum_times(scene: Scene, duration_s: float) -> list[float]:
    """Seconds of the drum's beats: the dance's own beats, else a steady half second."""
    if scene.sound != "drums":
        return []
    if scene.action == "dancing":
        return impact_times(scene, duration_s)
    return [0.5 * k for k in range(math.ceil(duration_s / 0.5))]


def pose(scene: Scene, time_s: float, duration_s: float) -> Pose:
    """The shape at ``time_s`` of a clip that lasts ``duration_s``."""
    share = time_s / duration_s
    beat = time_s / scene.period_s + scene.phase
    within = beat % 1.0
    rest = GROUND - scene.radius
    match scene.action:
        case "bouncing":
            height = 4 * within * (1 - within)  # a parabola that meets the ground at whole beats
            near = min(within, 1 - within)
            squash = 1 - 0.28 * max(0.0, 1 - near / 0.09)
            return Pose(scene.x, rest - 0.42 * height + scene.radius * (1 - squash), scene.radius, 0.0, squash)
        case "drifting left" | "drifting right":
            way = 0.56 * (share - 0.5) * (-1 if scene.action.endswith("left") else 1)
            return Pose(0.5 + way, 0.48 + 0.03 * math.sin(2 * math.pi * (share + scene.phase)), scene.radius)
        case "rising":
            return Pose(scene.x, rest - 0.44 * share, scene.radius)
        case "growing":
            return Pose(scene.x, 0.5, scene.radius * (0.55 + 1.15 * share))
        case "shrinking":
            return Pose(scene.x, 0.5, scene.radius * (1.70 - 1.15 * share))
        case "dancing":
            hop = 0.16 * abs(math.sin(math.pi * within))
            side = 0.07 * math.sin(math.pi * beat)
            return Pose(scene.x + side, rest - hop, scene.radius, 0.45 * math.sin(math.pi * beat))
        case _:
            return Pose(scene.x, rest, scene.radius)
