"""The web process killed, terminated, and started twice: what was acknowledged is kept."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from studio.studio import Studio
from tests.faults.servers import ROOT, Server
from tests.studio.rooms import OWNER, fast_settings, wait_for

pytestmark = pytest.mark.fault
SUBMITS = 100


@pytest.fixture
def serve(tmp_path):
    """Starts servers on one data folder and ends those that are left."""
    servers = []

    def start(**settings: object) -> Server:
        servers.append(Server(tmp_path / "data", **settings))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


def submit_all(
    server: Server,
    bodies: dict[str, dict],
    acknowledged: dict[str, str],
    enough: threading.Event | None = None,
    pause_s: float = 0.0,
) -> None:
    """Submit what is not acknowledged yet, four at a time; a server that dies meanwhile just ends it."""

    def submit(key: str) -> None:
        try:
            acknowledged[key] = server.ask("POST", "/api/v1/jobs", bodies[key], {"Idempotency-Key": key})["id"]
        except (OSError, ValueError):
            return
        if enough and len(acknowledged) >= SUBMITS // 2:
            enough.set()
            time.sleep(pause_s)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(submit, [key for key in bodies if key not in acknowledged]))


def test_every_acknowledged_job_outlives_the_server(serve, small, tmp_path):
    bodies = {f"key-{n}": small(f"job {n}", seed=None).model_dump(mode="json", exclude_none=True) for n in range(SUBMITS)}
    acknowledged: dict[str, str] = {}
    server = serve()
    server.wait_until_up()
    wait_for(server.workers)
    orphans = server.workers()
    enough = threading.Event()
    submitting = threading.Thread(target=submit_all, args=(server, bodies, acknowledged, enough, 0.05))
    submitting.start()
    enough.wait(60)
    time.sleep(random.uniform(0, 0.2))
    server.end(signal.SIGKILL)
    submitting.join()
    before = dict(acknowledged)
    assert SUBMITS // 2 <= len(before) < SUBMITS, "the kill is meant to come in the middle"
    psutil.wait_procs(orphans, timeout=5)
    assert not any(orphan.is_running() for orphan in orphans), "a worker without a studio ends by itself"

    server = serve()
    server.wait_until_up()
    for job_id in before.values():
        server.ask("GET", f"/api/v1/jobs/{job_id}")
    submit_all(server, bodies, acknowledged)
    assert len(acknowledged) == SUBMITS and before.items() <= acknowledged.items()
    wait_for(lambda: not unfinished(server, acknowledged), 120)
    server.end()

    studio = Studio.open(fast_settings(tmp_path / "data", workers=0))
    jobs = studio.jobs.list(OWNER, limit=1000)
    clips = studio.library.page(OWNER, limit=200)
    studio.stop()
    assert sorted(job.id for job in jobs) == sorted(acknowledged.values()), "no job is lost and none is made twice"
    assert {job.state for job in jobs} == {"done"}
    assert clips.total == SUBMITS == len({clip.job_id for clip in clips.clips})


def unfinished(server: Server, acknowledged: dict[str, str]) -> list[str]:
    states = {server.ask("GET", f"/api/v1/jobs/{job_id}")["state"] for job_id in list(acknowledged.values())[-1:]}
    if not states <= {"done"}:
        return list(states)
    return [job_id for job_id in acknowledged.values() if server.ask("GET", f"/api/v1/jobs/{job_id}")["state"] != "done"]


def test_sigterm_lets_the_running_job_finish(serve, small, tmp_path):
    server = serve(drain_s=20)
    server.wait_until_up()
    body = small("slowly").model_dump(mode="json", exclude_none=True)
    running, waiting = (server.ask("POST", "/api/v1/jobs", body | {"num_inference_steps": steps})["id"] for steps in (30, 31))
    wait_for(lambda: server.ask("GET", f"/api/v1/jobs/{running}")["progress"])
    server.end(signal.SIGTERM)
    assert states(tmp_path, running, waiting) == [("done", 1), ("queued", 0)]


def test_sigterm_puts_a_long_job_back_without_cost(serve, small, tmp_path):
    server = serve(drain_s=0.5)
    server.wait_until_up()
    body = small("slowly", num_inference_steps=200).model_dump(mode="json", exclude_none=True)
    running = server.ask("POST", "/api/v1/jobs", body)["id"]
    wait_for(lambda: server.ask("GET", f"/api/v1/jobs/{running}")["progress"])
    workers = server.workers()
    started = time.monotonic()
    server.end(signal.SIGTERM)
    assert time.monotonic() - started < 10
    assert not any(worker.is_running() for worker in workers)
    assert states(tmp_path, running) == [("queued", 0)]
    assert list((tmp_path / "data" / "clips").rglob("*.mp4")) == []


def test_a_hosted_studio_drains_on_sigterm(small, tmp_path):
    server = Server(tmp_path / "data", hosted=True, drain_s=20)
    server.wait_until_up()
    body = small("slowly", num_inference_steps=30).model_dump(mode="json", exclude_none=True)
    cookie = httpx.get(server.url, timeout=120).headers["set-cookie"].partition(";")[0]  # its browsers come by HTTPS and send it
    with httpx.Client(base_url=server.url, headers={"cookie": cookie}, timeout=120) as guest:
        running = guest.post("/api/v1/jobs", json=body).json()["id"]
        wait_for(lambda: guest.get(f"/api/v1/jobs/{running}").json()["progress"])
    assert server.end(signal.SIGTERM) == 0
    studio = Studio.open(fast_settings(tmp_path / "data", workers=0))
    with studio._database.read() as connection:
        assert [tuple(row) for row in connection.execute("SELECT state, attempts FROM jobs")] == [("done", 1)]
    studio.stop()


def states(tmp_path, *job_ids: str) -> list[tuple[str, int]]:
    studio = Studio.open(fast_settings(tmp_path / "data", workers=0))
    try:
        return [(job.state, job.attempts) for job in (studio.jobs.get(OWNER, job_id) for job_id in job_ids)]
    finally:
        studio.stop()


def test_the_command_line_finds_the_studio_wherever_it_answers(serve, small, tmp_path):
    server = serve()
    server.wait_until_up()
    body = small("found").model_dump(mode="json", exclude_none=True)
    job = server.ask("POST", "/api/v1/jobs", body)["id"]
    command = [sys.executable, "app.py", "jobs", "--json"]
    environment = os.environ | {"STUDIO_DATA_DIR": str(tmp_path / "data"), "STUDIO_PORT": "1"}
    for end in (None, signal.SIGKILL, None):  # asked over HTTP, opened by itself, and that twice
        if end:
            server.end(end)
            wait_for(lambda: server.process.poll() is not None)
        told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert [each["id"] for each in json.loads(told.stdout)["jobs"]] == [job]


def test_a_second_server_on_one_folder_says_so(serve):
    first = serve()
    first.wait_until_up()
    second = serve()
    _, complaint = second.process.communicate(timeout=60)
    assert second.process.returncode not in (0, None)
    assert "another studio is using" in complaint and "STUDIO_DATA_DIR" in complaint and "Traceback" not in complaint
    assert first.ask("GET", "/livez")


def test_a_database_from_a_newer_studio_says_so(serve, tmp_path):
    studio = Studio.open(fast_settings(tmp_path / "data", workers=0))
    with studio._database.write() as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('studio', 'storyboards', '2040-01-01')"
        )
    studio.stop()
    server = serve()
    _, complaint = server.process.communicate(timeout=60)
    assert server.process.returncode not in (0, None)
    assert "newer version" in complaint and "storyboards" in complaint and "Traceback" not in complaint
