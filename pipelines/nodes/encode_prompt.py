"""Words to the model's text conditioning."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, Progress
from pipelines.graph import Context, Node


class EncodePrompt(Node):
    """``text`` through the model's text encoder and connectors; ``weights`` is the model's hash."""

    model: str
    weights: str
    text: str

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``TextConditioning``."""
        from pipelines.conditioning import encode_prompt

        yield Progress("encode", 0, 1)
        conditioning = encode_prompt(context.model(self.model), self.text)
        yield Progress("encode", 1, 1)
        return conditioning
