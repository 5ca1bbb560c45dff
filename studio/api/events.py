"""A job's life as server-sent events, resumable by ``Last-Event-ID``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from studio.owners import owner_of
from studio.services.records import Job, JobEvent, JobState
from studio.studio import Studio

# Only running jobs have news by the second; a hundred tabs that wait in the queue should cost next to nothing.
LOOK_S = {JobState.QUEUED: 0.75, JobState.RUNNING: 0.2}
HEARTBEAT_S = 10.0
_FINAL = ("done", "failed", "cancelled")
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The route of the events."""

    @api.get("/jobs/{job_id}/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
    async def events(request: Request, job_id: str, last_event_id: Annotated[str, Header()] = "") -> Response:
        """State, progress, previews and metrics as they happen; the stream ends with the job."""
        studio, owner = studio_of(), owner_of(request)
        after = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 18 else 0
        job = await run_in_threadpool(studio.jobs.get, owner, job_id)
        first = await run_in_threadpool(studio.jobs.events_after, owner, job_id, after)
        if _is_over(job) and not first:
            return Response(status_code=204)  # the one answer that keeps an EventSource from coming back
        return StreamingResponse(_stream(studio, owner, job, (after, first)), media_type="text/event-stream", headers=_HEADERS)


async def _stream(studio: Studio, owner: str, job: Job, begin: tuple[int, list[JobEvent]]) -> AsyncIterator[str]:
    after, waiting = begin
    spoken, state = time.monotonic(), job.state
    while True:
        for event in waiting:
            after, state = max(after, event.id), event.job.state
            yield f"id: {event.id}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"
            if event.kind in _FINAL:
                return
        if waiting:
            spoken = time.monotonic()
        elif time.monotonic() - spoken >= HEARTBEAT_S:
            spoken = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(LOOK_S.get(state, 0.2))
        waiting = await run_in_threadpool(studio.jobs.events_after, owner, job.id, after)


def _is_over(job: Job) -> bool:
    return job.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
