"""A first frame to clean latents."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, Progress
from pipelines.graph import Context, Node


class EncodeFrame(Node):
    """The image behind ``reference`` as the clip's first latent frame."""

    model: str
    weights: str
    reference: str
    height: int
    width: int
    num_frames: int
    frame_rate: float

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Given``."""
        from pipelines.conditioning import Given, encode_first_frame
        from pipelines.models.ltx2.latents import Canvas
        from pipelines.showing import picture_of

        yield Progress("encode", 0, 1)
        model = context.model(self.model)
        canvas = Canvas.of(model, height=self.height, width=self.width, num_frames=self.num_frames, frame_rate=self.frame_rate)
        image = picture_of(context.media_path(self.reference), "first_frame")
        given = Given(video=encode_first_frame(model, image, canvas))
        yield Progress("encode", 1, 1)
        return given
