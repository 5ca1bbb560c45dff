"""A clip on a time axis over HTTP: its frames as a strip, its loudness, and the takes that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from studio.api.clips import served
from studio.owners import owner_of
from studio.services.records import Family
from studio.studio import Studio


class Waveform(BaseModel):
    """How loud a clip is over time."""

    duration_s: float
    peaks: list[float]
    """The loudest excursion in each of equal stretches, 0..1; empty where there is no sound."""


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes ``/clips/{clip_id}/strip``, ``/waveform`` and ``/family``."""

    @api.get("/clips/{clip_id}/strip", response_class=FileResponse)
    def strip(request: Request, clip_id: str, frames: Annotated[int, Query(ge=1, le=120)] = 25) -> Response:
        """So many evenly spaced frames side by side, as one WebP."""
        return served(request, studio_of().library.strip(owner_of(request), clip_id, frames), "image/webp")

    @api.get("/clips/{clip_id}/waveform")
    def waveform(request: Request, clip_id: str, points: Annotated[int, Query(ge=1, le=4000)] = 400) -> Waveform:
        """The clip's loudness in so many equal stretches."""
        library, owner = studio_of().library, owner_of(request)
        return Waveform(duration_s=library.get(owner, clip_id).duration_s, peaks=library.peaks(owner, clip_id, points))

    @api.get("/clips/{clip_id}/family")
    def family(request: Request, clip_id: str) -> Family:
        """What the clip was edited from, and what was edited from it."""
        return studio_of().library.family(owner_of(request), clip_id)
