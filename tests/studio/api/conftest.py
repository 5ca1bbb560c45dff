"""One running studio for the tests of this folder: real app, real database, real worker process, an engine that paints."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from studio.settings import Settings
from studio.web import create_app

ENGINE = "tests.studio.api.painter:Painter"


@dataclass(frozen=True)
class Served:
    """A studio behind a real socket."""

    url: str
    data_dir: Path

    def client(self, **headers: str) -> httpx.Client:
        """A person's connection to it."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=120)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The studio on a free port of this machine."""
    data_dir = tmp_path_factory.mktemp("studio")
    listening = socket.create_server(("127.0.0.1", 0))
    settings = Settings(data_dir=data_dir, engine=ENGINE, port=listening.getsockname()[1], heartbeat_s=0.2, lease_s=5, drain_s=2)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{settings.port}"
    _wait(lambda: httpx.get(f"{url}/readyz", timeout=120).status_code == 200)
    yield Served(url, data_dir)
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    """A person at this machine."""
    with served.client() as connected:
        yield connected


@pytest.fixture
def finished(client: httpx.Client) -> Callable[..., dict[str, Any]]:
    """Hands a request in and waits for its job to be over."""

    def run(**request: Any) -> dict[str, Any]:
        body = {"kind": "generate", "prompt": "a red square", "num_inference_steps": 3, **request}
        job = client.post("/api/v1/jobs", json=body)
        assert job.status_code == 202, job.text
        address = f"/api/v1/jobs/{job.json()['id']}"
        _wait(lambda: client.get(address).json()["state"] not in ("queued", "running"))
        found: dict[str, Any] = client.get(address).json()
        return found

    return run


def _wait(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    give_up = time.monotonic() + timeout_s
    while time.monotonic() < give_up:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"it did not happen within {timeout_s} s")
