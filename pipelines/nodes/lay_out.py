"""A source to the clip as it will be, with holes where something new comes."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, Progress
from pipelines.editing.plan import EditPlan
from pipelines.edits import Edit
from pipelines.graph import Context, Node, Wire


class LayOut(Node):
    """Frames and samples of one or two sources where ``plan`` wants them."""

    edit: Edit
    plan: EditPlan
    source: Wire
    other: Wire | None

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Layout``. Raises ``InvalidRequest`` for an image that cannot be read."""
        from pipelines.editing.layout import lay_out

        yield Progress("lay out", 0, 1)
        layout = lay_out(self.edit, self.plan, inputs["source"], inputs.get("other"), context.media_path)
        yield Progress("lay out", 1, 1)
        return layout
