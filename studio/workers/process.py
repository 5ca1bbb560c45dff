"""A worker process seen from the studio: started fresh, spoken to over a pipe, ended at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from pipelines.optimize.scratch import leave
from studio.workers.messages import FromChild, Setup, ToChild


class WorkerGone(Exception):
    """The process has ended or its pipe broke."""


class WorkerProcess:
    """A running child; use ``start``."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: Connection, scratch: Path) -> None:
        self._process = process
        self._pipe = pipe
        self._scratch = scratch

    @classmethod
    def start(cls, setup: Setup, log: Path | None) -> WorkerProcess:
        """Start a fresh interpreter: no locks, threads or ``__main__`` of the studio come along.

        ``log`` takes what it writes; ``None`` leaves that on this process's standard error.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "studio.workers.child", str(theirs.fileno())]
            path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
            environment = os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
            stderr = None if log is None else log.open("ab")
            try:
                # A process group of its own: Ctrl-C in a terminal reaches the studio, and the studio decides.
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stderr or sys.stderr.fileno(),
                    stderr=stderr,
                    pass_fds=[theirs.fileno()],
                    env=environment,
                    process_group=0,
                )
            finally:
                if stderr is not None:
                    stderr.close()
        worker = cls(process, Connection(ours.detach()), setup.settings.offload_dir)
        worker.send(setup)
        return worker

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def send(self, message: ToChild) -> None:
        """Say something. Raises ``WorkerGone``."""
        try:
            self._pipe.send(message)
        except OSError as error:
            raise WorkerGone(self._farewell()) from error

    def receive(self, timeout_s: float) -> FromChild | None:
        """The next message, or ``None`` after ``timeout_s``. Raises ``WorkerGone`` when there will be none."""
        try:
            if not self._pipe.poll(timeout_s):
                return None
            message: FromChild = self._pipe.recv()
            return message
        except (EOFError, OSError) as error:
            raise WorkerGone(self._farewell()) from error

    def kill(self) -> None:
        """End the process at once and forget it, and what it kept in files."""
        self._process.kill()
        self._process.wait()
        leave(self._scratch, self.pid)
        self._pipe.close()

    def _farewell(self) -> str:
        """How the process ended, in a few words."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it broke off the connection"
        return f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}"
