"""The real server as a process of its own, to be killed, terminated and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from tests.studio.rooms import FAST_ENGINE

ROOT = Path(__file__).parent.parent.parent


class Server:
    """``python app.py serve``, or ``python app.py`` as a Space starts it, with the fast engine on ``data_dir``."""

    def __init__(self, data_dir: Path, *, hosted: bool = False, **settings: object) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        given = {"data_dir": data_dir, "engine": FAST_ENGINE, "lease_s": 2, "heartbeat_s": 0.2, "max_attempts": 10} | settings
        environment = os.environ | {f"STUDIO_{name.upper()}": str(value) for name, value in given.items()}
        command = [sys.executable, "app.py", "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        if hosted:
            command = command[:2]
            environment |= {"SYSTEM": "spaces", "SPACE_ID": "someone/studio", "SPACE_HOST": "someone-studio.hf.space"}
            environment["STUDIO_PORT"] = str(self.port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_up(self, timeout_s: float = 90) -> None:
        """Return once it answers."""
        give_up = time.monotonic() + timeout_s
        while time.monotonic() < give_up:
            assert self.process.poll() is None, self.process.stderr.read()
            try:
                self.ask("GET", "/livez")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
            else:
                return
        raise AssertionError("the server did not come up")

    def ask(self, method: str, path: str, body: dict | None = None, headers: dict | None = None) -> dict:
        """The JSON answer to a request; raises ``OSError`` when there is none."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", content, method=method)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        return [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if "studio.workers.child" in child.cmdline()
        ]

    def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 30) -> int:
        """Send a signal and wait; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(timeout_s)
        self.process.stdout.close()
        return status
