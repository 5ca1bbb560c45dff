"""Looking after running jobs: signs of life, the lease, wishes to cancel, the end of the studio."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pipelines.contract import StorageFull
from studio.services.board import Board
from studio.settings import Settings
from studio.workers.desk import Desk, Lease
from studio.workers.messages import Batch, Beat, Cancel, Cancelled, Failed, Finished, FromChild, Happened, Run
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

    def outcomes(self, child: WorkerProcess, leases: Sequence[Lease]) -> Iterator[tuple[Lease, Outcome]]:
        """Give the jobs to the child, together if they are several, and stay until all are over: each with what became of it.

        After the first outcome that a child does not survive, the rest of its jobs are given up as well, without blame.
        """
        left = {lease.ticket: lease for lease in leases}
        try:
            for lease, outcome in self._watched(child, left):
                del left[lease.ticket]
                yield lease, outcome
                if isinstance(outcome, Crashed | Lost) or (isinstance(outcome, Failed) and outcome.is_bug):
                    break
        except WorkerGone as gone:
            for lease in left.values():
                yield lease, Crashed(str(gone))
            return
        for lease in left.values():
            yield lease, Interrupted()

    def _watched(self, child: WorkerProcess, left: Mapping[str, Lease]) -> Iterator[tuple[Lease, Outcome]]:
        runs = tuple(map(_run, left.values()))
        child.send(runs[0] if len(runs) == 1 else Batch(runs))
        last_sign = renewed = time.monotonic()
        asked_to_stop: dict[str, float] = {}
        while left and not self.closing.is_over:
            message = child.receive(_LOOK_S)
            moment = time.monotonic()
            if message is not None:
                last_sign = moment
                if over := self._take_in(left, message):
                    yield over
            elif moment - last_sign > self.settings.lease_s:
                raise WorkerGone(f"it gave no sign of life for {self.settings.lease_s:g} seconds")
            if last_sign > renewed and moment - renewed >= self.settings.heartbeat_s:
                renewed = moment
                for lease in [lease for lease in left.values() if not self._renew(lease)]:
                    yield lease, Lost()
            for ticket, lease in list(left.items()):
                if ticket not in asked_to_stop and self.board.should_cancel(lease.job_id):
                    asked_to_stop[ticket] = moment
                    child.send(Cancel(ticket))
                if moment - asked_to_stop.get(ticket, moment) > self.settings.lease_s:
                    # Loading or fetching a model knows no steps; nobody's queue shall stand behind what is not wanted any more.
                    yield lease, Crashed("it did not stop when asked")

    def _take_in(self, left: Mapping[str, Lease], message: FromChild) -> tuple[Lease, Outcome] | None:
        match message:
            case Happened(ticket, event) if ticket in left:
                self.desk.note(left[ticket], event)
            case Finished() | Failed() | Cancelled() if message.ticket in left:
                return left[message.ticket], message
            case Beat():
                pass
            case _:
                self.hear(message)
        return None

    def _renew(self, lease: Lease) -> bool:
        with suppress(StorageFull):  # the disk may have room again before the lease is over
            return self.desk.renew(lease)
        return True


def _run(lease: Lease) -> Run:
    return Run(lease.ticket, lease.request, lease.path, lease.thumbnail, lease.sources, lease.evidence, lease.coming)
