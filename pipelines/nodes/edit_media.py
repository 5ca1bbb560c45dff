"""An edit that needs no model."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

from pipelines.contract import Event, Progress
from pipelines.editing.plan import EditPlan
from pipelines.edits import Edit
from pipelines.graph import Context, Node, Wire


class EditMedia(Node):
    """Frames and samples of the source after ``edit``."""

    edit: Edit
    plan: EditPlan
    source: Wire
    other: Wire | None

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Media``."""
        from pipelines.editing.plain import edited

        yield Progress("edit", 0, 1)
        media = edited(self.edit, self.plan, inputs["source"], inputs.get("other"))
        yield Progress("edit", 1, 1)
        return media


class Stream(Node):
    """One stream of a ``Media``."""

    media: Wire
    name: Literal["frames", "sound"]

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns its frames, or its sound."""
        yield from ()
        return getattr(inputs["media"], self.name)
