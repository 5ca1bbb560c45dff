"""Quality over HTTP: what is measured and what it means, a clip measured again, and when it sounds."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from pydantic import BaseModel

from pipelines.metrics.catalogue import CONFIDENT, GROUPS, LIVE, METRICS, Metric
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


class Onsets(BaseModel):
    """When a clip distinctly begins to sound."""

    onsets_s: list[float]


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes ``/metrics``, ``/clips/{clip_id}/measure`` and ``/clips/{clip_id}/onsets``."""

    @api.get("/metrics")
    def metrics() -> Measures:
        """What is measured on every clip."""
        told, live, judge = tuple(map(_told, METRICS)), tuple(map(_told, LIVE)), studio_of().quality.judge
        return Measures(metrics=told, live=live, groups=GROUPS, confident=CONFIDENT, judge=judge)

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
