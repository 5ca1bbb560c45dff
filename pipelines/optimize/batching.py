"""Which requests can be denoised in the same transformer calls, and how many of them are worth it. Loads no torch.

A call of few tokens leaves most of a processor idle between its many small operations, so rows of several clips go through
together in less time than one after the other. What that gains depends on machine, model and shape: it is learned.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Sequence
from dataclasses import replace
from statistics import median

from pipelines.contract import AnyRequest, GenerationRequest
from pipelines.optimize.memory import MemoryModel, Work
from pipelines.registry import ModelSpec

_MOST_TOKENS = 4096
"""Video tokens of all clips of a batch: beyond, a call keeps any processor busy, and clips only wait for each other."""
_WORTH = 0.95
"""More clips at a time must cost each of them less than this share of its time with fewer."""
_KEPT = 5
_EVERY = 20
"""After so many batches a size that was given up is tried again: what it was compared with may have been a busy machine."""

Kind = Hashable


def kind_of(request: AnyRequest) -> Kind | None:
    """What must be equal for two complete requests to share their transformer calls; ``None`` for one that shares with nobody.

    They may differ in words, seed, guidance, effort, first and last frame, and in what becomes of their latents. LoRAs that act
    during some steps only need a transformer of their own: clips whose steps are foretold are not all at the same one.
    """
    if not isinstance(request, GenerationRequest) or request.stages != 1:
        return None
    if any((use.start, use.end) != (0.0, 1.0) for use in request.loras):
        return None
    shape = request.height, request.width, request.num_frames, request.frame_rate
    shown = request.loras, request.references
    return request.model, request.quantization, *shape, request.num_inference_steps, request.sigmas, *shown


def most_by_tokens(spec: ModelSpec, request: GenerationRequest) -> int:
    """How many clips like ``request`` may go through ``spec`` together at the most; 1 where diffusers' own pipeline runs it."""
    if spec.call is not None:
        return 1
    assert request.height and request.width and request.num_frames
    frames = (request.num_frames - 1) // spec.frame_multiple + 1
    tokens = frames * (request.height // spec.pixel_multiple) * (request.width // spec.pixel_multiple)
    return max(1, _MOST_TOKENS // max(1, tokens))


def most_by_memory(model: MemoryModel, works: Sequence[Work], room_bytes: int) -> int:
    """How many of ``works``, taken in order, can be denoised together in ``room_bytes`` beyond what is held; at least 1."""
    most = 1
    for count in range(2, len(works) + 1):
        found = model.predict(replace(works[0], branches=sum(work.branches for work in works[:count])))
        if found.peaks["denoise"] - found.rest_bytes > room_bytes:
            break
        most = count
    return most


class BatchSizes:
    """How many clips of a kind to denoise together: as many as there are until it is known that fewer cost each less time."""

    def __init__(self) -> None:
        self._seconds: dict[Kind, dict[int, deque[float]]] = defaultdict(lambda: defaultdict(lambda: deque(maxlen=_KEPT)))
        self._batches: dict[Kind, int] = defaultdict(int)

    def learn(self, kind: Kind, size: int, seconds: float) -> None:
        """A batch of ``size`` clips took ``seconds`` of denoising for each of them."""
        self._seconds[kind][size].append(seconds)
        self._batches[kind] += 1
        if self._batches[kind] % _EVERY == 0:
            best = self.best(kind, max(self._seconds[kind]))
            for other in [other for other in self._seconds[kind] if other > best]:
                del self._seconds[kind][other]

    def best(self, kind: Kind, most: int) -> int:
        """How many to take, of ``most`` that are there."""
        known = {size: median(times) for size, times in self._seconds[kind].items() if size <= most}
        if most not in known:
            return most
        best = min(known)
        for size in sorted(known):
            if known[size] < _WORTH * known[best]:
                best = size
        return best
