"""Edits over HTTP: what one would make, and the job that makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel

from pipelines.contract import EditRequest
from studio.api.wire import body_of, json_body
from studio.owners import owner_of
from studio.services.records import Job
from studio.studio import Studio

JSON = Annotated[dict[str, Any], Depends(json_body)]


class PlannedEdit(BaseModel):
    """What an edit makes."""

    request: EditRequest
    """Complete, with the finished clip's shape."""
    imagined_video_s: tuple[float, float] | None
    """Where the new picture begins and ends, in seconds of the laid-out clip."""
    imagined_audio_s: tuple[float, float] | None
    """Where the new sound begins and ends."""
    notices: tuple[str, ...]
    """What is done to the source to fit, a sentence each."""


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes under ``/edits``."""

    @api.post("/edits", status_code=202, openapi_extra=body_of(EditRequest))
    def submit(
        request: Request, body: JSON, idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None
    ) -> Job:
        """Queue an edit of one of your clips; settings that are left out are those that the clip was made with."""
        return studio_of().edits.submit(owner_of(request), body, idempotency_key=idempotency_key)

    @api.post("/edits/plan", openapi_extra=body_of(EditRequest))
    def plan(request: Request, body: JSON) -> PlannedEdit:
        """What an edit would make; nothing is queued."""
        wanted, found = studio_of().edits.plan(owner_of(request), body)
        rate = found.shape.frame_rate
        spans = [None if span.is_empty else (span.start / rate, span.end / rate) for span in (found.video, found.audio)]
        return PlannedEdit(request=wanted, imagined_video_s=spans[0], imagined_audio_s=spans[1], notices=found.notices)
