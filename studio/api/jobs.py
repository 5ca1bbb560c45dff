"""Jobs over HTTP: hand one in, look at it, cancel, move and retry it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import Field

from pipelines import contract
from pipelines.contract import GenerationRequest, NotAllowed, NotFound, parse_request
from studio.api.wire import body_of, json_body, parse
from studio.owners import owner_of
from studio.services.records import Job, JobState
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


class Move(contract.Request):
    """Where in the queue a job shall go."""

    position: int = Field(ge=1, le=1_000_000)
    """1 is next."""


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes under ``/jobs``."""

    @api.post("/jobs", status_code=202, openapi_extra=body_of(GenerationRequest))
    def submit(
        request: Request,
        body: JSON,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
        priority: Annotated[int, Query(ge=-100, le=100)] = 0,
    ) -> Job:
        """Hand in a request; the same Idempotency-Key gives the same job again."""
        studio, owner = studio_of(), owner_of(request)
        if priority > 0 and owner != studio.settings.local_owner:
            raise NotAllowed("priority above 0 is for the studio's owner; leave it out.", field="priority")
        return studio.jobs.submit(owner, parse_request(body), idempotency_key=idempotency_key, priority=priority)

    @api.get("/jobs")
    def listed(
        request: Request,
        state: Annotated[list[JobState] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> list[Job]:
        """Your jobs: the running ones, then the queue in its order, then the finished ones, newest first."""
        return studio_of().jobs.list(owner_of(request), states=state, limit=limit)

    @api.get("/jobs/{job_id}")
    def one(request: Request, job_id: str) -> Job:
        """One job as it is now."""
        return studio_of().jobs.get(owner_of(request), job_id)

    @api.get("/jobs/{job_id}/preview", response_class=Response, responses={200: {"content": {"image/webp": {}}}})
    def preview(request: Request, job_id: str) -> Response:
        """The newest picture of a running job."""
        studio, owner = studio_of(), owner_of(request)
        studio.jobs.get(owner, job_id)
        picture = studio.jobs.preview(owner, job_id)
        if picture is None:
            raise NotFound("preview: there is none yet; ask again when the job's progress names one.", field="preview")
        return Response(picture.image, media_type=picture.mime, headers={"cache-control": "no-store"})

    @api.post("/jobs/{job_id}/cancel")
    def cancel(request: Request, job_id: str) -> Job:
        """Stop a job; a running one ends within a denoising step."""
        return studio_of().jobs.cancel(owner_of(request), job_id)

    @api.post("/jobs/{job_id}/retry", status_code=202)
    def retry(request: Request, job_id: str) -> Job:
        """The same request again as a new job."""
        return studio_of().jobs.retry(owner_of(request), job_id)

    @api.post("/jobs/{job_id}/move", openapi_extra=body_of(Move))
    def move(request: Request, job_id: str, body: JSON) -> Job:
        """Put a waiting job at another place in the queue."""
        return studio_of().jobs.move(owner_of(request), job_id, parse(Move, body).position)
