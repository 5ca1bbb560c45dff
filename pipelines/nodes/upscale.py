"""Frames to larger frames."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

from pipelines.contract import Event, Progress
from pipelines.graph import Context, Node, Wire


class Upscale(Node):
    """The picture ``factor`` times as wide and high, by the upscaler in ``folder``; ``weights`` is the upscaler's hash."""

    model: str
    folder: str
    weights: str
    frames: Wire
    factor: Literal[1, 2, 4]

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns frames ``[F, factor*H, factor*W, 3]`` as a uint8 array; yields every few frames."""
        from pathlib import Path

        import numpy as np

        from pipelines.models.upscaler import enlarge, load_upscaler

        frames = inputs["frames"]
        if self.factor == 1:
            return frames
        count, height, width, _ = frames.shape
        yield Progress("enlarge", 0, count)
        upscaler = load_upscaler(Path(self.folder), context.model(self.model).device)
        larger = np.empty((count, self.factor * height, self.factor * width, 3), np.uint8)
        done = 0
        for part in enlarge(upscaler, frames, self.factor, context.thrift.enlarge_pixels):
            larger[done : done + len(part)] = part
            done += len(part)
            yield Progress("enlarge", done, count)
        return larger
