"""The desk where workers take jobs and bring clips: leases, attempts and fencing numbers, and the word to whoever watches."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from pipelines.contract import AnyRequest, Clip, EditRequest, GenerationRequest, Metric, Preview, Progress, stored_request
from pipelines.lora.catalogue import shipped
from pipelines.optimize.batching import kind_of
from pipelines.optimize.memory import Evidence
from studio.services.board import Board
from studio.services.jobs import PAUSED
from studio.services.present import clip_record, job_record
from studio.services.records import Fault, Job, JobEventKind, JobMetric, now
from studio.settings import Settings
from studio.storage import clips, jobs, loras, memory, switches
from studio.storage.clips import ClipRow
from studio.storage.database import Connection, Database
from studio.storage.jobs import JobRow
from studio.workers.progress import ProgressMeter
from studio.workers.weighing import memory_row

PREPARING = Progress("prepare", 0, 1)
_NAME_CHARACTERS = 60
_LOOKS_AHEAD = 4
"""Jobs behind one that its worker is told of."""
_MOST_STUDIO_ENDS = 10
_TIMES = {1: "once", 2: "twice", 3: "three times"}


@dataclass(frozen=True)
class Lease:
    """The right to work on a job: valid as long as ``fence`` is the job's latest number."""

    job_id: str
    owner: str
    fence: int
    attempts: int
    request: AnyRequest
    clip_id: str
    path: Path
    thumbnail: Path
    sources: Mapping[str, Path] = field(default_factory=dict)
    evidence: Evidence | None = None
    coming: tuple[GenerationRequest, ...] = ()
    meter: ProgressMeter = field(default_factory=ProgressMeter)
    metrics: dict[str, float] = field(default_factory=dict)
    """The numbers that the worker told so far."""

    @property
    def ticket(self) -> str:
        """Names this attempt in what the worker says."""
        return f"{self.job_id}.{self.fence}"


