"""Grids: every combination of a few settings' values as one group of jobs, and the best clip of them by a measurement.

Several seeds of one request are a grid of one axis; marking its best clip is keeping the best of n.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from pydantic import Field

from pipelines import contract
from pipelines.contract import Conflict, GenerationRequest, InvalidRequest, TooLarge, parse_generation
from pipelines.metrics.catalogue import BY_NAME, Metric
from pipelines.registry import ModelCatalogue
from studio.services.jobs import JobService
from studio.services.library import LibraryService
from studio.services.records import Job, Record, StoredClip

MOST_CELLS = 64
MOST_VALUES = 16
_FIXED = ("kind",)


class Axis(contract.Request):
    """One setting and the values that it takes."""

    field: str
    """A field of the request, such as ``seed``, ``prompt`` or ``guidance_scale``."""
    values: tuple[Any, ...] = Field(min_length=1, max_length=MOST_VALUES)
    """In the order in which they are shown."""


class GridRequest(contract.Request):
    """What to vary in one request."""

    request: dict[str, Any]
    """A request to generate; what an axis varies may be left out. Without a seed all clips share one drawn seed."""
    axes: tuple[Axis, ...] = Field(min_length=1, max_length=2)
    """The first runs down, the second across."""


class Cell(Record):
    """One clip of a grid on its way."""

    settings: dict[str, Any]
    """The values of what the grid varies."""
    job: Job


class Grid(Record):
    """A group of jobs that differ in one or two settings."""

    id: str
    cells: tuple[Cell, ...]
    """In the order of the axes' values, the last axis fastest."""
    best: str | None
    """The id of the best finished clip by the measurement that was asked for."""


def requests_of(request: Mapping[str, Any], axes: Sequence[Axis], catalogue: ModelCatalogue) -> list[GenerationRequest]:
    """One request for each combination of the axes' values, the last axis fastest.

    Raises ``InvalidRequest``, ``ModelNotFound`` or ``TooLarge``.
    """
    names = [axis.field for axis in axes]
    for name in names:
        if name in _FIXED or name not in GenerationRequest.model_fields:
            raise InvalidRequest(f"axes names {name[:60]!r}, which is no setting; use one such as seed or prompt.", field="axes")
    if len(set(names)) < len(names):
        raise InvalidRequest("axes names the same setting twice; give each axis a setting of its own.", field="axes")
    for axis in axes:
        if len({json.dumps(value, sort_keys=True) for value in axis.values}) < len(axis.values):
            raise InvalidRequest(f"axes has a value of {axis.field} twice; give each value once.", field="axes")
    combinations = list(product(*(axis.values for axis in axes)))
    if len(combinations) > MOST_CELLS:
        raise TooLarge(f"axes make {len(combinations)} clips; use at most {MOST_CELLS}.", field="axes")
    found = [parse_generation({**request, **dict(zip(names, values, strict=True))}) for values in combinations]
    seed = catalogue.complete(found[0]).seed  # one for all: a difference has to come from the axes
    return [each if each.seed is not None or "seed" in names else each.model_copy(update={"seed": seed}) for each in found]


def best_of(clips: Sequence[StoredClip], metric: Metric) -> StoredClip | None:
    """The best of ``clips`` by ``metric``, the first of equals; ``None`` where none has it."""
    measured = [clip for clip in clips if metric.name in clip.measurements]
    return min(measured, key=lambda clip: metric.badness(clip.measurements[metric.name]), default=None)


class GridService:
    """Grids of a person: handed in whole, watched, and their best clip marked."""

    def __init__(self, jobs: JobService, library: LibraryService, catalogue: ModelCatalogue) -> None:
        self._jobs = jobs
        self._library = library
        self._catalogue = catalogue

    def submit(self, owner: str, asked: GridRequest) -> Grid:
        """Queue every clip of a grid, or none. Raises as ``requests_of`` and ``JobService.submit`` do."""
        group_id = self._jobs.submit_group(owner, requests_of(asked.request, asked.axes, self._catalogue))
        return self.get(owner, group_id)

    def get(self, owner: str, group_id: str, best: str | None = None) -> Grid:
        """The grid as it is now, and its best clip by the measurement ``best``. Raises ``NotFound`` or ``InvalidRequest``."""
        metric = None if best is None else _metric(best)
        group = self._jobs.group(owner, group_id)
        submitted = [json.loads(text) for _, text in group]
        varied = [name for name in submitted[0] if any(each[name] != submitted[0][name] for each in submitted)]
        cells = tuple(
            Cell(settings={name: asked[name] for name in varied}, job=job)
            for (job, _), asked in zip(group, submitted, strict=True)
        )
        clips = [cell.job.result for cell in cells if cell.job.result is not None and cell.job.result.deleted_at is None]
        chosen = None if metric is None else best_of(clips, metric)
        return Grid(id=group_id, cells=cells, best=None if chosen is None else chosen.id)

    def keep_best(self, owner: str, group_id: str, name: str) -> Grid:
        """Make the best clip by the measurement a favourite; the others stay as they are.

        Raises ``NotFound``, ``InvalidRequest``, or ``Conflict`` while jobs run and where no clip has the measurement.
        """
        grid = self.get(owner, group_id, name)
        if not all(cell.job.state.is_final for cell in grid.cells):
            raise Conflict("the grid is not finished: wait for its jobs or cancel them first.")
        if grid.best is None:
            raise Conflict(f"no clip of the grid has {name}: measure its clips again, or choose another measurement.")
        self._library.update(owner, grid.best, favourite=True)
        return self.get(owner, group_id, name)


def _metric(name: str) -> Metric:
    metric = BY_NAME.get(name)
    if metric is None:
        raise InvalidRequest(f"best is {name[:60]!r}, which is not measured: use a name from /api/v1/metrics.", field="best")
    return metric
