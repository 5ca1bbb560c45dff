"""A clip file to frames and samples."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, Progress
from pipelines.graph import Context, Node


class LoadClip(Node):
    """The clip behind ``reference``, decoded as a player would."""

    reference: str

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Media``."""
        from pipelines.clip_io import read_media

        yield Progress("open", 0, 1)
        media = read_media(context.source_path(self.reference))
        yield Progress("open", 1, 1)
        return media
