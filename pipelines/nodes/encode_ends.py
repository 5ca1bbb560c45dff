"""The pictures that a clip begins and ends with to clean latents."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, Progress
from pipelines.graph import Context, Node


class EncodeEnds(Node):
    """The images behind ``first`` and ``last``, whichever are given, as the clip's first and last latent frames."""

    model: str
    weights: str
    first: str | None
    last: str | None
    height: int
    width: int
    num_frames: int
    frame_rate: float

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Given``."""
        from pipelines.conditioning import Given, encode_ends
        from pipelines.models.ltx2.latents import Canvas
        from pipelines.showing import picture_of

        yield Progress("encode", 0, 1)
        model = context.model(self.model)
        canvas = Canvas.of(model, height=self.height, width=self.width, num_frames=self.num_frames, frame_rate=self.frame_rate)
        ends = {"first_frame": self.first, "last_frame": self.last}
        first, last = (picture_of(context.media_path(each), name) if each else None for name, each in ends.items())
        given = Given(video=encode_ends(model, canvas, first, last))
        yield Progress("encode", 1, 1)
        return given
