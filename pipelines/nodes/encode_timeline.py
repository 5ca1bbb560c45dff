"""Words that change over the clip: ``[0.0-1.0 s] ... [1.0-2.0 s] ...`` to a text conditioning for each part of it."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import Any, ClassVar

from pipelines.contract import Event, Progress
from pipelines.graph import Context, Node
from pipelines.nodes.encode_prompt import EncodePrompt, conditioning_of
from pipelines.prompting.timeline import timeline_of


class EncodeTimeline(Node):
    """``texts`` one after another, each until the next of ``bounds_s`` (in seconds of the clip that is imagined)."""

    cached: ClassVar[bool] = False  # each text is, whatever its times

    model: str
    weights: str
    texts: tuple[str, ...]
    bounds_s: tuple[float, ...]
    height: int
    width: int
    num_frames: int
    frame_rate: float

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns one ``TextConditioning`` in which every part of the clip heeds its own text."""
        from pipelines.conditioning import Shares, over_time
        from pipelines.models.ltx2.latents import Canvas

        model = context.model(self.model)
        canvas = Canvas.of(model, height=self.height, width=self.width, num_frames=self.num_frames, frame_rate=self.frame_rate)
        encoded = []
        for done, text in enumerate(self.texts):
            yield Progress("encode", done, len(self.texts))
            encoded.append(conditioning_of(context, self.model, text))
        yield Progress("encode", len(self.texts), len(self.texts))
        return over_time(encoded, Shares.of(model, canvas, self.bounds_s))


def encoder_of(prompt: str, model: dict[str, str], measures: dict[str, Any], *, start_s: float = 0.0) -> Node:
    """The node for a prompt, with times in it or without; what is imagined begins at ``start_s`` of the clip it belongs to.

    ``measures`` are the height, width, number of frames and frame rate of what is imagined. Words hold from the middle of
    the gap before them to the middle of the gap after them, the first and the last to the clip's ends. Raises
    ``InvalidRequest`` for times that cannot be read.
    """
    timeline = timeline_of(prompt)
    if timeline is None:
        return EncodePrompt(**model, text=prompt)
    duration_s = measures["num_frames"] / measures["frame_rate"]
    segments = timeline.spoken()
    bounds_s = [(before.end_s + after.start_s) / 2 - start_s for before, after in pairwise(segments)]
    begins, ends = [-1.0, *bounds_s], [*bounds_s, duration_s + 1]
    heard = [at for at in range(len(segments)) if ends[at] > 0 and begins[at] < duration_s]
    texts = tuple(segments[at].text for at in heard)
    if len(texts) == 1:
        return EncodePrompt(**model, text=texts[0])
    return EncodeTimeline(**model, **measures, texts=texts, bounds_s=tuple(begins[at] for at in heard[1:]))
