"""How many jobs a worker takes at a time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from pipelines.contract import AnyRequest, GenerationRequest
from pipelines.optimize.batching import BatchSizes, kind_of, most_by_tokens
from studio.settings import Settings


class Batches:
    """What one worker has learned of them; one that ``shares_out`` a clip to several devices takes jobs one by one."""

    def __init__(self, settings: Settings, *, shares_out: bool) -> None:
        self._most = 1 if shares_out else settings.batch
        self._catalogue = settings.catalogue
        self._sizes = BatchSizes()

    def most(self, request: AnyRequest) -> int:
        """How many jobs like ``request``, itself among them, to take together."""
        kind = _cost(request)
        if kind is None or self._most == 1 or not isinstance(request, GenerationRequest):
            return 1
        most = min(self._most, most_by_tokens(self._catalogue.get(request.model), request))
        return self._sizes.best(kind, most)

    def learn(self, done: Sequence[tuple[AnyRequest, Mapping[str, float]]]) -> None:
        """Take in what was told of jobs that were finished in one go; those of one batch tell the same, which counts once."""
        told = {
            (kind, int(metrics.get("batch.size", 1)), metrics["seconds.denoise"])
            for request, metrics in done
            if (kind := _cost(request)) is not None and "seconds.denoise" in metrics
        }
        for kind, size, seconds in told:
            self._sizes.learn(kind, size, seconds)


def _cost(request: AnyRequest) -> Hashable | None:
    """What jobs that take equally long have in common, as far as it matters here."""
    kind = kind_of(request)
    return None if kind is None else (kind, request.effort)