class Desk:
    """The workers' side of the queue; every change of a job's state is on disk before anybody hears of it."""

    def __init__(self, database: Database, board: Board, settings: Settings) -> None:
        self._database = database
        self._board = board
        self._settings = settings

    def recover(self) -> None:
        """Take back the jobs of a studio that ended without saying goodbye: this one owns the folder, so nobody has them.

        That is hardly ever a job's fault, so no attempt is spent; but one that takes the whole studio with it each time it
        runs must not do so for ever.
        """
        with self._database.write() as connection:
            for row in jobs.running(connection):
                if row.cancel_requested:
                    jobs.stop(connection, row.id, row.fence, now())
                elif row.orphaned + 1 >= _MOST_STUDIO_ENDS:
                    times = f"{_MOST_STUDIO_ENDS} times"
                    message = f"the studio itself went down {times} while it made this: make the clip smaller or shorter."
                    jobs.fail(connection, row.id, row.fence, (message, None), now())
                else:
                    jobs.orphan(connection, row.id, row.fence)

    def claim(self) -> Lease | None:
        """The next job for a worker, or ``None`` when none waits or the queue is paused."""
        with self._database.read() as connection:
            if not self._has_work(connection):
                return None
        overdue: list[Job] = []
        with self._database.write() as connection:
            for held in jobs.running(connection):
                if held.lease_until is not None and held.lease_until < time.time():
                    overdue.append(self._take_back(connection, held, "its worker gave no sign of life"))
            row = None if switches.is_on(connection, PAUSED) else jobs.claim(connection, self._lease_until(), now())
        for job in overdue:
            self._publish(job)
        if row is None:
            return None
        self._board.publish("state", job_record(row))
        return self._begun(row)

    def claim_more(self, first: Lease, most: int, workers: int) -> list[Lease]:
        """Up to ``most`` jobs that share the transformer calls of ``first`` (``batching.kind_of``), as they stand in the queue.

        The first job that does not ends it, so nobody is overtaken; and of ``workers`` that are there each takes its part only.
        A job that took a worker down before is made alone.
        """
        kind = kind_of(first.request)
        rows: list[JobRow] = []
        if kind is None or first.attempts > 1 or most < 1:
            return []
        with self._database.write() as connection:
            share = ceil((jobs.count(connection, "queued") + 1) / max(1, workers)) - 1
            while len(rows) < min(most, share) and not switches.is_on(connection, PAUSED):
                head = jobs.first(connection)
                if head is None or head.attempts > 0 or kind_of(stored_request(head.request)) != kind:
                    break
                rows.append(_present(jobs.claim(connection, self._lease_until(), now())))
        for row in rows:
            self._board.publish("state", job_record(row))
        return [self._begun(row) for row in rows]

    def _begun(self, row: JobRow) -> Lease:
        lease = self._lease(row)
        self.note(lease, PREPARING)
        return lease

    def _has_work(self, connection: Connection) -> bool:
        return bool(jobs.count(connection, "queued") or jobs.count(connection, "running"))

    def _lease_until(self) -> float:
        return time.time() + self._settings.lease_s

    def _lease(self, row: JobRow) -> Lease:
        request, clip_id = stored_request(row.request), uuid.uuid4().hex
        folder = hashlib.sha256(row.owner.encode()).hexdigest()[:16]
        return Lease(
            job_id=row.id,
            owner=row.owner,
            fence=row.fence,
            attempts=row.attempts,
            request=request,
            clip_id=clip_id,
            path=self._settings.clips_dir / folder / f"{clip_id}.mp4",
            thumbnail=self._settings.thumbnails_dir / folder / f"{clip_id}.webp",
            sources=self._sources(row.owner, request),
            evidence=self._evidence(request.model),
            coming=self._coming(),
        )

    def _coming(self) -> tuple[GenerationRequest, ...]:
        with self._database.read() as connection:
            found = [stored_request(row.request) for row in jobs.next_in_line(connection, _LOOKS_AHEAD)]
        return tuple(request for request in found if isinstance(request, GenerationRequest))

    def _evidence(self, model: str) -> Evidence | None:
        with self._database.read() as connection:
            device = memory.latest_device(connection)
            return None if device is None else memory.evidence(connection, device, model)

    def _sources(self, owner: str, request: AnyRequest) -> dict[str, Path]:
        """The files of the clips and LoRAs that the request reads; one that is gone is left out, and the run says so."""
        with self._database.read() as connection:
            rows = {name: clips.get(connection, owner, name.removeprefix("clip:")) for name in request.clips()}
            stacked = [use.lora for use in request.loras if loras.get(connection, owner, use.lora) is not None]
        found = {name: self._settings.data_dir / row.path for name, row in rows.items() if row is not None}
        found |= {use.lora: shipped()[use.lora].path for use in request.loras if use.lora in shipped()}
        return found | {name: self._settings.loras_dir / loras.file_name(name) for name in stacked}

    def renew(self, lease: Lease) -> bool:
        """Extend the lease; false when the job was given to somebody else."""
        with self._database.write() as connection:
            return jobs.renew(connection, lease.job_id, lease.fence, self._lease_until())

    def note(self, lease: Lease, event: Progress | Preview | Metric) -> None:
        """Tell the watchers of a running job what happened."""
        if isinstance(event, Metric):
            lease.metrics[event.name] = event.value
        job = self._board.latest(lease.job_id)
        if job is None or job.state.is_final:
            return
        kind: JobEventKind
        metric = None
        match event:
            case Progress():
                kind, job = "progress", job.model_copy(update={"progress": lease.meter.step(event)})
            case Preview():
                version = self._board.show(lease.job_id, event)
                latest = job.progress or lease.meter.step(PREPARING)
                kind, job = "preview", job.model_copy(update={"progress": lease.meter.preview(latest, version)})
            case Metric(name, value):
                kind, metric = "metric", JobMetric(name=name, value=value)
                if job.progress is not None:
                    job = job.model_copy(update={"progress": lease.meter.measure(job.progress, name, value)})
        self._board.publish(kind, job, metric)

    def finish(self, lease: Lease, clip: Clip) -> bool:
        """Put the clip into the library and mark the job as done, both or neither.

        False, and no file, when the lease is not valid any more: somebody else has the job.
        """
        row = self._clip_row(lease, clip)
        with self._database.write() as connection:
            is_ours = jobs.finish(connection, lease.job_id, lease.fence, lease.clip_id, row.created_at)
            if is_ours:
                clips.insert(connection, row)
                if (run := memory_row(lease.request, lease.metrics)) is not None:
                    memory.insert(connection, run)
                job = self._job(connection, lease.job_id, row)
        if not is_ours:
            lease.path.unlink(missing_ok=True)
            lease.thumbnail.unlink(missing_ok=True)
            return False
        self._board.publish("done", job)
        return True

    def _clip_row(self, lease: Lease, clip: Clip) -> ClipRow:
        prompt = clip.request.prompt
        first_line = prompt.split("\n")[0]
        name = first_line if len(first_line) <= _NAME_CHARACTERS else first_line[: _NAME_CHARACTERS - 1].rstrip() + "…"
        return ClipRow(
            id=lease.clip_id,
            owner=lease.owner,
            job_id=lease.job_id,
            path=str(lease.path.relative_to(self._settings.data_dir)),
            thumbnail=str(lease.thumbnail.relative_to(self._settings.data_dir)),
            name=name,
            prompt=prompt,
            tags="[]",
            favourite=0,
            model=clip.request.model,
            modality=clip.request.modality,
            size_bytes=clip.size_bytes,
            clip=clip.model_dump_json(exclude={"path"}),
            created_at=now(),
            deleted_at=None,
            source=clip.request.source.removeprefix("clip:") if isinstance(clip.request, EditRequest) else None,
        )

    def fail(self, lease: Lease, fault: Fault) -> None:
        """Give the job up for a reason that another attempt would meet again."""
        with self._database.write() as connection:
            jobs.fail(connection, lease.job_id, lease.fence, (fault.message, fault.field), now())
            job = self._job(connection, lease.job_id)
        self._publish(job)

    def cancelled(self, lease: Lease) -> None:
        """The worker has left the job as its owner wished."""
        with self._database.write() as connection:
            jobs.stop(connection, lease.job_id, lease.fence, now())
            job = self._job(connection, lease.job_id)
        self._publish(job)

    def crashed(self, lease: Lease, how: str) -> None:
        """The worker went down with the job: queue it again at its old place, or give it up after too many attempts."""
        with self._database.write() as connection:
            row = jobs.get(connection, lease.job_id)
            if row is None or row.fence != lease.fence or row.state != "running":
                return
            job = self._take_back(connection, row, how)
        self._publish(job)
        self._board.wake()

    def give_back(self, lease: Lease) -> None:
        """Queue a job again that the studio's own end or a full disk interrupted; the attempt does not count."""
        with self._database.write() as connection:
            row = jobs.get(connection, lease.job_id)
            if row is not None and row.cancel_requested:
                jobs.stop(connection, lease.job_id, lease.fence, now())
            else:
                jobs.put_back(connection, lease.job_id, lease.fence, unspent=True)
            job = self._job(connection, lease.job_id)
        self._publish(job)

    def _take_back(self, connection: Connection, row: JobRow, how: str) -> Job:
        if row.cancel_requested:
            jobs.stop(connection, row.id, row.fence, now())
        elif row.attempts >= self._settings.max_attempts:
            times = _TIMES.get(row.attempts, f"{row.attempts} times")
            message = (
                f"this job stopped the worker {times}, the last time because {how}: "
                f"make the clip smaller or shorter; {self._settings.logs_dir} has the details."
            )
            jobs.fail(connection, row.id, row.fence, (message, None), now())
        else:
            jobs.put_back(connection, row.id, row.fence, unspent=False)
        return self._job(connection, row.id)

    def _job(self, connection: Connection, job_id: str, clip: ClipRow | None = None) -> Job:
        row = _present(jobs.get(connection, job_id))
        return job_record(row, result=clip_record(clip) if clip else None)

    def _publish(self, job: Job) -> None:
        """Tell the watchers of a change that the worker did not bring about itself."""
        kinds: dict[str, JobEventKind] = {"done": "done", "failed": "failed", "cancelled": "cancelled"}
        self._board.publish(kinds.get(job.state, "state"), job)
        if not job.state.is_final:
            self._board.forget_cancel(job.id)


def _present(row: JobRow | None) -> JobRow:
    assert row is not None
    return row
