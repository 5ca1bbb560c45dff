"""Workers on this machine: one thread a slot, each looking after one child process."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeGuard

from pipelines.contract import (
    AnyRequest,
    Clip,
    DeviceLost,
    GenerationRequest,
    Metric,
    Preview,
    Progress,
    StorageFull,
    StudioError,
)
from studio.services.board import Board
from studio.services.records import Fault, WorkerHealth
from studio.settings import Settings
from studio.workers.attendance import Attendance, Closing, Crashed, Interrupted, Lost, Outcome
from studio.workers.batches import Batches
from studio.workers.desk import Desk, Lease
from studio.workers.messages import Cancel, Cancelled, Failed, Finished, FromChild, Happened, Ready, Run, Setup, Up
from studio.workers.process import WorkerGone, WorkerProcess

_LOOK_S = 0.1
_IDLE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_PAUSE_FOR_ROOM_S = 1.0
_LARGEST_LOG_BYTES = 5_000_000
State = Literal["starting", "idle", "busy", "stopped"]


class WorkerPool:
    """The workers of one studio."""

    def __init__(self, settings: Settings, desk: Desk, board: Board) -> None:
        devices = [device.strip() for device in settings.device.split(",")]
        self._settings = settings
        self._board = board
        self._closing = Closing()
        self._slots = [
            _Slot(index, devices[index % len(devices)], desk=desk, board=board, closing=self._closing, settings=settings)
            for index in range(settings.workers)
        ]
        self._started = False

    def start(self) -> None:
        """Start every worker; returns at once."""
        self._started = True
        for slot in self._slots:
            slot.thread.start()

    def stop(self) -> None:
        """Take no more jobs; running ones may finish for ``drain_s``, then they go back into the queue."""
        self._closing.begin(self._settings.drain_s)
        self._board.wake()
        if self._started:
            for slot in self._slots:
                slot.thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether every worker's thread does its round."""
        return all(slot.thread.is_alive() for slot in self._slots)

    def states(self) -> tuple[WorkerHealth, ...]:
        """What each worker does."""
        return tuple(WorkerHealth(device=slot.device, state=slot.state) for slot in self._slots)

    def problems(self) -> tuple[str, ...]:
        """What keeps workers from working, a sentence each."""
        return tuple(dict.fromkeys(slot.problem for slot in self._slots if slot.problem))

    def pids(self) -> tuple[int, ...]:
        """Process ids of the living workers."""
        return tuple(pid for slot in self._slots if (pid := slot.pid) is not None)


