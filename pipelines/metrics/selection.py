"""Which captions are measured: drawn with fixed seeds that training never uses, with enough of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.contract import InvalidRequest
from pipelines.world.captions import caption
from pipelines.world.scene import MUSIC, Scene, sample, sample_held_out

FIRST_SEED = 10_000_000
"""Training draws from generators with small seeds; clip ``i`` of evaluation ``seed`` from ``FIRST_SEED + 100_000 seed + i``."""
KINDS = ("impact", "speech", "dance", "any")
LEAST_CLIPS = 6
_SHARES = (0.2, 0.2, 0.2)


@dataclass(frozen=True)
class Asked:
    """One clip to be made: what for, from which seed, and whether training never saw its combination."""

    scene: Scene
    kind: str
    seed: int
    is_unseen: bool

    @property
    def prompt(self) -> str:
        """The scene's plain caption, which names everything that is not the default."""
        return caption(self.scene)


def select(clips: int, seed: int = 0) -> list[Asked]:
    """``clips`` scenes: a fifth each with impacts, speech and dances, the rest free; about half of all are unseen combinations.

    Talkers are in no held-out combination, so the other kinds have more of them. Raises ``InvalidRequest`` below 6 clips.
    """
    if clips < LEAST_CLIPS:
        raise InvalidRequest(f"clips is {clips}; every kind of clip needs at least one or two: use {LEAST_CLIPS}.", field="clips")
    counts = [max(1, round(share * clips)) for share in _SHARES]
    kinds = [kind for kind, count in zip(KINDS, [*counts, clips - sum(counts)], strict=True) for _ in range(count)]
    able = [index for index, kind in enumerate(kinds) if kind != "speech"]
    wanted = min(clips // 2, len(able))
    unseen = {able[round(step * len(able) / wanted)] for step in range(wanted)}
    return [_asked(kind, FIRST_SEED + 100_000 * seed + index, index in unseen) for index, kind in enumerate(kinds)]


def _asked(kind: str, seed: int, is_unseen: bool) -> Asked:
    rng = np.random.default_rng(seed)
    drawn: Callable[[np.random.Generator], Scene] = sample_held_out if is_unseen else sample
    while kind not in (kind_of(scene := drawn(rng)), "any"):
        pass
    return Asked(scene, kind_of(scene), seed, is_unseen)


def kind_of(scene: Scene) -> str:
    """Which sync measure a scene is for: one of ``KINDS``."""
    if scene.sound == "natural" and scene.action in ("bouncing", "colliding", "falling"):
        return "impact"
    if scene.sound == "natural" and scene.action in ("talking", "singing"):
        return "speech"
    return "dance" if scene.sound in MUSIC and scene.action == "dancing" else "any"
