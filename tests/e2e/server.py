"""The studio's own server process, as a person starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


class Server:
    """`python app.py serve` on a free port with a data directory of its own; survives restarts."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.folder = folder
        self._settings = {f"STUDIO_{name.upper()}": value for name, value in settings.items()} | dict(environment or {})
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when the server answers and its worker is ready."""
        given = {"STUDIO_DATA_DIR": str(self.folder / "data"), "STUDIO_PORT": str(self.port), "STUDIO_DRAIN_S": "2"}
        given |= self._settings
        log = (self.folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "app.py", "serve", "--no-open"], cwd=ROOT, env={**os.environ, **given}, stdout=log, stderr=log
        )
        end = time.monotonic() + 180
        while time.monotonic() < end:
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                    return
            except OSError:
                time.sleep(0.3)
        raise AssertionError(f"the studio did not get ready: {(self.folder / 'server.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)
