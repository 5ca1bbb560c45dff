"""What a worker told of its memory while it made a clip, as a row of the evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from pipelines.contract import AnyRequest, GenerationRequest
from pipelines.optimize.memory import STAGES, Work
from studio.services.records import now
from studio.storage.memory import MemoryRow

_PREFIX = "memory."


def memory_row(request: AnyRequest, metrics: Mapping[str, float]) -> MemoryRow | None:
    """The row of a finished run, from its metrics ``memory.<device>.<what>``; ``None`` where nothing was measured.

    An edit works on a part of a clip, so it says nothing about clips of its shape.
    """
    told = {name.removeprefix(_PREFIX): int(value) for name, value in metrics.items() if name.startswith(_PREFIX)}
    if not told or not isinstance(request, GenerationRequest):
        return None
    device = next(iter(told)).partition(".")[0]
    found = {name.partition(".")[2]: value for name, value in told.items()}
    return MemoryRow(
        device=device,
        model=request.model,
        work=json.dumps(asdict(Work.of(request))),
        rest_bytes=found["rest"],
        settled_bytes=found["settled"],
        free_bytes=found["free"],
        peaks=json.dumps({stage: found[stage] for stage in STAGES if stage in found}),
        ran_short="short" in found,
        created_at=now(),
    )
