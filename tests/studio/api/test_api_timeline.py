"""A clip on a time axis over HTTP: strip, waveform, and the takes that it belongs to."""

from __future__ import annotations

import io

import httpx
import pytest
from PIL import Image


def made(client: httpx.Client, body: dict) -> dict:
    """The clip of an edit."""
    job = client.post("/api/v1/edits", json=body).json()
    assert "event: done" in client.get(f"/api/v1/jobs/{job['id']}/events").text
    return client.get(f"/api/v1/jobs/{job['id']}").json()["result"]


def test_strip_and_waveform(client: httpx.Client, finished) -> None:
    clip = finished(prompt="a square to look at")["result"]
    strip = client.get(f"/api/v1/clips/{clip['id']}/strip?frames=5")
    assert strip.headers["content-type"] == "image/webp"
    image = Image.open(io.BytesIO(strip.content))
    assert image.height == 72 and image.width == 5 * round(72 * clip["width"] / clip["height"])
    assert (
        client.get(f"/api/v1/clips/{clip['id']}/strip?frames=5", headers={"if-none-match": strip.headers["etag"]}).status_code
        == 304
    )
    wave = client.get(f"/api/v1/clips/{clip['id']}/waveform?points=50").json()
    assert len(wave["peaks"]) == 50 and 0 < max(wave["peaks"]) <= 1 and wave["duration_s"] == clip["duration_s"]
    silent = finished(prompt="a silent square", modality="video")["result"]
    assert client.get(f"/api/v1/clips/{silent['id']}/waveform").json()["peaks"] == []


@pytest.mark.parametrize(
    "path", ["strip?frames=0", "strip?frames=9999", "strip?frames=x", "waveform?points=0", "waveform?points=99999"]
)
def test_nonsense_is_one_sentence(client: httpx.Client, finished, path: str) -> None:
    answer = client.get(f"/api/v1/clips/{'0' * 32}/{path}")
    assert answer.status_code in (404, 422) and answer.json()["error"]["message"]


def test_takes_are_found_from_any_of_them(client: httpx.Client, finished) -> None:
    first = finished(prompt="the first of its family")["result"]
    second = made(client, {"source": f"clip:{first['id']}", "edit": {"kind": "mute"}})
    third = made(client, {"source": f"clip:{second['id']}", "edit": {"kind": "trim", "end_s": 0.5}})
    sister = made(client, {"source": f"clip:{first['id']}", "edit": {"kind": "trim", "end_s": 1.0}})
    ids = lambda clips: [clip["id"] for clip in clips]  # noqa: E731
    family = client.get(f"/api/v1/clips/{first['id']}/family").json()
    assert ids(family["ancestors"]) == [] and ids(family["edits"]) == [second["id"], sister["id"]] and family["siblings"] == []
    assert ids(client.get(f"/api/v1/clips/{second['id']}/family").json()["siblings"]) == [sister["id"]]
    family = client.get(f"/api/v1/clips/{third['id']}/family").json()
    assert ids(family["ancestors"]) == [first["id"], second["id"]] and family["edits"] == []
    client.delete(f"/api/v1/clips/{sister['id']}")
    assert ids(client.get(f"/api/v1/clips/{first['id']}/family").json()["edits"]) == [second["id"]]
    assert client.get(f"/api/v1/clips/{'0' * 32}/family").status_code == 404
