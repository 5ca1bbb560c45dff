"""Looking after one running job: signs of life, the lease, wishes to cancel, the end of the studio."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from pipelines.contract import StorageFull
from studio.services.board import Board
from studio.settings import Settings
from studio.workers.desk import Desk, Lease
from studio.workers.messages import Beat, Cancel, Cancelled, Failed, Finished, FromChild, Happened, Run
from studio.workers.process import WorkerGone, WorkerProcess

_LOOK_S = 0.1


class Closing:
    """The studio's wish to end, and until when running jobs may go on."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._over_at = float("inf")

    def begin(self, drain_s: float) -> None:
        """Take no more jobs from now on; running ones have ``drain_s``."""
        self._over_at = time.monotonic() + drain_s
        self._begun.set()

    @property
    def has_begun(self) -> bool:
        """Whether no more jobs may be taken."""
        return self._begun.is_set()

    @property
    def is_over(self) -> bool:
        """Whether running jobs have to be left."""
        return self._begun.is_set() and time.monotonic() >= self._over_at

    def wait(self, timeout_s: float) -> bool:
        """Sleep, but not past the wish to end; whether there is one."""
        return self._begun.wait(timeout_s)


@dataclass(frozen=True)
class Crashed:
    """The worker went down, or showed no sign of life, with the job in its hands."""

    how: str


@dataclass(frozen=True)
class Interrupted:
    """The studio ends and the job was not done in time."""


@dataclass(frozen=True)
class Lost:
    """The lease ran out and somebody else has the job."""


Outcome = Finished | Failed | Cancelled | Crashed | Interrupted | Lost


@dataclass(frozen=True)
class Attendance:
    """What it takes to look after jobs; ``hear`` takes messages that are not about a job."""

    desk: Desk
    board: Board
    settings: Settings
    closing: Closing
    hear: Callable[[FromChild], None]

    def outcome(self, child: WorkerProcess, lease: Lease) -> Outcome:
        """Give the job to the child and stay with it until it is over. The child lives on except after a crash."""
        try:
            return self._watched(child, lease)
        except WorkerGone as gone:
            return Crashed(str(gone))

    def _watched(self, child: WorkerProcess, lease: Lease) -> Outcome:
        child.send(Run(lease.ticket, lease.request, lease.path, lease.thumbnail, lease.sources))
        last_sign = renewed = time.monotonic()
        asked_to_stop: float | None = None
        while True:
            message = child.receive(_LOOK_S)
            moment = time.monotonic()
            if message is not None:
                last_sign = moment
                if over := self._take_in(lease, message):
                    return over
            elif moment - last_sign > self.settings.lease_s:
                return Crashed(f"it gave no sign of life for {self.settings.lease_s:g} seconds")
            if last_sign > renewed and moment - renewed >= self.settings.heartbeat_s:
                renewed = moment
                if not self._renew(lease):
                    return Lost()
            if asked_to_stop is None and self.board.should_cancel(lease.job_id):
                asked_to_stop = moment
                child.send(Cancel(lease.ticket))
            if asked_to_stop is not None and moment - asked_to_stop > self.settings.lease_s:
                # Loading or fetching a model knows no steps; nobody's queue shall stand behind what is not wanted any more.
                return Crashed("it did not stop when asked")
            if self.closing.is_over:
                return Interrupted()

    def _take_in(self, lease: Lease, message: FromChild) -> Outcome | None:
        match message:
            case Happened(ticket, event) if ticket == lease.ticket:
                self.desk.note(lease, event)
            case Finished() | Failed() | Cancelled() if message.ticket == lease.ticket:
                return message
            case Beat():
                pass
            case _:
                self.hear(message)
        return None

    def _renew(self, lease: Lease) -> bool:
        with suppress(StorageFull):  # the disk may have room again before the lease is over
            return self.desk.renew(lease)
        return True
