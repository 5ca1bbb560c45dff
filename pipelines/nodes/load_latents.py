"""What was kept of a clip's latents, instead of its file through the encoders."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, InvalidRequest
from pipelines.graph import Context, Node


class LoadLatents(Node):
    """The latents beside the clip behind ``reference``; ``weights`` is the hash of the model that made them."""

    model: str
    weights: str
    reference: str

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Kept`` on the model's device. Raises ``InvalidRequest`` where it is gone since the edit began."""
        yield from ()
        found = context.latents and context.latents.get(context.source_path(self.reference), self.weights)
        if not found:
            raise InvalidRequest("source lost its kept latents while it was edited: start the edit again.", field="source")
        return found.to(context.model(self.model).device)
