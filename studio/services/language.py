"""The process in which a person's language models live, seen from the studio: started when first needed, ended when long unused.

This process loads no torch, and whatever becomes of the other one is a sentence here.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from pipelines.contract import Conflict, OutOfMemory, StudioError
from pipelines.models.local import title_of
from pipelines.prompting.exchange import Answer, Loaded, Order, Refused, Translate, Translated, Write, Written
from studio.settings import Settings

ROOT = Path(__file__).parent.parent.parent
log = logging.getLogger("studio.language")
_MOST_WAITING = 4  # each keeps a thread of the web process
_LOAD_S = 600.0
_GRACE_S = 20.0  # beyond its own time: reading the question, a beam's last step
_TRANSLATION_S = 60.0
_LAST_WORDS_BYTES = 4000


@dataclass
class _Child:
    """A running process, its pipe, and what it writes to standard error."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    errors: IO[bytes]

    def end(self) -> None:
        """At once."""
        self.process.kill()
        self.process.wait()
        self.pipe.close()
        self.errors.close()


def _nameless_file() -> IO[bytes]:
    """A file that is gone from the disk when it is closed, by whatever end."""
    handle, name = tempfile.mkstemp()
    Path(name).unlink()
    return os.fdopen(handle, "w+b")


class LanguageProcess:
    """Writes and translates with the models that the settings name; is a ``Writer`` and a ``Translator``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_MOST_WAITING)
        self._child: _Child | None = None
        self._used_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process id, while there is one."""
        child = self._child
        return child.process.pid if child else None

    def write(self, system: str, user: str) -> Written:
        """As ``Writer``. Raises ``ModelNotFound``, ``OutOfMemory``, ``InvalidRequest`` or ``Conflict``."""
        settings = self._settings
        order = Write(settings.enhancer, settings.language_device, system, user, settings.enhancer_tokens, settings.enhancer_s)
        answer = self._asked(order, "enhancer", settings.enhancer_s)
        assert isinstance(answer, Written)
        return answer

    def translate(self, sentences: tuple[str, ...], language: str) -> tuple[str, ...]:
        """As ``Translator``. Raises ``ModelNotFound``, ``OutOfMemory``, ``InvalidRequest`` or ``Conflict``."""
        order = Translate(self._settings.translator, self._settings.language_device, sentences, language, _TRANSLATION_S)
        answer = self._asked(order, "translator", _TRANSLATION_S)
        assert isinstance(answer, Translated)
        return answer.sentences

    def close(self) -> None:
        """End the process, whatever it is at."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _asked(self, order: Order, role: str, seconds: float) -> Answer:
        with self._turn(role):
            child = self._started()
            try:
                child.pipe.send(order)
                answer = self._heard(child, _LOAD_S, f"{role} {title_of(order.model)} is not loaded within {_LOAD_S:.0f} s")
                if isinstance(answer, Loaded):
                    slow = f"{role} {title_of(order.model)} came to no end in {seconds:g} s"
                    answer = self._heard(child, seconds + _GRACE_S, slow)
            except (EOFError, OSError):
                raise self._broken(child, role, order.model) from None
            finally:
                self._used_at = time.monotonic()
        if isinstance(answer, Refused):
            raise answer.error()
        return answer

    @contextmanager
    def _turn(self, role: str) -> Iterator[None]:
        """One at a time, and few that wait."""
        if not self._places.acquire(blocking=False):
            raise Conflict(f"{role} has its hands full with other prompts: try again in a moment.", field=role)
        try:
            with self._lock:
                yield
        finally:
            self._places.release()

    def _heard(self, child: _Child, seconds: float, slow: str) -> Answer:
        """The next thing that the process says. Raises ``Conflict``, which ends it, where that does not come in time."""
        if not child.pipe.poll(seconds):
            self.close()
            raise Conflict(f"{slow}: choose a smaller model, or give it more time.", field=slow.partition(" ")[0])
        answer: Answer = child.pipe.recv()
        return answer

    def _started(self) -> _Child:
        if self._child is not None and self._child.process.poll() is not None:
            self.close()
        if self._child is None:
            ours, theirs = socket.socketpair()
            errors = _nameless_file()
            with theirs:
                # Models are only ever read from this disk; what transformers says of its progress is nobody's business.
                quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
                path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
                process = subprocess.Popen(
                    [sys.executable, "-m", "pipelines.prompting", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    pass_fds=[theirs.fileno()],
                    env=os.environ | quiet | {"PYTHONPATH": path},
                    process_group=0,
                )
            self._child = _Child(process, Connection(ours.detach()), errors)
            threading.Thread(target=self._end_when_unused, args=(self._child,), name="language", daemon=True).start()
        return self._child

    def _end_when_unused(self, child: _Child) -> None:
        """Give the memory back after a while; a process that took another's place has a thread of its own."""
        idle_s = self._settings.language_idle_s
        while self._child is child:
            time.sleep(min(1.0, idle_s))
            with self._lock:
                if self._child is child and time.monotonic() - self._used_at > idle_s:
                    self.close()

    def _broken(self, child: _Child, role: str, name: str) -> StudioError:
        """Why the process is gone: most likely the kernel took it when memory ran out."""
        if self._child is not child:
            return Conflict(f"{role} was stopped with the studio: try again.", field=role)
        code = child.process.wait()
        child.errors.seek(max(0, child.errors.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
        last = child.errors.read().decode(errors="replace").strip()
        log.error("the process of the %s ended with %s: %s", role, code, last)
        self.close()
        if code < 0:
            how = f"its process was ended by signal {-code}, most likely for want of memory: choose a smaller one"
            return OutOfMemory(f"{role} {title_of(name)} cannot be run ({how}).", field=role)
        return StudioError(
            f"{role} {title_of(name)} broke ({(last.splitlines() or ['no word'])[-1][:200]}): see the log.", field=role
        )
