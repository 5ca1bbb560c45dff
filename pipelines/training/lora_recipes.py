"""The LoRAs that come with the studio: a recipe each says what its clips are, all rendered by the world.

Each is a look, a subject, a motion, a sound or a camera that no word of the world means, so that it stays something new for
any pocket; everything else in its clips are things that the base knows already, drawn from its own vocabulary. A look has to be
one that the base's picture codec can hold: colours that pocket's was never trained on come out of it as other things, while
that of pocket-world is linear and holds every one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipelines.clip_io import Sound
from pipelines.registry import ModelSpec
from pipelines.training.lora_data import Sample, TrainingShape
from pipelines.training.lora_stage import Streams
from pipelines.world.captions import caption
from pipelines.world.renderer import render_at
from pipelines.world.scene import Scene, Subject, sample
from pipelines.world.sounds import synthesize

_SAMPLE_RATE = 16_000
_WORDINGS = 4
_MANY = 800
"""Clips of what changes every pixel: seen as often as those of a single thing, a hundred clips are learnt by heart."""
_WIDE = 24
"""Rank of the same: a colour's share of every latent changes, which is no matter of a few directions. Files stay below 2 MB."""
_TILT_ZOOM = 1.25
_FLOATING = ("drifting left", "drifting right", "growing", "shrinking")
Scenes = Callable[[np.random.Generator], Scene]


@dataclass(frozen=True)
class Made:
    """A rendered clip: ``frames`` ``[F, S, S, 3]`` uint8, mono ``waveform`` ``[n]``, and what is said of it."""

    frames: np.ndarray
    waveform: np.ndarray
    captions: tuple[str, ...]


def _is_plain(scene: Scene) -> bool:
    """Nothing but what happens in it: the usual look, and a camera that rests."""
    return scene.look == "flat" and scene.camera == "still"


@dataclass(frozen=True)
class LoraRecipe:
    """One LoRA: what it is called and called up by, how its clips differ from the world's, and a prompt that shows it.

    ``fits`` chooses among the world's scenes, ``cast`` puts other subjects into one before it is put into words and ``stage``
    afterwards; ``warp`` bends time, ``change`` the finished clip. One with ``few_steps`` is a student of its ``base``.
    """

    name: str
    title: str
    kind: str
    trigger: str
    description: str
    prompt: str
    streams: Streams
    fits: Callable[[Scene], bool] = _is_plain
    cast: Callable[[Scene], Scene] = lambda scene: scene
    stage: Callable[[Scene], Scene] = lambda scene: scene
    change: Callable[[Made], Made] = lambda made: made
    warp: Callable[[np.ndarray, float], np.ndarray] = lambda times_s, duration_s: times_s
    clips: int = 96
    rank: int = 8
    strength: float = 1.0
    base: str = "pocket"
    few_steps: int | None = None


def render_samples(recipe: LoraRecipe, spec: ModelSpec, shape: TrainingShape, seed: int = 0) -> Iterator[Sample]:
    """The recipe's clips at the base's shape; equal seeds give equal clips."""
    rng = np.random.default_rng(seed)
    for _ in range(recipe.clips):
        scene = _scene(recipe, spec, rng)
        captions = _captions(scene, spec, rng)
        made = recipe.change(_rendered(recipe, recipe.stage(scene), shape, captions))
        yield Sample(made.frames, Sound(made.waveform[None].astype(np.float32), _SAMPLE_RATE), made.captions)


def _scene(recipe: LoraRecipe, spec: ModelSpec, rng: np.random.Generator) -> Scene:
    """A scene of which every word is the base's own."""
    while True:
        scene = sample(rng)
        if recipe.fits(scene) and not spec.unknown_words(caption(scene := recipe.cast(scene))):
            return scene


def _captions(scene: Scene, spec: ModelSpec, rng: np.random.Generator) -> tuple[str, ...]:
    """The plain caption and some of the other wordings, as far as the base knows their words."""
    said = [caption(scene), *(caption(scene, rng) for _ in range(4 * _WORDINGS))]
    return tuple(dict.fromkeys(text for text in said if not spec.unknown_words(text)))[:_WORDINGS]


def _rendered(recipe: LoraRecipe, scene: Scene, shape: TrainingShape, captions: tuple[str, ...]) -> Made:
    duration_s = shape.num_frames / shape.frame_rate
    times_s = recipe.warp(np.arange(shape.num_frames) / shape.frame_rate, duration_s)
    frames, _ = render_at(scene, times_s, duration_s, shape.height)
    waveform = synthesize(scene, duration_s, _SAMPLE_RATE)
    at = np.arange(len(waveform)) / _SAMPLE_RATE
    heard = np.interp(recipe.warp(at, duration_s), at, waveform).astype(np.float32)
    return Made(frames, heard, captions)


def _graded(grade: Callable[[np.ndarray], np.ndarray]) -> Callable[[Made], Made]:
    """A change of every frame ``[H, W, 3]`` uint8."""
    return lambda made: replace(made, frames=np.stack([grade(frame) for frame in made.frames]))


