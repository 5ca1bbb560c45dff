"""The web process's side of an import: starts the child, holds it to its times, and turns whatever becomes of it into a value."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipelines.clip_io import part_of
from pipelines.contract import Conflict, ImportRequest, InvalidRequest, StorageFull, StudioError
from studio.importing.order import Order

ROOT = Path(__file__).parent.parent.parent
log = logging.getLogger("studio.importing")
_START_S = 60.0
_LOOK_S = 0.25
_LONGEST_LINE = 1 << 20
_LAST_WORDS_BYTES = 4000
# Of the studio's own environment only what a Python needs to start: a decoder has no business with tokens.
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "TMPDIR", "LANG")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each would take address space of its own


@dataclass(frozen=True)
class Imported:
    """The complete request of the clip that now lies at the order's target, and what was changed to make it."""

    request: ImportRequest
    notices: tuple[str, ...]


def import_apart(order: Order, given_up: threading.Event | None = None) -> Imported:
    """Carry out ``order`` in a child process, until ``given_up`` is set.

    Raises ``InvalidRequest`` with one sentence for a file that does not become a clip, also where it hangs or breaks its decoder,
    ``StorageFull`` where the clip cannot be written, and ``Conflict`` where it was given up.
    """
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _ONE_THREAD
    command = [sys.executable, "-m", "studio.importing"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            with process:
                try:
                    return _outcome(_Child(process, errors, given_up or threading.Event()), order)
                finally:
                    process.kill()
        finally:
            with suppress(OSError):  # a child that is killed cannot tidy up after itself
                part_of(Path(order.target), process.pid).unlink(missing_ok=True)


class _Child:
    """A running child and the lines that it says, each within a time."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[bytes], given_up: threading.Event) -> None:
        self._process = process
        self._errors = errors
        self._given_up = given_up
        self._is_late = False

    def give(self, text: str) -> None:
        """Everything that it is told; a child that is gone already says why in its next line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text)
            self._process.stdin.close()
        except BrokenPipeError:
            log.warning("the import's child was gone before its order")

    def says(self, limit_s: float, too_slow: str) -> dict[str, Any]:
        """Its next line. Raises ``InvalidRequest``, ``too_slow`` where it does not come in time or that the child broke."""
        assert self._process.stdout is not None
        is_heard = threading.Event()
        threading.Thread(target=self._watch, args=(is_heard, limit_s), name="import", daemon=True).start()
        try:
            line = self._process.stdout.readline(_LONGEST_LINE)
        finally:
            is_heard.set()
        if self._given_up.is_set():
            raise given_up_by_its_sender()
        if line.endswith("\n"):
            told: dict[str, Any] = json.loads(line)
            return told
        if self._is_late:
            raise InvalidRequest(too_slow, field="video")
        raise self._broken()

    def _watch(self, is_heard: threading.Event, limit_s: float) -> None:
        """End the child when its time is over or nobody waits for it any more."""
        end = time.monotonic() + limit_s
        while not is_heard.wait(min(_LOOK_S, max(0.0, end - time.monotonic()))):
            self._is_late = time.monotonic() >= end
            if self._is_late or self._given_up.is_set():
                self._process.kill()
                return

    def _broken(self) -> InvalidRequest:
        code = self._process.wait()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
        last = self._errors.read().decode(errors="replace").strip()
        log.error("an import ended with %s: %s", code, last)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else (last.splitlines() or [f"exit code {code}"])[-1][:120]
        return InvalidRequest(f"video breaks what reads it ({how}): convert it to MP4 with another program first.", field="video")


def given_up_by_its_sender() -> Conflict:
    """What becomes of a file whose sender does not wait for it."""
    return Conflict("video was not opened: whoever sent it went away before it was.", field="video")


def _outcome(child: _Child, order: Order) -> Imported:
    child.give(order.to_json())
    child.says(_START_S, f"video waits in vain: what reads it does not start within {_START_S:.0f} s; try again.")
    endless = f"video cannot be made sense of within {order.probe_s:g} s: it is damaged; choose another file."
    judged = child.says(order.probe_s, endless)
    slow = f"video takes over {order.convert_s / 60:.3g} minutes to be converted: shorten it or scale it down first."
    told = judged if "refused" in judged else child.says(order.convert_s, slow)
    if "refused" in told:
        message, status = told["refused"]["message"], told["refused"]["status"]
        kinds: dict[int, type[StudioError]] = {StorageFull.status: StorageFull}
        raise kinds.get(status, InvalidRequest)(message, field="video")
    return Imported(ImportRequest.model_validate(told["done"]["request"]), tuple(told["done"]["notices"]))
