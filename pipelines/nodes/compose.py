"""What was imagined into the clip that it belongs to."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, Progress
from pipelines.editing.plan import EditPlan
from pipelines.graph import Context, Node, Wire


class Compose(Node):
    """The layout with the decoded window's frames and sound in its holes."""

    layout: Wire
    plan: EditPlan
    frames: Wire | None
    sound: Wire | None

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Media``."""
        from pipelines.editing.compose import composed

        yield Progress("compose", 0, 1)
        media = composed(inputs["layout"], self.plan, inputs.get("frames"), inputs.get("sound"))
        yield Progress("compose", 1, 1)
        return media
