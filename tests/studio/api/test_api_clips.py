"""The library over HTTP: ranges, changes, the trash, uploads and restoring."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from pipelines.clip_io import read_media

Finished = Callable[..., dict[str, Any]]


def _png(side: int = 96) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (10, 160, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def test_ranges(client: httpx.Client, finished: Finished) -> None:
    address = finished()["result"]["urls"]["file"]
    whole = client.get(address)
    assert whole.headers["accept-ranges"] == "bytes"
    part = client.get(address, headers={"Range": "bytes=10-99"})
    assert part.status_code == 206 and part.content == whole.content[10:100]
    assert part.headers["content-range"] == f"bytes 10-99/{len(whole.content)}"
    tail = client.get(address, headers={"Range": "bytes=-50"})
    assert tail.status_code == 206 and tail.content == whole.content[-50:]
    beyond = client.get(address, headers={"Range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416 and beyond.headers["content-range"] == f"bytes */{len(whole.content)}"
    head = client.head(address)
    assert head.status_code == 200 and head.content == b"" and int(head.headers["content-length"]) == len(whole.content)


def test_what_the_browser_has_is_not_sent_again(client: httpx.Client, finished: Finished) -> None:
    address = finished()["result"]["urls"]["file"]
    etag = client.get(address).headers["etag"]
    assert client.get(address, headers={"If-None-Match": etag}).status_code == 304
    changed = client.get(address, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert changed.status_code == 200


def test_download_names_the_file(client: httpx.Client, finished: Finished) -> None:
    clip = finished(prompt="a <red>/square")["result"]
    named = client.get(clip["urls"]["file"], params={"download": 1}).headers["content-disposition"]
    assert named.startswith("attachment") and ".mp4" in named and "/" not in named.partition("filename")[2].replace("utf-8''", "")
    assert "content-disposition" not in client.get(clip["urls"]["file"]).headers


def test_change_search_trash_and_back(client: httpx.Client, finished: Finished) -> None:
    clip_id = finished(prompt="an emerald heron at dawn")["result"]["id"]
    address = f"/api/v1/clips/{clip_id}"
    changed = client.patch(address, json={"name": "Heron", "favourite": True, "tags": ["birds"]}).json()
    assert (changed["name"], changed["favourite"], changed["tags"]) == ("Heron", True, ["birds"])
    for query in ({"text": "emerald"}, {"tag": "birds"}, {"favourite": "true", "text": "heron"}):
        assert [clip["id"] for clip in client.get("/api/v1/clips", params=query).json()["clips"]] == [clip_id]
    assert "birds" in client.get("/api/v1/tags").json()["tags"]
    assert client.delete(address).json()["deleted_at"]
    assert client.get("/api/v1/clips", params={"text": "emerald"}).json()["total"] == 0
    assert client.get("/api/v1/clips", params={"text": "emerald", "deleted": "true"}).json()["total"] == 1
    assert client.post(f"{address}/undelete").json()["deleted_at"] is None
    assert client.get(address).json()["name"] == "Heron"


def test_pages_join_without_gaps(client: httpx.Client, finished: Finished) -> None:
    for seed in range(3):
        finished(seed=seed, prompt="paging walrus")
    seen, cursor = [], None
    while True:
        query = {"text": "walrus", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/v1/clips", params=query).json()
        seen += [clip["request"]["seed"] for clip in page["clips"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [2, 1, 0]


def test_first_frame_travels_in_the_file(client: httpx.Client, finished: Finished) -> None:
    stored = client.post("/api/v1/media", files={"file": ("frame.png", _png(), "image/png")})
    assert stored.status_code == 201
    reference = stored.json()["reference"]
    assert client.post("/api/v1/media", content=_png(), headers={"content-type": "image/png"}).json()["reference"] == reference
    assert client.get(f"/api/v1/media/{reference}").headers["content-type"] == "image/png"
    job = finished(first_frame=reference, seed=11)
    file = client.get(job["result"]["urls"]["file"]).content
    restored = client.post("/api/v1/restore", files={"file": ("clip.mp4", file, "video/mp4")})
    assert restored.status_code == 200 and restored.json()["request"] == job["request"]


def test_restore_refuses_what_is_no_clip(client: httpx.Client, finished: Finished) -> None:
    whole = client.get(finished()["result"]["urls"]["file"]).content
    for name, content in (("notes.txt", b"hello"), ("cut.mp4", whole[:200]), ("frame.png", _png())):
        refused = client.post("/api/v1/restore", files={"file": (name, content)})
        assert refused.status_code == 422, refused.text
        assert name in refused.json()["error"]["message"] and refused.json()["error"]["field"] == "file"


def test_clips_are_compared(client: httpx.Client, finished: Finished) -> None:
    made = [finished(seed=seed)["result"]["id"] for seed in (1, 9, 3)]
    told = client.get("/api/v1/compare", params={"clip": made})
    assert told.json() == {
        "clips": made, "metrics": [{"name": "picture.sharpness", "values": [1.0, 9.0, 3.0], "best": made[1]}]
    }  # fmt: skip
    assert client.get("/api/v1/compare", params={"clip": made[:1]}).status_code == 422
    assert client.get("/api/v1/compare", params={"clip": [made[0], "0" * 32]}).status_code == 404


def test_what_differs_between_two_clips_is_a_film(client: httpx.Client, finished: Finished, tmp_path: Path) -> None:
    one, two = finished(seed=1)["result"], finished(seed=9)["result"]
    film = client.get("/api/v1/compare/map", params={"clip": [one["id"], two["id"]]})
    assert film.status_code == 200 and film.headers["content-type"] == "video/mp4"
    (tmp_path / "map.mp4").write_bytes(film.content)
    frames = read_media(tmp_path / "map.mp4").frames
    assert frames.shape == (one["num_frames"], one["height"], one["width"], 3) and frames.max() > 60
    wide = finished(seed=1, width=96)["result"]["id"]
    refused = client.get("/api/v1/compare/map", params={"clip": [one["id"], wide]})
    assert refused.status_code == 422 and "two clips of one size" in refused.json()["error"]["message"]
    assert client.get("/api/v1/compare/map", params={"clip": [one["id"]]}).status_code == 422
    assert client.get("/api/v1/compare/map", params={"clip": [one["id"], "0" * 32]}).status_code == 404
