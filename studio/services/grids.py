"""Grids: every combination of a few settings' values as one group of jobs, and the best clip of them by a measurement.

Several seeds of one request are a grid of one axis; marking its best clip is keeping the best of n.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pipelines.contract import Conflict, GenerationRequest, InvalidRequest, NotFound, TooLarge
from pipelines.metrics.catalogue import BY_NAME, Metric
from pipelines.registry import ModelCatalogue
from studio.contact_sheet import Picture, Sheet, drawn
from studio.services.axes import LORA, Axis, GridRequest, axes_of, cell_settings, requests_of
from studio.services.jobs import JobService
from studio.services.library import LibraryService
from studio.services.loras import LoraService
from studio.services.pace import run_of, seconds_for
from studio.services.records import Job, JobState, Record, StoredClip
from studio.storage import clips
from studio.storage.database import Database

_TIMED_AMONG = 200
_WORDS = {"queued": "waiting", "running": "being made", "failed": "failed", "cancelled": "cancelled", "done": "deleted"}
# Named here because inside GridService the word ``list`` is its method.
_Requests = list[GenerationRequest]


class Cell(Record):
    """One clip of a grid on its way."""

    settings: dict[str, Any]
    """The values of what the grid varies."""
    job: Job


class GridAxis(Record):
    """What a grid varies, as people read it."""

    field: str
    title: str
    values: tuple[Any, ...]


class Grid(Record):
    """A group of jobs that differ in one or two settings."""

    id: str
    created_at: str
    axes: tuple[GridAxis, ...]
    """The first runs down, the second across; a setting with one value is none."""
    cells: tuple[Cell, ...]
    """In the order of the axes' values, the last axis fastest."""
    best: str | None
    """The id of the best finished clip by the measurement that was asked for."""


class GridSummary(Record):
    """A grid in a list."""

    id: str
    created_at: str
    prompt: str
    """Of its first clip."""
    clips: int
    unfinished: int
    """Clips that wait or are being made."""


class GridPlan(Record):
    """What a grid would be, before it is queued."""

    clips: int
    seconds: float | None
    """What its clips will probably take together; ``None`` where no clip of its models was made here yet."""
    waiting: int
    """Jobs of all people that are before it."""


@dataclass(frozen=True)
class GridSources:
    """Where grids get their clips, names and limits from."""

    jobs: JobService
    library: LibraryService
    loras: LoraService
    catalogue: ModelCatalogue
    database: Database


def best_of(clips: Iterable[StoredClip], metric: Metric) -> StoredClip | None:
    """The best of ``clips`` by ``metric``, the first of equals; ``None`` where none has it."""
    measured = [clip for clip in clips if metric.name in clip.measurements]
    return min(measured, key=lambda clip: metric.badness(clip.measurements[metric.name]), default=None)


