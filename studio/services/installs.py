"""Installs models of the hub, each by a child process that fetches: to cancel is to kill it, to resume is to start it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from pipelines.contract import Conflict, InvalidRequest
from pipelines.models.fetch import free_bytes, on_disk_bytes
from pipelines.registry import ModelCatalogue
from studio.services.records import ActionState, Record


class Install(Record):
    """The latest installation of a model since the studio was opened."""

    state: ActionState
    done_bytes: int
    """On the disk so far."""
    total_bytes: int | None
    """As the hub tells it; ``None`` before it has."""
    checked_bytes: int | None
    """Once all is fetched: how much of it was compared with its published sha256."""
    fault: str | None
    """Why it failed, in one sentence."""


class _Fetch:
    """One child that fetches, and what it said."""

    def __init__(self, source: str, patterns: Sequence[str]) -> None:
        self.source = source
        self.total: int | None = None
        self.checked: int | None = None
        self.fault: str | None = None
        self.state = ActionState.RUNNING
        path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
        # Plain HTTP appends to one file a blob: what was fetched counts on the disk, and is gone on from after a kill.
        environment = os.environ | {"PYTHONPATH": path, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        command = [sys.executable, "-m", "pipelines.models.fetch", source, *patterns]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, process_group=0
        )
        self._listener = threading.Thread(target=self._listen, name="install", daemon=True)
        self._listener.start()

    def cancel(self) -> None:
        if self.state is ActionState.RUNNING:
            self.state = ActionState.CANCELLED
            self._process.kill()
        self._listener.join()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        done = False
        with self._process.stdout as lines:
            for line in lines:
                told = json.loads(line)
                self.total, self.checked = told.get("total", self.total), told.get("checked", self.checked)
                self.fault, done = told.get("fault"), "done" in told
        status = self._process.wait()
        if self.state is not ActionState.RUNNING:
            return
        if not done and self.fault is None:
            self.fault = f"the download ended without a word (status {status}): install again, it goes on where it was."
        self.state = ActionState.DONE if done else ActionState.FAILED


class InstallService:
    """Installs the models of a catalogue, one at a time."""

    def __init__(self, catalogue: ModelCatalogue) -> None:
        self._catalogue = catalogue
        self._fetches: dict[str, _Fetch] = {}
        self._lock = threading.Lock()

    def start(self, model: str, *, accepts_licence: bool) -> Install:
        """Begin, or go on with, fetching ``model``; returns at once.

        Raises ``ModelNotFound``, ``InvalidRequest`` (the licence), or ``Conflict`` (a local folder, or one is being installed).
        """
        spec = self._catalogue.get(model)
        if spec.is_local:
            raise Conflict(f"model {spec.id} is a folder on this machine already: there is nothing to install.", field="model")
        if not accepts_licence:
            size = f"{spec.download_bytes / 1e9:.3g} GB" if spec.download_bytes else "a size that is not known"
            raise InvalidRequest(
                f"accept_licence is false; {spec.title} ({size}; the disk has {free_bytes(spec.source) / 1e9:.3g} GB free) may "
                f"be installed by those who accept the {spec.licence}.",
                field="accept_licence",
            )
        with self._lock:
            for other, fetch in self._fetches.items():
                if fetch.state is ActionState.RUNNING:
                    raise Conflict(f"model {other} is being installed: wait for it, or cancel it.", field="model")
            self._fetches[spec.id] = _Fetch(spec.source, spec.files)
        return self._told(self._fetches[spec.id])

    def get(self, model: str) -> Install | None:
        """How the latest installation of ``model`` stands; ``None`` where there was none."""
        fetch = self._fetches.get(model)
        return None if fetch is None else self._told(fetch)

    def cancel(self, model: str) -> Install:
        """Stop fetching; what was fetched stays and is gone on from. Raises ``Conflict`` where nothing is being installed."""
        fetch = self._fetches.get(model)
        if fetch is None or fetch.state is not ActionState.RUNNING:
            raise Conflict(f"model {model} is not being installed.", field="model")
        fetch.cancel()
        return self._told(fetch)

    def close(self) -> None:
        """Stop whatever is being fetched."""
        for fetch in self._fetches.values():
            fetch.cancel()

    def _told(self, fetch: _Fetch) -> Install:
        done = on_disk_bytes(fetch.source)
        return Install(
            state=fetch.state,
            done_bytes=done if fetch.total is None else min(done, fetch.total),
            total_bytes=fetch.total,
            checked_bytes=fetch.checked,
            fault=fetch.fault,
        )