class _Slot:
    """One worker: keeps a child alive and hands it a job at a time."""

    def __init__(self, index: int, device: str, *, desk: Desk, board: Board, closing: Closing, settings: Settings) -> None:
        name = f"worker-{index + 1}"
        self.device = device
        self.state: State = "stopped"
        self._start_problem: str | None = None
        self._trouble: str | None = None
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._desk = desk
        self._board = board
        self._closing = closing
        self._settings = settings
        self._batches = Batches(settings, shares_out="+" in device)
        self._attendance = Attendance(desk, board, settings, closing, self._hear)
        self._log = settings.logs_dir / f"{name}.log"
        self._child: WorkerProcess | None = None
        self._is_up = False
        self._is_ready = False
        self._failed_starts = 0
        self._pause_for_room_s = _PAUSE_FOR_ROOM_S

    @property
    def problem(self) -> str | None:
        """What keeps it from working: trouble at the last try, or a child or model that does not come up."""
        return self._trouble or self._start_problem

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        child = self._child
        return child.pid if child else None

    def _work(self) -> None:
        while not self._closing.has_begun:
            try:
                self._round()
            except StudioError as error:
                self._trouble = error.message
                self._closing.wait(1.0)
            except Exception as error:
                traceback.print_exc()
                self._trouble = f"the worker on {self.device} stumbled ({type(error).__name__}: {error}) and tries again."
                self._dismiss()
                self._closing.wait(1.0)
        self._dismiss()

    def _round(self) -> None:
        """Make sure of a child, then one job or a short wait."""
        child = self._child or self._hire()
        try:
            while message := child.receive(0 if self._is_up else _LOOK_S):
                self._hear(message)
        except WorkerGone as gone:
            self._lose_idle_child(gone)
            return
        if not self._is_up:
            return
        lease = self._desk.claim()
        self._trouble = None  # also where nothing waits any more: a studio that is never ready again would get no work
        if lease is None:
            self._board.wait_for_work(_IDLE_S)
            return
        self.state = "busy"
        more = self._desk.claim_more(lease, self._batches.most(lease.request) - 1, self._settings.workers)
        done = []
        for each, outcome in self._attendance.outcomes(child, [lease, *more]):
            self._settle(each, outcome)
            if isinstance(outcome, Finished):
                done.append((each.request, each.metrics))
        self._batches.learn(done)
        if self._child is not None:
            self.state = "idle"

    def _hire(self) -> WorkerProcess:
        self.state, self._is_up, self._is_ready = "starting", False, False
        preload = GenerationRequest.model_fields["model"].default if self._settings.preload else None
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            if self._log.exists() and self._log.stat().st_size > _LARGEST_LOG_BYTES:
                self._log.replace(self._log.with_suffix(".old.log"))
            setup = Setup(self._settings, self.device, preload, self._settings.media_dir)
            self._child = WorkerProcess.start(setup, self._log)
        except OSError as error:
            raise StorageFull(
                f"the worker cannot be started with its log in {self._log.parent} ({error.strerror}): free some space."
            ) from error
        except WorkerGone as gone:
            raise StudioError(f"the worker does not start ({gone}): see {self._log}.") from gone
        return self._child

    def _lose_idle_child(self, gone: WorkerGone) -> None:
        """A child that ended before it could do anything will probably do so again: wait longer each time."""
        was_ready = self._is_ready
        self._dismiss()
        if not was_ready:
            self._failed_starts += 1
            self._start_problem = f"the worker on {self.device} does not start ({gone}): see {self._log}."
            self._closing.wait(min(_LONGEST_PAUSE_S, 2.0**self._failed_starts))

    def _hear(self, message: FromChild) -> None:
        match message:
            case Up():
                self._is_up = True
            case Ready(problem):
                self._is_ready, self._failed_starts = True, 0
                self._start_problem = problem
                self.state = "idle" if self.state == "starting" else self.state

    def _dismiss(self) -> None:
        self.state, self._is_up, self._is_ready = "stopped", False, False
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _settle(self, lease: Lease, outcome: Outcome) -> None:
        """Draw the consequences; a child that crashed, hangs or met a bug is replaced."""
        if isinstance(outcome, Failed) and issubclass(outcome.kind, DeviceLost):
            outcome = Crashed(outcome.message)
        if isinstance(outcome, Crashed | Interrupted | Lost) or (isinstance(outcome, Failed) and outcome.is_bug):
            self._dismiss()  # first, so that it cannot go on writing what somebody else is given next
        while True:
            try:
                self._write_down(lease, outcome)
                break
            except StorageFull as error:
                self._trouble = error.message
                if self._closing.wait(1.0):
                    return  # the next start takes the job back
        if _is_for_want_of_room(outcome):
            # Not the job's fault: it waits at its old place, and every try is a whole clip, so they come ever more rarely.
            self._trouble = outcome.message
            self._closing.wait(self._pause_for_room_s)
            self._pause_for_room_s = min(_LONGEST_PAUSE_S, 2 * self._pause_for_room_s)
        elif isinstance(outcome, Finished):
            self._start_problem, self._pause_for_room_s = None, _PAUSE_FOR_ROOM_S

    def _write_down(self, lease: Lease, outcome: Outcome) -> None:
        match outcome:
            case Finished(_, clip):
                self._desk.finish(lease, clip)
            case Failed() if _is_for_want_of_room(outcome):
                self._desk.give_back(lease)
            case Failed():
                self._desk.fail(lease, Fault(message=outcome.message, field=outcome.field))
            case Cancelled():
                self._desk.cancelled(lease)
            case Crashed(how):
                self._desk.crashed(lease, how)
            case Interrupted():
                self._desk.give_back(lease)
            case Lost():
                pass


def _is_for_want_of_room(outcome: Outcome) -> TypeGuard[Failed]:
    return isinstance(outcome, Failed) and issubclass(outcome.kind, StorageFull)


def run_once(
    settings: Settings,
    request: AnyRequest,
    on_event: Callable[[Progress | Preview | Metric], None],
    *,
    path: Path,
    media_dir: Path | None = None,
    sources: Mapping[str, Path] | None = None,
) -> Clip:
    """Make one clip at ``path`` in a child process, without a studio or its database.

    ``media_dir`` holds the images that the request names, ``sources`` says where its clips are. Ctrl-C leaves nothing behind.
    Raises what the engine raises, ``InvalidRequest`` and the like, or ``StudioError`` when the process went down.
    """
    full = settings.catalogue.complete(request)
    alone = settings.model_copy(update={"keep_latents": False})  # whoever names a path wants one file there
    setup = Setup(alone, settings.device.split(",")[0].strip(), None, media_dir or settings.media_dir)
    try:
        child = WorkerProcess.start(setup, None)
        try:
            child.send(Run("once", full, path.absolute(), None, sources or {}))
            return _until_clip(child, on_event)
        except KeyboardInterrupt:
            _leave(child)
            raise
        finally:
            child.kill()
    except WorkerGone as gone:
        raise StudioError(f"the worker process went down ({gone}): make the clip smaller or shorter.") from None


def _until_clip(child: WorkerProcess, on_event: Callable[[Progress | Preview | Metric], None]) -> Clip:
    while True:
        match child.receive(_LOOK_S):
            case Happened(_, event):
                on_event(event)
            case Finished(_, clip):
                return clip
            case Failed() as failed:
                raise failed.error()


def _leave(child: WorkerProcess) -> None:
    """Let the child close its run, so that no half-written file stays; not longer than a person waits."""
    child.send(Cancel("once"))
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        if isinstance(child.receive(_LOOK_S), Cancelled | Finished | Failed):
            return
