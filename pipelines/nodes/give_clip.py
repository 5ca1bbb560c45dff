"""What stays of a laid-out clip, as clean latents with their masks."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, Progress
from pipelines.editing.plan import EditPlan
from pipelines.graph import Context, Node, Wire


class GiveClip(Node):
    """The window of the layout through the model's encoders; what the plan imagines is masked out."""

    model: str
    weights: str
    layout: Wire
    plan: EditPlan
    kept: Wire | None = None
    """The source's own latents, where the window begins with them."""

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Given``."""
        from pipelines.editing.giving import give

        yield Progress("encode", 0, 1)
        given = give(context.model(self.model), inputs["layout"], self.plan, inputs.get("kept"))
        yield Progress("encode", 1, 1)
        return given
