"""What the engine expects of memory before it makes a clip: how sparingly to begin, and how many clips fit together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pipelines.contract import AnyRequest, GenerationRequest
from pipelines.optimize.batching import most_by_memory, most_by_tokens
from pipelines.optimize.gauge import Gauge
from pipelines.optimize.memory import PLENTY, SPARING, Evidence, MemoryModel, Prediction, Thrift, Work, thrift_for, widths_of
from pipelines.optimize.plan import Plan
from pipelines.registry import ModelSpec


@dataclass
class Foresight:
    """Reckons with the model's layout, with what earlier runs took on this ``device`` ("cpu", "cuda"), and what is free now.

    ``plan_of`` says how a model is prepared for the running request.
    """

    device: str
    gauge: Gauge | None
    spec_of: Callable[[str], ModelSpec]
    plan_of: Callable[[str], Plan]
    _short: dict[str, int] = field(default_factory=dict)
    """By model, the fewest pixels that did not fit at once."""
    _evidence: dict[str, Evidence] = field(default_factory=dict)

    def remember(self, model_id: str, evidence: Evidence) -> None:
        """Reckon with earlier runs of a model; what other kinds of device tell is no help."""
        if evidence.device != self.device:
            return
        self._evidence[model_id] = evidence
        if (pixels := evidence.short_pixels()) is not None:
            self._note(model_id, pixels)

    def note_short(self, request: AnyRequest, clips: int = 1) -> None:
        """So many clips of this kind did not fit at once."""
        self._note(request.model, clips * _pixels(request))

    def _note(self, model_id: str, pixels: int) -> None:
        self._short[model_id] = min(pixels, self._short.get(model_id, pixels))

    def thrift(self, request: AnyRequest) -> Thrift:
        """How sparingly to begin: as it had to be done before for less, or as what is free now suggests."""
        if _pixels(request) >= self._short.get(request.model, math.inf):
            return SPARING
        if self.gauge is None or not isinstance(request, GenerationRequest) or not self._can_tell(request):
            return PLENTY
        return thrift_for(self.predict(request), self.gauge.free())

    def most_together(self, requests: Sequence[GenerationRequest]) -> int:
        """How many of the first of ``requests``, all of one kind, to denoise at a time."""
        first = requests[0]
        most = min(len(requests), most_by_tokens(self.spec_of(first.model), first))
        if (short := self._short.get(first.model)) is not None:
            most = min(most, max(1, (short - 1) // _pixels(first)))
        room = self.gauge.free() if self.gauge else None
        if most == 1 or room is None:
            return most
        return most_by_memory(self._model(first.model), [self._work(request) for request in requests[:most]], room)

    def predict(self, request: GenerationRequest) -> Prediction:
        """What the run of a complete request will take."""
        return self._model(request.model).predict(self._work(request))

    def _can_tell(self, request: GenerationRequest) -> bool:
        return self._model(request.model).can_tell(self._work(request))

    def _model(self, model_id: str) -> MemoryModel:
        plan = self.plan_of(model_id)
        seen = self._evidence.get(model_id, Evidence(self.device)).held_as(plan.quantization)
        return MemoryModel(
            widths_of(self.spec_of(model_id), self.device), self.device, seen, plan.text_quantization, plan.offload
        )

    def _work(self, request: GenerationRequest) -> Work:
        return replace(Work.of(request), quantization=self.plan_of(request.model).quantization)


def _pixels(request: AnyRequest) -> int:
    """Of all frames, enlarged; 0 for an edit, whose shape is its source's."""
    if not (request.height and request.width and request.num_frames):
        return 0
    return request.height * request.width * request.num_frames * (request.upscale or 1) ** 2
