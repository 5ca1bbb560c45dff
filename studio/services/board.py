"""What happens right now, in memory: events of jobs, their progress and latest preview, wishes to cancel.

Nothing here needs to outlive the process: after a restart a watcher gets the job's present state and goes on from there.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from pipelines.contract import Preview
from studio.services.records import Job, JobEvent, JobEventKind, JobMetric, JobProgress, JobState

_EVENTS_PER_JOB = 256
_FINISHED_JOBS = 64
_PREVIEWS_OF_FINISHED_JOBS = 8


@dataclass
class _Live:
    job: Job
    events: deque[JobEvent] = field(default_factory=lambda: deque(maxlen=_EVENTS_PER_JOB))
    last_id: int = 0
    preview: Preview | None = None
    preview_version: int = 0


class Board:
    """Shared by the workers' threads, who write on it, and by everybody who watches a job."""

    def __init__(self) -> None:
        self._live: dict[str, _Live] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._cancel: set[str] = set()
        self._lock = threading.Lock()
        self._work = threading.Condition()

    def publish(self, kind: JobEventKind, job: Job, metric: JobMetric | None = None) -> JobEvent:
        """Append an event; ids rise within a job and, being at least milliseconds since 1970, over restarts too."""
        with self._lock:
            return self._append(kind, job, metric)

    def publish_place(self, job: Job) -> None:
        """Tell of a waiting job's new place in the queue, or of the state of a job that the board does not know yet."""
        with self._lock:
            live = self._live.get(job.id)
            if job.state.is_final or (live and live.job.state is not JobState.QUEUED):
                return
            if live is None or (job.state is JobState.QUEUED and live.job.position != job.position):
                self._append("state", job, None)

    def _append(self, kind: JobEventKind, job: Job, metric: JobMetric | None) -> JobEvent:
        live = self._live.setdefault(job.id, _Live(job))
        live.job = job
        live.last_id = max(live.last_id + 1, int(time.time() * 1000))
        event = JobEvent(id=live.last_id, kind=kind, job=job, metric=metric)
        live.events.append(event)
        if job.state.is_final:
            self._retire(job.id)
        return event

    def _retire(self, job_id: str) -> None:
        self._cancel.discard(job_id)
        self._finished[job_id] = None
        self._finished.move_to_end(job_id)
        while len(self._finished) > _FINISHED_JOBS:
            self._live.pop(self._finished.popitem(last=False)[0], None)
        for old in list(self._finished)[:-_PREVIEWS_OF_FINISHED_JOBS]:
            self._live[old].preview = None

    def show(self, job_id: str, preview: Preview) -> int:
        """Keep the latest preview of a job; returns its version."""
        with self._lock:
            live = self._live[job_id]
            live.preview = preview
            live.preview_version += 1
            return live.preview_version

    def preview(self, job_id: str) -> Preview | None:
        """The latest preview, if the job has shown one."""
        live = self._live.get(job_id)
        return live.preview if live else None

    def progress(self, job_id: str) -> JobProgress | None:
        """How far a running job is."""
        live = self._live.get(job_id)
        return live.job.progress if live else None

    def latest(self, job_id: str) -> Job | None:
        """The job after its last event."""
        live = self._live.get(job_id)
        return live.job if live else None

    def events(self, job_id: str) -> list[JobEvent]:
        """Recent events, oldest first; empty when the job is not on the board."""
        with self._lock:
            live = self._live.get(job_id)
            return list(live.events) if live else []

    def ask_to_cancel(self, job_id: str) -> None:
        """Note a wish for the thread that looks after the running job."""
        with self._lock:
            self._cancel.add(job_id)

    def should_cancel(self, job_id: str) -> bool:
        """Whether somebody wants the running job to stop."""
        return job_id in self._cancel

    def forget_cancel(self, job_id: str) -> None:
        """The job does not run any more, so there is nothing left to cancel."""
        with self._lock:
            self._cancel.discard(job_id)

    def wake(self) -> None:
        """Tell idle workers that there may be work."""
        with self._work:
            self._work.notify_all()

    def wait_for_work(self, timeout_s: float) -> None:
        """Return when somebody woke the workers, at the latest after ``timeout_s``."""
        with self._work:
            self._work.wait(timeout_s)
