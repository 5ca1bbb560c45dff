"""The procedural world: captioned clips with sound and ground truth, made from a seed and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.world.captions import caption
from pipelines.world.motion import Events, events
from pipelines.world.renderer import render
from pipelines.world.scene import Scene, Subject, is_held_out, sample, sample_held_out
from pipelines.world.sounds import synthesize


@dataclass(frozen=True)
class WorldClip:
    """``frames`` ``[F, S, S, 3]`` uint8, ``waveform`` ``[n]`` float32, words, attributes and what happens when."""

    frames: np.ndarray
    waveform: np.ndarray
    caption: str
    scene: Scene
    events: Events


def make_clip(
    scene: Scene, *, num_frames: int = 25, frame_rate: float = 12.0, size: int = 128, sample_rate: int = 16_000
) -> WorldClip:
    """The clip of one scene; equal scenes give equal clips."""
    duration_s = num_frames / frame_rate
    return WorldClip(
        frames=render(scene, num_frames, frame_rate, size),
        waveform=synthesize(scene, duration_s, sample_rate),
        caption=caption(scene),
        scene=scene,
        events=events(scene, duration_s),
    )


__all__ = [
    "Events",
    "Scene",
    "Subject",
    "WorldClip",
    "caption",
    "events",
    "is_held_out",
    "make_clip",
    "sample",
    "sample_held_out",
]