class GridService:
    """Grids of a person: handed in whole, watched, cancelled, drawn on a sheet, and their best clip marked."""

    def __init__(self, sources: GridSources) -> None:
        self._jobs = sources.jobs
        self._library = sources.library
        self._loras = sources.loras
        self._catalogue = sources.catalogue
        self._database = sources.database

    def plan(self, owner: str, asked: GridRequest) -> GridPlan:
        """How many clips a grid makes and about how long they take; nothing is queued.

        Raises as ``submit`` does, and ``TooLarge`` where the queue has not the room now.
        """
        wanted = self._wanted(asked)
        room = self._jobs.room(owner)
        if len(wanted) > room:
            raise TooLarge(
                f"axes make {len(wanted)} clips; the queue takes {room} more of yours now: use fewer values, or let some finish.",
                field="axes",
            )
        queued, running = self._jobs.counts()
        return GridPlan(clips=len(wanted), seconds=self._seconds(wanted), waiting=queued + running)

    def submit(self, owner: str, asked: GridRequest) -> Grid:
        """Queue every clip of a grid, or none. Raises as ``requests_of`` and ``JobService.submit`` do."""
        return self.get(owner, self._jobs.submit_group(owner, self._wanted(asked)))

    def list(self, owner: str, limit: int = 30) -> Sequence[GridSummary]:
        """The grids of a person, the newest first."""
        return [
            GridSummary(id=row.id, created_at=row.created_at, prompt=row.prompt[:120], clips=row.size, unfinished=row.unfinished)
            for row in self._jobs.groups(owner, limit)
        ]

    def get(self, owner: str, group_id: str, best: str | None = None) -> Grid:
        """The grid as it is now, and its best clip by the measurement ``best``. Raises ``NotFound`` or ``InvalidRequest``."""
        metric = None if best is None else _metric(best)
        group = self._jobs.group(owner, group_id)
        submitted = [json.loads(text) for _, text in group]
        axes = axes_of(submitted)
        cells = tuple(Cell(settings=cell_settings(each, axes), job=job) for (job, _), each in zip(group, submitted, strict=True))
        chosen = None if metric is None else best_of(filter(None, map(_clip, cells)), metric)
        return Grid(
            id=group_id,
            created_at=group[0][0].created_at,
            axes=tuple(self._titled(owner, axis) for axis in axes),
            cells=cells,
            best=None if chosen is None else chosen.id,
        )

    def cancel(self, owner: str, group_id: str) -> Grid:
        """Stop every clip of a grid that is not finished; those that are stay. Raises ``NotFound``."""
        self._jobs.cancel_group(owner, group_id)
        return self.get(owner, group_id)

    def retry(self, owner: str, group_id: str) -> Grid:
        """Make the clips of a grid again that failed or were cancelled. Raises ``NotFound``, ``Conflict`` or ``TooLarge``."""
        self._jobs.retry_group(owner, group_id)
        return self.get(owner, group_id)

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

    def sheet(self, owner: str, group_id: str, best: str | None = None) -> bytes:
        """The grid as one PNG with its heads, under each clip its measurement ``best``, the best clip framed.

        Raises ``NotFound`` or ``InvalidRequest``.
        """
        metric = None if best is None else _metric(best)
        grid = self.get(owner, group_id, best)
        first = grid.cells[0].job.request
        facts = [f"{first.model}, {len(grid.cells)} {'clip' if len(grid.cells) == 1 else 'clips'}"]
        if "seed" not in {axis.field for axis in grid.axes}:
            facts.append(f"seed {first.seed}")
        if metric is not None:
            facts.append(f"under each clip: {metric.title} ({metric.unit})")
        down, across = self._heads(grid)
        return drawn(
            Sheet(
                title="" if "prompt" in {axis.field for axis in grid.axes} else first.prompt,
                note=", ".join(facts),
                down=down,
                across=across,
                pictures=tuple(self._picture(owner, cell, metric, grid.best) for cell in grid.cells),
            )
        )

    def _wanted(self, asked: GridRequest) -> _Requests:
        return requests_of(asked.request, asked.axes, self._catalogue.complete)

    def _seconds(self, wanted: Sequence[GenerationRequest]) -> float | None:
        full = [self._catalogue.complete(each) for each in wanted]
        with self._database.read() as connection:
            texts = {model: clips.newest_of_model(connection, model, _TIMED_AMONG) for model in {each.model for each in full}}
        runs = {model: [run for run in map(run_of, found) if run is not None] for model, found in texts.items()}
        told = [seconds_for(each, runs[each.model]) for each in full]
        known = [seconds for seconds in told if seconds is not None]
        return sum(known) if len(known) == len(full) else None

    def _titled(self, owner: str, axis: Axis) -> GridAxis:
        if not axis.field.startswith(LORA):
            title = str(GenerationRequest.model_fields[axis.field].title or axis.field)
        else:
            try:
                title = f"Weight of {self._loras.get(owner, axis.field).name}"
            except NotFound:  # it was removed since; the clips are still there
                title = f"Weight of {axis.field[:17]}…"
        return GridAxis(field=axis.field, title=title, values=axis.values)

    def _heads(self, grid: Grid) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Heads of the rows and of the columns; of a grid with one axis, of its clips alone."""
        told = [tuple(f"{axis.title}: {_said(value)}" for value in axis.values) for axis in grid.axes]
        if len(told) == 2:
            return told[0], told[1]
        return (), told[0] if told else ("",)

    def _picture(self, owner: str, cell: Cell, metric: Metric | None, best: str | None) -> Picture:
        clip = _clip(cell)
        if clip is None:
            return Picture(None, _WORDS[cell.job.state], False)
        value = None if metric is None else clip.measurements.get(metric.name)
        text = "" if metric is None else "not measured" if value is None else f"{value:.3g} {metric.unit}"
        try:
            path = self._library.thumbnail(owner, clip.id)
        except (NotFound, InvalidRequest):  # the clip's file was removed or damaged behind the studio's back
            return Picture(None, "file missing", False)
        with Image.open(path) as face:
            return Picture(face.convert("RGB"), text, clip.id == best)


def _clip(cell: Cell) -> StoredClip | None:
    """The finished clip of a cell, unless it is in the trash."""
    made = cell.job.result
    return made if cell.job.state is JobState.DONE and made is not None and made.deleted_at is None else None


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "default" if value is None else str(value)


def _metric(name: str) -> Metric:
    metric = BY_NAME.get(name)
    if metric is None:
        raise InvalidRequest(f"best is {name[:60]!r}, which is not measured: use a name from /api/v1/metrics.", field="best")
    return metric
