"""Quality over HTTP: what is measured and what it means, a clip measured again, and when it sounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from pipelines.metrics.catalogue import CONFIDENT, GROUPS, LIVE, METRICS, Metric
from pipelines.metrics.comparing import LETTERS, compared
from studio.owners import owner_of
from studio.services.records import StoredClip
from studio.studio import Studio


class Measure(BaseModel):
    """One measurement and how to read it."""

    name: str
    group: str
    title: str
    unit: str
    span: tuple[float, float]
    """What it usually lies in."""
    better: str
    """``higher``, ``lower``, or ``near`` the target."""
    target: float | None
    needs: str
    definition: str
    source: str
    good: tuple[float, float] | None
    """From where to where it is good; ``null`` where that depends on what was asked for."""
    fair: tuple[float, float] | None


class Measures(BaseModel):
    """Everything that is measured, in the order of the card."""

    metrics: tuple[Measure, ...]
    live: tuple[Measure, ...]
    """What is measured while a clip is denoised."""
    groups: dict[str, str]
    confident: float
    """From this ``sync.confidence`` on an offset counts."""
    judge: str | None
    """What the CLIP or SigLIP model that the settings name measures; ``null`` where they name none."""


class ComparedMetric(BaseModel):
    """One measurement of every clip."""

    name: str
    values: tuple[float, ...]
    """In the order of the clips."""
    best: str | None
    """The clip that is the best in it; ``null`` where two are alike."""


class Comparison(BaseModel):
    """What all of the clips were measured for."""

    clips: tuple[str, ...]
    metrics: tuple[ComparedMetric, ...]


class Onsets(BaseModel):
    """When a clip distinctly begins to sound."""

    onsets_s: list[float]


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes ``/metrics``, ``/compare``, ``/compare/map``, and those under ``/clips/{clip_id}``: measure, onsets."""

    @api.get("/metrics")
    def metrics() -> Measures:
        """What is measured on every clip."""
        told, live, judge = tuple(map(_told, METRICS)), tuple(map(_told, LIVE)), studio_of().quality.judge
        return Measures(metrics=told, live=live, groups=GROUPS, confident=CONFIDENT, judge=judge)

    @api.get("/compare")
    def compare(request: Request, clip: Annotated[list[str], Query(min_length=2, max_length=len(LETTERS))]) -> Comparison:
        """Two clips or more, up to eight, against each other: what was measured on all of them, and which is the best in it."""
        owner, library = owner_of(request), studio_of().library
        rows = compared([library.get(owner, each).measurements for each in clip])
        metrics = (
            ComparedMetric(name=row.name, values=row.values, best=None if row.best is None else clip[row.best]) for row in rows
        )
        return Comparison(clips=tuple(clip), metrics=tuple(metrics))

    @api.get("/compare/map", response_class=Response, responses={200: {"content": {"video/mp4": {}}}})
    def compare_map(request: Request, clip: Annotated[list[str], Query(min_length=2, max_length=2)]) -> Response:
        """An MP4 of what differs between the pictures of two clips of one size and frame rate, three times as bright as it is."""
        film = studio_of().quality.difference(owner_of(request), clip)
        headers = {"cache-control": "private, no-cache", "content-disposition": 'inline; filename="what-differs.mp4"'}
        return Response(film, media_type="video/mp4", headers=headers)

    @api.post("/clips/{clip_id}/measure")
    def measure(request: Request, clip_id: str) -> StoredClip:
        """Measure a clip again, such as one from before a measurement existed."""
        return studio_of().quality.measure(owner_of(request), clip_id)

    @api.get("/clips/{clip_id}/onsets")
    def onsets(request: Request, clip_id: str) -> Onsets:
        """The moments at which something begins to sound, in seconds."""
        return Onsets(onsets_s=studio_of().quality.onsets(owner_of(request), clip_id))


def _told(metric: Metric) -> Measure:
    return Measure(**{name: getattr(metric, name) for name in Measure.model_fields})
