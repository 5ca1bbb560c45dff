"""Jobs over HTTP, from handing in to the file."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

Finished = Callable[..., dict[str, Any]]
LONG = {"kind": "generate", "prompt": "a long one", "num_inference_steps": 200}


@pytest.fixture
def paused(client: httpx.Client) -> Iterator[None]:
    """A queue that starts nothing new."""
    assert client.post("/api/v1/queue/pause").json()["paused"] is True
    yield
    assert client.post("/api/v1/queue/resume").json()["paused"] is False


def _events(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return found


def test_a_job_becomes_a_clip(client: httpx.Client, finished: Finished) -> None:
    job = finished(seed=5, prompt="a red square on grass")
    assert job["state"] == "done" and job["error"] is None and job["attempts"] == 1
    assert set(job) >= {"id", "state", "attempts", "request", "progress", "result", "error"}
    clip = job["result"]
    assert clip["request"]["seed"] == 5
    assert None not in [clip["request"][name] for name in ("height", "width", "num_frames", "frame_rate", "guidance_scale")]
    file = client.get(clip["urls"]["file"])
    assert file.status_code == 200 and file.headers["content-type"] == "video/mp4" and len(file.content) == clip["size_bytes"]
    thumbnail = client.get(clip["urls"]["thumbnail"])
    assert thumbnail.headers["content-type"] == "image/webp" and thumbnail.content[:4] == b"RIFF"


def test_events_tell_the_whole_story_and_end(client: httpx.Client) -> None:
    job = client.post("/api/v1/jobs", json={"kind": "generate", "prompt": "watched", "num_inference_steps": 20}).json()
    answer = client.get(f"/api/v1/jobs/{job['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = _events(answer.text)
    ids = [number for number, _, _ in events]
    assert ids == sorted(set(ids))
    kinds = [kind for _, kind, _ in events]
    assert kinds[-1] == "done"
    assert set(kinds).issuperset({"state", "progress", "preview"})
    fractions = [event["job"]["progress"]["fraction"] for _, kind, event in events if kind == "progress"]
    assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] <= 1
    assert events[-1][2]["job"]["result"]["urls"]["file"].endswith("/file")


def test_events_go_on_where_they_broke_off(client: httpx.Client, finished: Finished) -> None:
    job = finished()
    address = f"/api/v1/jobs/{job['id']}/events"
    everything = _events(client.get(address).text)
    last = everything[-1][0]
    assert [kind for _, kind, _ in _events(client.get(address, headers={"Last-Event-ID": str(last - 1)}).text)][-1] == "done"
    assert client.get(address, headers={"Last-Event-ID": str(last)}).status_code == 204
    assert client.get(address, headers={"Last-Event-ID": "nonsense"}).status_code == 200


def test_a_preview_while_it_runs(client: httpx.Client) -> None:
    job = client.post("/api/v1/jobs", json=LONG).json()
    address = f"/api/v1/jobs/{job['id']}"
    with client.stream("GET", f"{address}/events") as stream:
        for line in stream.iter_lines():
            if line == "event: preview":
                break
    preview = client.get(f"{address}/preview")
    assert preview.status_code == 200 and preview.headers["content-type"].startswith("image/")
    assert client.post(f"{address}/cancel").status_code == 200
    assert _events(client.get(f"{address}/events").text)[-1][1] == "cancelled"
    assert client.get(address).json()["state"] == "cancelled"


def test_the_same_key_is_the_same_job(client: httpx.Client, paused: None) -> None:
    body, key = {"kind": "generate", "prompt": "once only"}, {"Idempotency-Key": uuid.uuid4().hex}
    first = client.post("/api/v1/jobs", json=body, headers=key).json()
    assert client.post("/api/v1/jobs", json=body, headers=key).json()["id"] == first["id"]
    other = client.post("/api/v1/jobs", json={**body, "prompt": "another"}, headers=key)
    assert other.status_code == 409 and other.json()["error"]["message"].endswith(".")
    client.post(f"/api/v1/jobs/{first['id']}/cancel")


def test_the_queue_can_be_reordered(client: httpx.Client, paused: None) -> None:
    ids = [client.post("/api/v1/jobs", json={"kind": "generate", "prompt": f"number {n}"}).json()["id"] for n in range(3)]
    assert [job["id"] for job in client.get("/api/v1/queue").json()["jobs"]] == ids
    moved = client.post(f"/api/v1/jobs/{ids[2]}/move", json={"position": 1})
    assert moved.status_code == 200 and moved.json()["position"] == 1
    assert [job["id"] for job in client.get("/api/v1/jobs?state=queued").json()] == [ids[2], ids[0], ids[1]]
    for job_id in ids:
        assert client.post(f"/api/v1/jobs/{job_id}/cancel").json()["state"] == "cancelled"
    again = client.post(f"/api/v1/jobs/{ids[0]}/retry")
    assert again.status_code == 202 and again.json()["id"] not in ids
    client.post(f"/api/v1/jobs/{again.json()['id']}/cancel")


def test_what_the_engine_cannot_do_is_told(finished: Finished) -> None:
    job = finished(prompt="too big")
    assert job["state"] == "failed" and job["attempts"] == 1
    assert "memory" in job["error"]["message"] and job["error"]["field"] == "num_frames"


def test_cancelling_twice_and_the_finished(client: httpx.Client, finished: Finished) -> None:
    job = finished()
    refused = client.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert refused.status_code == 409 and refused.json()["error"]["status"] == 409


def test_health_models_and_the_reference(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"live": True}
    ready = client.get("/readyz")
    assert ready.status_code == 200 and ready.json()["ready"] is True
    models = {model["id"]: model for model in client.get("/api/v1/models").json()}
    assert models["pocket"]["is_local"] and models["pocket"]["examples"] and "source" not in models["pocket"]
    schema = client.get("/openapi.json").json()
    assert {"/api/v1/jobs", "/api/v1/jobs/{job_id}/events", "/api/v1/clips/{clip_id}/file", "/livez"} <= set(schema["paths"])
    assert not [path for path in schema["paths"] if "gradio" in path or "{path}" in path]
    body = schema["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "negative_prompt" in body["properties"] and "$ref" not in json.dumps(body)
    docs = client.get("/docs").text
    assert "/api/v1/jobs/{job_id}/events" in docs and "num_inference_steps" in docs and "<script" not in docs
