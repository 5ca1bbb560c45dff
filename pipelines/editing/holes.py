"""A laid-out clip for models that are given frames and a mask: what stays, and grey where something new comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipelines.editing.layout import Layout, resized, seen
from pipelines.editing.plan import EditPlan

_GREY = 128
_KEPT = 0.5  # a guide at least so strong stays as it is; a weaker one is mixed in afterwards


@dataclass(frozen=True)
class Holes:
    """``frames`` ``[T, H, W, 3]`` uint8 of the window, and ``mask`` ``[T, H, W]``: where something new comes."""

    frames: np.ndarray
    mask: np.ndarray


def holes_of(layout: Layout, plan: EditPlan, group: int) -> Holes:
    """The window of ``plan``; ``group`` frames are one latent of the model."""
    window = plan.window
    assert window is not None
    size = (window.num_frames, window.height, window.width)
    if layout.frames is None:  # a picture for a clip that has none
        return Holes(np.full((*size, 3), _GREY, np.uint8), np.ones(size, bool))
    mask = np.zeros(size, bool)
    mask[len(layout.frames) - window.start :] = True  # past the clip's end; thrown away later
    for frame in range(plan.video.start, plan.video.end):
        guide = layout.guides.get(frame)
        if guide is not None and guide.strength >= _KEPT:
            continue
        within = np.ones(size[1:], bool)
        if layout.region is not None:
            region = layout.region[frame][None, ..., None].astype(np.float32)
            within = resized(region, window.height, window.width).reshape(size[1:]) > 0  # what it touches at all
        mask[frame - window.start] = within
    frames = seen(layout, window, group)
    frames[mask] = _GREY
    return Holes(frames, mask)


def between(shape: tuple[int, int, int], ends: Mapping[int, np.ndarray], followed: np.ndarray | None = None) -> Holes:
    """A clip of ``shape`` ``[T, H, W]``, all of it new but for the frames in ``ends``, ``[H, W, 3]`` each.

    Frames that are ``followed`` ``[F, H, W, 3]`` lie where something new comes: poses, depths, edges, whatever the model reads.
    """
    frames, mask = np.full((*shape, 3), _GREY, np.uint8), np.ones(shape, bool)
    if followed is not None:
        frames[: len(followed)] = followed
    for frame, picture in ends.items():
        frames[frame], mask[frame] = picture, False
    return Holes(frames, mask)