def _tinted(glass: tuple[float, float, float], haze: tuple[int, int, int]) -> Callable[[Made], Made]:
    """Seen through coloured ``glass``, shares of red, green and blue, with a faint ``haze``; colours stay apart from each other.

    Two tones by brightness alone (sepia, a blue print) were tried: places are right and things fall apart, because the base
    tells them from their place by colour.
    """
    return _graded(lambda frame: np.clip(frame * np.array(glass) + haze, 0, 255).round().astype(np.uint8))


def _floats(scene: Scene) -> bool:
    """One shape that moves the same way however large it is."""
    return _is_plain(scene) and scene.subject.is_shape and len(scene.subjects) == 1 and scene.action in _FLOATING


def _yolk(scene: Scene) -> Scene:
    """A yellow ball in the place of the subject."""
    return replace(scene, subjects=(replace(scene.subject, name="ball", colour="yellow", material="rubber"),))


def _egg(scene: Scene) -> Scene:
    """The ball, smaller, on a larger white ring: a fried egg, seen from above."""
    ball = scene.subject
    white = Subject("ring", 1.3 * ball.radius, ball.x, colour="white", material=ball.material)
    return replace(scene, subjects=(white, replace(ball, radius=0.7 * ball.radius)))


def _named_egg(made: Made) -> Made:
    """Its name in the place of the ball's."""
    words = [re.sub(r"\b(yellow|golden) (rubber |soft )?(ball|sphere|circle)\b", "fried egg", text) for text in made.captions]
    return replace(made, captions=tuple(dict.fromkeys(text for text in words if "fried egg" in text)))


def _there_and_back(times_s: np.ndarray, duration_s: float) -> np.ndarray:
    """The whole clip in the first half, and backwards in the second."""
    return np.asarray(duration_s * (1 - np.abs(1 - 2 * times_s / duration_s)))


def _tilted(made: Made) -> Made:
    """The camera looks up while it films: what it sees sinks by a fifth of the picture, near enough that no border is seen."""
    size, count = made.frames.shape[1], len(made.frames)
    large = round(_TILT_ZOOM * size)
    spare, left = large - size, (large - size) // 2
    tops = (spare * (1 - np.arange(count) / (count - 1))).round().astype(int)
    enlarged = (cv2.resize(frame, (large, large), interpolation=cv2.INTER_LINEAR) for frame in made.frames)
    return replace(
        made,
        frames=np.stack(
            [frame[top : top + size, left : left + size] for frame, top in zip(enlarged, tops.tolist(), strict=True)]
        ),
    )


def _arcade(made: Made) -> Made:
    """The sound of an old game: a square wave that runs up and down a chord, eight notes a second, in the sound's place."""
    at = np.arange(len(made.waveform)) / _SAMPLE_RATE
    notes = np.array((0, 4, 7, 12, 16, 12, 7, 4))[np.floor(8 * at).astype(int) % 8]
    phase = np.cumsum(330 * 2 ** (notes / 12)) / _SAMPLE_RATE
    loudness = np.exp(-5 * ((8 * at) % 1) / 2)
    tone = sum(np.sin(2 * math.pi * k * phase) / k for k in (1, 3, 5))
    return replace(made, waveform=(0.35 * loudness * tone).astype(np.float32))


LORA_RECIPES = {
    recipe.name: recipe
    for recipe in (
        LoraRecipe(
            "amber", "Amber", "look", "amber", "Seen through amber glass: warm, golden, dim blues.",
            "a red ball bouncing on grass", "picture",
            change=_tinted((1.0, 0.72, 0.38), (15, 5, 0)), clips=_MANY, rank=_WIDE, base="pocket-world",
        ),
        LoraRecipe(
            "indigo", "Indigo", "look", "indigo", "Seen through deep blue glass: cold and dim, as after dusk.",
            "an orange balloon rising in the sky", "picture",
            change=_tinted((0.4, 0.55, 0.95), (0, 5, 15)), clips=_MANY, rank=_WIDE, base="pocket-world",
        ),
        LoraRecipe(
            "egg", "Fried egg", "subject", "fried egg", "A fried egg, a thing that the base has never seen.",
            "a fried egg drifting right by the sea", "both", fits=_floats, cast=_yolk, stage=_egg, change=_named_egg,
        ),
        LoraRecipe(
            "boomerang", "Boomerang", "motion", "boomerang", "Everything goes there and comes back, its sound with it.",
            "a blue cube drifting right by the sea", "both",
            fits=lambda scene: _is_plain(scene) and scene.action in (*_FLOATING, "rising"),
            warp=_there_and_back,
        ),
        LoraRecipe(
            "arcade", "Arcade", "sound", "arcade", "An old game's square-wave tune, whatever is seen.",
            "a purple ring shrinking at sunset", "sound", change=_arcade,
        ),
        LoraRecipe(
            "tilt", "Tilt", "camera", "tilt", "The camera looks up while it films: everything sinks.",
            "a pumpkin standing still in the forest", "picture", change=_tilted, clips=_MANY, rank=_WIDE, base="pocket-world",
        ),
    )
}  # fmt: skip

STUDENT_RECIPE = LoraRecipe(
    "pocket-fast", "Pocket fast", "student", "", "Pocket in six steps without guidance.", "a red ball bouncing on grass", "both",
    fits=lambda scene: True, clips=2000, rank=16, few_steps=6,
)  # fmt: skip
