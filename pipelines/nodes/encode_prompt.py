"""Words to the model's text conditioning."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from pipelines.contract import Event, Progress
from pipelines.graph import Context, Node


class EncodePrompt(Node):
    """``text`` through the model's text encoder and connectors; ``weights`` is the model's hash."""

    cached: ClassVar[bool] = False  # the context's conditionings are

    model: str
    weights: str
    text: str

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``TextConditioning``."""
        yield Progress("encode", 0, 1)
        conditioning = conditioning_of(context, self.model, self.text)
        yield Progress("encode", 1, 1)
        return conditioning


def conditioning_of(context: Context, model_id: str, text: str) -> Any:
    """The ``TextConditioning`` of ``text``: the kept one, or a new one, which is kept."""
    from pipelines.conditioning import TextConditioning, key_of

    model = context.model(model_id)
    kept = context.conditionings.fetch(key_of(model, text), lambda: context.encoded(model, text).tensors())
    video, audio, mask = (kept[name].to(model.device) for name in ("video_BSD", "audio_BSD", "mask_BS"))
    return TextConditioning(video, audio, mask)
