"""Frames and samples to a finished clip file."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

from pipelines.contract import AnyRequest, Event, Progress
from pipelines.editing.plan import Span
from pipelines.graph import Context, Node, Wire


class Mux(Node):
    """Encode, embed the request, and put the file in place in one step; what is measured comes from the file itself."""

    cached: ClassVar[bool] = False

    frames: Wire | None
    sound: Wire | None
    latents: Wire | None = None
    """What is kept beside the file."""
    imagined: Span | None = None
    """Which frames an edit made anew between kept ones: the card judges their seams."""
    request: AnyRequest
    weights: str
    code_version: str
    path: Path

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns the ``Card`` of the finished file."""
        from pipelines.clip_io import Origin, read_media, write_clip
        from pipelines.metrics.card import quality_card

        yield Progress("write", 0, 1)
        media = {reference: context.media_path(reference).read_bytes() for reference in self.request.images()}
        origin = Origin(self.request, self.weights, self.code_version, media)
        write_clip(self.path, inputs.get("frames"), inputs.get("sound"), origin)
        if context.latents is not None and "latents" in inputs:
            context.latents.put(self.path, context.model(self.request.model), inputs["latents"], self.request)
        spec = context.spec(self.request.model)
        card = quality_card(read_media(self.path), self.request, spec, context.judge(), self.imagined)
        yield Progress("write", 1, 1)
        return card
