"""The jobs of every person: submit, watch, cancel, reorder, pause."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import datetime

from pipelines.contract import (
    AnyRequest,
    Conflict,
    EditRequest,
    GenerationRequest,
    InvalidRequest,
    NotAllowed,
    NotFound,
    Preview,
    TooLarge,
)
from pipelines.lora.catalogue import shipped
from pipelines.models.installed import installed
from pipelines.registry import ModelCatalogue
from studio.services.board import Board
from studio.services.media import MediaService
from studio.services.present import clip_record, job_record
from studio.services.records import Job, JobEvent, JobEventKind, JobState, now
from studio.settings import Settings
from studio.storage import clips, jobs, loras, switches
from studio.storage.database import Connection, Database
from studio.storage.jobs import GroupRow, JobRow

PAUSED = "queue_paused"
NO_GROUP = "there is no such grid: hand one in first."
# Named here because inside JobService the word ``list`` is its method.
_Jobs = list[Job]
_Events = list[JobEvent]
_Rows = list[JobRow]
_Group = list[tuple[Job, str]]
_Groups = list[GroupRow]
_MAX_KEY_CHARACTERS = 200
_PRIORITIES = range(-100, 101)
_FINAL_KIND: dict[JobState, JobEventKind] = {
    JobState.DONE: "done",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


class JobService:
    """The durable queue as people see it; what it acknowledged is on disk."""

    def __init__(
        self, database: Database, board: Board, *, catalogue: ModelCatalogue, media: MediaService, settings: Settings
    ) -> None:
        self._database = database
        self._board = board
        self._catalogue = catalogue
        self._media = media
        self._settings = settings

    def submit(self, owner: str, request: AnyRequest, *, idempotency_key: str | None = None, priority: int = 0) -> Job:
        """Queue ``request``, completed by its model's defaults. The same key again is the same job.

        Raises ``InvalidRequest``, ``ModelNotFound``, ``Conflict`` (the key belongs to another request, the model is not
        here), ``TooLarge`` (the queue is full), ``NotAllowed`` (priorities on a shared studio) or ``StorageFull``.
        """
        self._check_submission(idempotency_key, priority)
        submitted = request.model_dump_json()
        if idempotency_key is not None and (earlier := self._submitted_before(owner, idempotency_key, submitted)):
            return earlier
        full = self._catalogue.complete(request)
        self._check_media(owner, full)
        self.check_installed(full)
        new = jobs.NewJob(uuid.uuid4().hex, owner, priority, full.model_dump_json(), submitted, idempotency_key, now())
        with self._database.write() as connection:
            if idempotency_key is not None and (row := jobs.with_key(connection, owner, idempotency_key)):
                return self._same_job(connection, row, submitted)
            job = self._insert(connection, new)
        self._board.publish("state", job)
        self._board.wake()
        return job

    def submit_group(self, owner: str, requests: Iterable[GenerationRequest]) -> str:
        """Queue ``requests`` together, all of them or none; the group's id. Raises as ``submit`` does."""
        group_id, group = uuid.uuid4().hex, []
        for request in requests:
            full = self._catalogue.complete(request)
            self._check_media(owner, full)
            self.check_installed(full)
            texts = full.model_dump_json(), request.model_dump_json()
            group.append(jobs.NewJob(uuid.uuid4().hex, owner, 0, *texts, None, now(), group_id))
        with self._database.write() as connection:
            made = [self._insert(connection, new) for new in group]
        for job in made:
            self._board.publish("state", job)
        self._board.wake()
        return group_id

    def group(self, owner: str, group_id: str) -> _Group:
        """The jobs of a group in their order, each with its request as it was handed in (JSON). Raises ``NotFound``."""
        with self._database.read() as connection:
            rows = jobs.in_group(connection, owner, group_id)
            if not rows:
                raise NotFound(NO_GROUP)
            return [*zip(self._records(connection, owner, rows), [row.submitted for row in rows], strict=True)]

    def groups(self, owner: str, limit: int) -> _Groups:
        """The groups of ``owner``, the newest first."""
        with self._database.read() as connection:
            return jobs.groups(connection, owner, limit)

    def cancel_group(self, owner: str, group_id: str) -> None:
        """Stop what is left of a group: waiting jobs at once, so that none of them begins, then those that run.

        Raises ``NotFound``.
        """
        told: list[tuple[JobEventKind, str]] = []
        with self._database.write() as connection:
            rows = jobs.in_group(connection, owner, group_id)
            if not rows:
                raise NotFound(NO_GROUP)
            for row in rows:
                if jobs.cancel_queued(connection, row.id, now()):
                    told.append(("cancelled", row.id))
                elif jobs.ask_to_cancel(connection, row.id):
                    told.append(("state", row.id))
            stopped = [(kind, self._record(connection, _present(jobs.get(connection, job_id)))) for kind, job_id in told]
        for kind, job in stopped:
            if kind == "state":
                self._board.ask_to_cancel(job.id)
            self._board.publish(kind, job)

    def retry_group(self, owner: str, group_id: str) -> None:
        """Queue those of a group again that failed or were cancelled, in their places.

        Raises ``NotFound``, ``Conflict`` where there are none, or ``TooLarge`` where the queue has not the room.
        """
        with self._database.write() as connection:
            rows = jobs.in_group(connection, owner, group_id)
            if not rows:
                raise NotFound(NO_GROUP)
            over = [row for row in rows if row.state in ("failed", "cancelled")]
            if not over:
                raise Conflict("nothing of the grid failed or was cancelled: there is nothing to make again.")
            room = self._room(connection, owner)
            if len(over) > room:
                raise TooLarge(
                    f"{len(over)} clips are to be made again; the queue takes {room} more of yours now: let some finish."
                )
            for row in over:
                jobs.begin_again(connection, row.id)
            begun = [self._record(connection, _present(jobs.get(connection, row.id))) for row in over]
        for job in begun:
            self._board.publish("state", job)
        self._board.wake()

    def room(self, owner: str) -> int:
        """How many more jobs of ``owner`` may wait."""
        with self._database.read() as connection:
            return self._room(connection, owner)

    def _room(self, connection: Connection, owner: str) -> int:
        free = self._settings.max_queued_jobs - jobs.count(connection, "queued")
        if owner != self._settings.local_owner:
            free = min(free, self._settings.max_queued_jobs_per_guest - jobs.count(connection, "queued", owner))
        return max(0, free)

    def _insert(self, connection: Connection, new: jobs.NewJob) -> Job:
        """Append a job to the queue. Raises ``TooLarge`` when that is full."""
        if jobs.count(connection, "queued") >= self._settings.max_queued_jobs:
            raise TooLarge(
                f"the queue is full with {self._settings.max_queued_jobs:,} waiting jobs: let some finish or cancel some."
            )
        most = self._settings.max_queued_jobs_per_guest
        if new.owner != self._settings.local_owner and jobs.count(connection, "queued", new.owner) >= most:
            raise TooLarge(f"you have {most} clips waiting, the most that one person can: let some finish or cancel some.")
        jobs.insert(connection, new)
        return self._record(connection, _present(jobs.get(connection, new.id)))

    def _check_submission(self, idempotency_key: str | None, priority: int) -> None:
        if idempotency_key is not None and not 1 <= len(idempotency_key) <= _MAX_KEY_CHARACTERS:
            raise InvalidRequest(
                f"the idempotency key must have 1 to {_MAX_KEY_CHARACTERS} characters: use for instance a UUID.",
                field="idempotency_key",
            )
        if priority not in _PRIORITIES:
            raise InvalidRequest(f"priority is {priority}: use a whole number from -100 to 100.", field="priority")
        if priority > 0 and self._settings.is_space:
            raise NotAllowed("priority cannot be raised on a shared studio: leave it at 0.", field="priority")

    def check_installed(self, request: AnyRequest) -> None:
        """Raises ``Conflict`` where a clip would fetch its model, which can be a hundred gigabytes, without a question."""
        if isinstance(request, EditRequest) and not request.edit.imagines:
            return
        spec = self._catalogue.get(request.model)
        if installed(spec).state != "here":
            raise Conflict(
                f"{spec.title} is not on this machine yet: install it in the Models tab, or with "
                f"`python app.py models install {spec.id}`.",
                field="model",
            )

    def _check_media(self, owner: str, request: AnyRequest) -> None:
        is_new = isinstance(request, GenerationRequest)
        if request.clips():
            field, what = ("references", "references has a clip that") if is_new else ("source", "source")
            with self._database.read() as connection:
                gone = [name for name in request.clips() if clips.get(connection, owner, name.removeprefix("clip:")) is None]
            if gone:
                raise InvalidRequest(f"{what} is no longer in your library: choose another clip.", field=field)
        self._check_loras(owner, request)
        for reference in request.images():
            field = request.field_of(reference)
            try:
                self._media.path(owner, reference)
            except NotFound:
                raise InvalidRequest(f"{field} is not among your images: upload it again.", field=field) from None

    def _check_loras(self, owner: str, request: AnyRequest) -> None:
        with self._database.read() as connection:
            rows = [(use.lora, loras.get(connection, owner, use.lora)) for use in request.loras]
        for reference, row in rows:
            lora = shipped().get(reference)
            if row is not None:
                name, models = row.name, json.loads(row.models)
            elif lora is not None:
                name, models = lora.name, lora.fitting(self._catalogue)
            else:
                raise InvalidRequest(f"loras names {reference[5:17]}…, which is not among yours: import it.", field="loras")
            if request.model not in models:
                raise InvalidRequest(f"loras names {name!r}, which is not for {request.model}: take it out.", field="loras")

    def _submitted_before(self, owner: str, key: str, submitted: str) -> Job | None:
        with self._database.read() as connection:
            row = jobs.with_key(connection, owner, key)
            return None if row is None else self._same_job(connection, row, submitted)

    def _same_job(self, connection: Connection, row: JobRow, submitted: str) -> Job:
        if row.submitted != submitted:
            raise Conflict(
                "this idempotency key was used for another request already: use a new key for a new request.",
                field="idempotency_key",
            )
        return self._record(connection, row)

    def get(self, owner: str, job_id: str) -> Job:
        """The job as it is now. Raises ``NotFound``."""
        with self._database.read() as connection:
            return self._record(connection, self._owned(connection, owner, job_id))

    def list(self, owner: str, *, states: Iterable[JobState] | None = None, limit: int = 50) -> _Jobs:
        """Running jobs first, then queued ones in their order, then finished ones, newest first."""
        wanted = set(JobState) if states is None else {JobState(state) for state in states}
        with self._database.read() as connection:
            rows: _Rows = []
            if JobState.RUNNING in wanted:
                rows += jobs.running(connection, owner)
            if JobState.QUEUED in wanted:
                rows += jobs.waiting(connection, owner)
            final = sorted(state.value for state in wanted if state.is_final)
            if final and len(rows) < limit:
                rows += jobs.finished(connection, owner, final, limit - len(rows))
            return self._records(connection, owner, rows[:limit])

    def cancel(self, owner: str, job_id: str) -> Job:
        """Stop a job: at once while it waits, within one denoising step while it runs. Raises ``Conflict`` once it is over."""
        with self._database.write() as connection:
            row = self._owned(connection, owner, job_id)
            if jobs.cancel_queued(connection, job_id, now()):
                kind: JobEventKind = "cancelled"
            elif jobs.ask_to_cancel(connection, job_id):
                kind = "state"
            elif row.state == JobState.CANCELLED:
                return self._record(connection, row)
            else:
                raise Conflict(f"the job is {row.state} already: there is nothing left to cancel.")
            job = self._record(connection, self._owned(connection, owner, job_id))
        if kind == "state":
            self._board.ask_to_cancel(job_id)
        self._board.publish(kind, job)
        return job

    def retry(self, owner: str, job_id: str) -> Job:
        """Queue the request of a finished job again, as a new job. Raises ``Conflict`` while the job is not over."""
        job = self.get(owner, job_id)
        if not job.state.is_final:
            raise Conflict(f"the job is still {job.state}: wait for it or cancel it first.")
        return self.submit(owner, job.request, priority=0 if self._settings.is_space else job.priority)

    def move(self, owner: str, job_id: str, position: int) -> Job:
        """Make a waiting job the ``position``-th (1 is first) of its owner's; other people's jobs keep their places.

        Raises ``Conflict`` when it does not wait any more, ``InvalidRequest`` for a position below 1.
        """
        if position < 1:
            raise InvalidRequest(f"position is {position}: use 1 for the front of the queue.", field="position")
        with self._database.write() as connection:
            row = self._owned(connection, owner, job_id)
            if row.state != JobState.QUEUED:
                raise Conflict(f"the job is {row.state}: only waiting jobs can be moved.")
            waiting = jobs.waiting(connection, owner)
            places = [(job.priority, job.order_number) for job in waiting]
            others = [job.id for job in waiting if job.id != job_id]
            others.insert(position - 1, job_id)
            for moved, (priority, order_number) in zip(others, places, strict=True):
                jobs.place(connection, moved, priority, order_number)
            job = self._record(connection, self._owned(connection, owner, job_id))
        self._board.publish("state", job)
        return job

    def pause(self) -> None:
        """Start no more jobs until ``resume``, also after a restart; running jobs go on. Raises ``NotAllowed`` on a Space."""
        self._turn_pause(True)

    def resume(self) -> None:
        """Start jobs again."""
        self._turn_pause(False)
        self._board.wake()

    def _turn_pause(self, on: bool) -> None:
        if self._settings.is_space:
            raise NotAllowed("the queue of a shared studio cannot be paused: cancel your own jobs instead.")
        with self._database.write() as connection:
            switches.turn(connection, PAUSED, on)

    @property
    def is_paused(self) -> bool:
        """Whether no more jobs are started."""
        with self._database.read() as connection:
            return switches.is_on(connection, PAUSED)

    def counts(self) -> tuple[int, int]:
        """How many jobs of all people are (queued, running)."""
        with self._database.read() as connection:
            return jobs.count(connection, "queued"), jobs.count(connection, "running")

    def preview(self, owner: str, job_id: str) -> Preview | None:
        """The latest preview of a job, or ``None`` before the first. Raises ``NotFound``."""
        with self._database.read() as connection:
            self._owned(connection, owner, job_id)
        return self._board.preview(job_id)

    def events_after(self, owner: str, job_id: str, after: int) -> _Events:
        """What happened after the event ``after``, at once; 0 gives the present state, a job that is over ends with its end.

        Raises ``NotFound``.
        """
        job = self.get(owner, job_id)
        self._board.publish_place(job)
        events = self._board.events(job_id)
        if after == 0:
            return self._from_now_on(job, events)
        news = [event for event in events if event.id > after]
        if events and not events[-1].job.state.is_final:
            return news  # an end that is on disk already is told in a moment, once
        if job.state.is_final and (not news or news[-1].kind != _FINAL_KIND[job.state]):
            end = self._end(job, events)
            news += [end] if end.id > after else []
        return news

    def _from_now_on(self, job: Job, events: _Events) -> _Events:
        if job.state.is_final:
            end = self._end(job, events)
            return [JobEvent(id=end.id - 1, kind="state", job=job, metric=None), end]
        return [JobEvent(id=events[-1].id, kind="state", job=events[-1].job, metric=None)]

    def _end(self, job: Job, events: _Events) -> JobEvent:
        if events and events[-1].kind == _FINAL_KIND[job.state]:
            return events[-1]
        assert job.finished_at is not None
        moment = int(datetime.fromisoformat(job.finished_at).timestamp() * 1000)
        last = events[-1].id if events else 0
        return JobEvent(id=max(moment, last + 1), kind=_FINAL_KIND[job.state], job=job, metric=None)

    def _owned(self, connection: Connection, owner: str, job_id: str) -> JobRow:
        row = jobs.get(connection, job_id)
        if row is None or row.owner != owner:
            raise NotFound("there is no such job: see the list of your jobs for those there are.")
        return row

    def _record(self, connection: Connection, row: JobRow) -> Job:
        return self._records(connection, row.owner, [row])[0]

    def _records(self, connection: Connection, owner: str, rows: Iterable[JobRow]) -> _Jobs:
        rows = list(rows)
        found = clips.get_many(connection, owner, [row.clip_id for row in rows if row.clip_id is not None])
        made = {clip_id: clip_record(clip) for clip_id, clip in found.items()}
        return [job_record(row, self._board.progress(row.id), made.get(row.clip_id or "")) for row in rows]


def _present(row: JobRow | None) -> JobRow:
    assert row is not None
    return row
