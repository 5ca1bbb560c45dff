"""The queue as a whole: look at it, pause it, let it go on."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from pydantic import BaseModel

from pipelines.contract import NotAllowed
from studio.owners import owner_of
from studio.services.records import Job, JobState
from studio.studio import Studio


class Queue(BaseModel):
    """How busy the studio is, and your own jobs in it."""

    paused: bool
    queued: int
    running: int
    ready: bool
    """A job handed in now will be worked on."""
    problems: tuple[str, ...]
    """What stands in its way, a sentence each; none while the worker is only starting."""
    jobs: list[Job]


def _queue(studio: Studio, owner: str) -> Queue:
    health = studio.health()
    jobs = studio.jobs.list(owner, states=[JobState.RUNNING, JobState.QUEUED], limit=100)
    told = health.model_dump(include={"paused", "queued", "running", "ready", "problems"})
    return Queue(**told, jobs=jobs)


def _for_the_owner(studio: Studio, owner: str) -> None:
    if owner != studio.settings.local_owner:
        raise NotAllowed("queue is shared with others here; only the studio's owner can pause it.", field="queue")


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes under ``/queue``."""

    @api.get("/queue")
    def look(request: Request) -> Queue:
        """How busy the studio is, and your waiting and running jobs."""
        return _queue(studio_of(), owner_of(request))

    @api.post("/queue/pause")
    def pause(request: Request) -> Queue:
        """Start no more jobs; the running one finishes."""
        studio, owner = studio_of(), owner_of(request)
        _for_the_owner(studio, owner)
        studio.jobs.pause()
        return _queue(studio, owner)

    @api.post("/queue/resume")
    def resume(request: Request) -> Queue:
        """Go on with the queue."""
        studio, owner = studio_of(), owner_of(request)
        _for_the_owner(studio, owner)
        studio.jobs.resume()
        return _queue(studio, owner)
