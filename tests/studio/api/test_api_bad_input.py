"""Everything that people and programs get wrong: one sentence with field and remedy, the right status, the server alive."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import httpx
import pytest
from PIL import Image

from pipelines.registry import ModelCatalogue

SPEC = ModelCatalogue.with_folders({}).get("pocket")
ODD_SIDE = SPEC.defaults.height + 1
ODD_FRAMES = SPEC.defaults.num_frames + 1
FAST = SPEC.frame_rates[1] + 1

# (what differs from a good request, field that the answer names, what it must contain)
REQUESTS: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": ""}, "prompt", "say what"),
    ({"prompt": "   \n\t "}, "prompt", "say what"),
    ({"prompt": "\u0000\u0007\u200e"}, "prompt", "say what"),
    ({"prompt": "x" * 100_000}, "prompt", "4,000"),
    ({"prompt": None}, "prompt", "string"),
    ({"prompt": 7}, "prompt", "string"),
    ({"prompt": ["a", "b"]}, "prompt", "string"),
    ({"negative_prompt": "x" * 100_000}, "negative_prompt", "4,000"),
    ({"height": ODD_SIDE}, "height", f"use {SPEC.nearest_side(ODD_SIDE)}"),
    ({"width": 8000}, "width", f"use {SPEC.max_side}"),
    ({"width": 1}, "width", f"use {SPEC.min_side}"),
    ({"height": 0}, "height", "use 1 or more"),
    ({"height": -64}, "height", "use 1 or more"),
    ({"height": 10**30}, "height", "use"),
    ({"height": 64.5}, "height", "whole number"),
    ({"height": "tall"}, "height", "whole number"),
    ({"num_frames": ODD_FRAMES}, "num_frames", f"use {SPEC.nearest_num_frames(ODD_FRAMES)}"),
    ({"num_frames": 9999}, "num_frames", f"use {SPEC.nearest_num_frames(9999)}"),
    ({"num_frames": -1}, "num_frames", "use 1 or more"),
    ({"frame_rate": FAST}, "frame_rate", f"use {SPEC.frame_rates[1]:g}"),
    ({"frame_rate": 1}, "frame_rate", f"use {SPEC.frame_rates[0]:g}"),
    ({"frame_rate": 0}, "frame_rate", "use 1"),
    ({"seed": -1}, "seed", "use 0 or more"),
    ({"seed": 2**32}, "seed", "use 4294967295 or less"),
    ({"seed": "lucky"}, "seed", "whole number"),
    ({"num_inference_steps": 0}, "num_inference_steps", "use 1 or more"),
    ({"guidance_scale": 1e308}, "guidance_scale", "use 50"),
    ({"guidance_scale": -0.1}, "guidance_scale", "use 0"),
    ({"sigmas": []}, "sigmas", ""),
    ({"sigmas": [0.2, 0.9]}, "sigmas", "fall"),
    ({"crf": 99}, "crf", "use 40 or less"),
    ({"upscale": 3}, "upscale", "use one of 1, 2 or 4"),
    ({"upscale": "4x"}, "upscale", "use one of 1, 2 or 4"),
    ({"modality": "smell"}, "modality", "'video'"),
    ({"model": "pokcet"}, "model", "pocket"),
    ({"model": "../../etc/passwd"}, "model", "pocket"),
    ({"first_frame": "frame.png"}, "first_frame", "sha256:"),
    ({"first_frame": "sha256:" + "0" * 64}, "first_frame", "upload"),
    ({"heigth": 64}, "heigth", "spelling"),
    ({"kind": "dream"}, "kind", "generate"),
]
STATUS = {"model": 404}


def _told(answer: httpx.Response, status: int, field: str | None = None) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "field", "status"} and error["status"] == status
    message = str(error["message"])
    assert message and "Traceback" not in message and "\n" not in message and len(message) < 400
    assert message.endswith(".")
    if field is not None:
        assert error["field"] == field
    return message


@pytest.fixture(autouse=True)
def _alive(client: httpx.Client) -> Any:
    yield
    assert client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("change", "field", "says"), REQUESTS, ids=[f"{field}-{index}" for index, (_, field, _) in enumerate(REQUESTS)]
)
def test_a_bad_field(client: httpx.Client, change: dict[str, Any], field: str, says: str) -> None:
    answer = client.post("/api/v1/jobs", json={"kind": "generate", "prompt": "a ball", **change})
    message = _told(answer, STATUS.get(field, 422), field)
    assert says in message and field in message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["guidance_scale", "frame_rate", "height", "seed"])
def test_numbers_that_are_none(client: httpx.Client, field: str, number: str) -> None:
    body = f'{{"kind": "generate", "prompt": "a ball", "{field}": {number}}}'
    _told(client.post("/api/v1/jobs", content=body, headers={"content-type": "application/json"}), 422, field)


BODIES = {
    "empty": (b"", 422),
    "not JSON": (b"{prompt: a ball", 422),
    "cut short": (b'{"prompt": "a b', 422),
    "not UTF-8": (b'{"prompt": "\xff\xfe"}', 422),
    "a list": (b"[]", 422),
    "a string": (b'"a ball"', 422),
    "null": (b"null", 422),
    "deep": (b"[" * 100_000 + b"]" * 100_000, 422),
    "deep objects": (b'{"prompt":' * 50_000 + b"1" + b"}" * 50_000, 422),
    "a giant number": (b'{"prompt": "a", "seed": ' + b"9" * 10_000 + b"}", 422),
    "half a character": (b'{"prompt": "\\ud800"}', 422),
    "giant": (b'{"prompt": "' + b"x" * (3 * 1024**2) + b'"}', 413),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body(client: httpx.Client, name: str) -> None:
    content, status = BODIES[name]
    _told(client.post("/api/v1/jobs", content=content, headers={"content-type": "application/json"}), status)


def test_a_body_without_an_end(client: httpx.Client) -> None:
    answer = client.post("/api/v1/jobs", content=(b"x" * 65536 for _ in range(100)), headers={"content-type": "application/json"})
    _told(answer, 413, "body")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_a_wrong_content_type(client: httpx.Client, kind: str) -> None:
    assert "application/json" in _told(
        client.post("/api/v1/jobs", content=b"{}", headers={"content-type": kind}), 415, "content-type"
    )


def test_prompts_in_every_script(client: httpx.Client) -> None:
    prompt = "雨の中の猫 🐈 кот под дождём قطة تحت المطر बिल्ली with \u0007bells\r\nand\tspace"
    job = client.post("/api/v1/jobs", json={"kind": "generate", "prompt": prompt, "num_inference_steps": 1})
    assert job.status_code == 202
    kept = job.json()["request"]["prompt"]
    assert "🐈" in kept and "قطة" in kept and "\u0007" not in kept and "\r" not in kept
    client.post(f"/api/v1/jobs/{job.json()['id']}/cancel")


def _image(kind: str, side: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((side, side), 80).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


def _bomb() -> bytes:
    """A small file that says it is 65,536 pixels square."""
    body = io.BytesIO()
    for name, content in (
        (b"IHDR", struct.pack(">IIBBBBB", 65536, 65536, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ):
        body.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))
    return b"\x89PNG\r\n\x1a\n" + body.getvalue()


IMAGES = {
    "not an image": (b"hello, I am a picture", 422),
    "a cut PNG": (_image("PNG")[:400], 422),
    "a cut JPEG": (_image("JPEG")[:300], 422),
    "a GIF": (_image("GIF"), 422),
    "a TIFF": (_image("TIFF"), 422),
    "a web page": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", 422),
    "a bomb": (_bomb(), 413),
    "33 MB": (b"\x89PNG\r\n\x1a\n" + b"0" * (33 * 1024**2), 413),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("way", ["multipart", "raw"])
def test_a_bad_first_frame(client: httpx.Client, name: str, way: str) -> None:
    content, status = IMAGES[name]
    if way == "multipart":
        answer = client.post("/api/v1/media", files={"file": ("frame.png", content, "image/png")})
    else:
        answer = client.post("/api/v1/media", content=content, headers={"content-type": "image/png"})
    _told(answer, status)


def test_uploads_without_a_file(client: httpx.Client) -> None:
    _told(client.post("/api/v1/media"), 422, "file")
    _told(client.post("/api/v1/media", data={"file": "text"}, files={}), 422)
    _told(client.post("/api/v1/media", content=b"--x", headers={"content-type": "multipart/form-data; boundary=x"}), 422, "file")
    _told(client.post("/api/v1/media", content=b"abc", headers={"content-type": "multipart/form-data"}), 422, "file")
    _told(client.post("/api/v1/restore", files=[("file", ("a.mp4", b"1")), ("file", ("b.mp4", b"2"))]), 422, "file")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/jobs/nope", 404),
        ("GET", "/api/v1/jobs/nope/events", 404),
        ("GET", "/api/v1/jobs/nope/preview", 404),
        ("POST", "/api/v1/jobs/nope/cancel", 404),
        ("POST", "/api/v1/jobs/nope/retry", 404),
        ("GET", "/api/v1/clips/nope", 404),
        ("GET", "/api/v1/clips/nope/file", 404),
        ("GET", "/api/v1/clips/..%2f..%2fstudio.db/file", 404),
        ("DELETE", "/api/v1/clips/nope", 404),
        ("GET", "/api/v1/media/sha256:" + "0" * 64, 404),
        ("GET", "/api/v1/media/..%2Fstudio.db", 404),
        ("GET", "/api/v1/nowhere", 404),
        ("PUT", "/api/v1/jobs", 405),
        ("GET", "/api/v1/jobs?limit=0", 422),
        ("GET", "/api/v1/jobs?limit=many", 422),
        ("GET", "/api/v1/jobs?state=asleep", 422),
        ("GET", "/api/v1/clips?limit=100000", 422),
        ("GET", "/api/v1/clips?order=sideways", 422),
        ("GET", "/api/v1/clips?cursor=garbage", 422),
        ("GET", "/api/v1/clips?colour=red", 422),
    ],
)
def test_a_wrong_address_or_question(client: httpx.Client, method: str, path: str, status: int) -> None:
    _told(client.request(method, path), status)


@pytest.mark.parametrize("text", ['"', "*", "a OR", "NEAR(", "%", "'; DROP TABLE clips; --", "x" * 5000])
def test_searching_for_anything(client: httpx.Client, text: str) -> None:
    assert client.get("/api/v1/clips", params={"text": text}).status_code in (200, 422)


def test_bad_changes(client: httpx.Client) -> None:
    _told(client.patch("/api/v1/clips/nope", json={"colour": "red"}), 422, "colour")
    _told(client.patch("/api/v1/clips/nope", json={"name": "x" * 300}), 422, "name")
    _told(client.post("/api/v1/jobs/nope/move", json={}), 422, "position")
    _told(client.post("/api/v1/jobs/nope/move", json={"position": 0}), 422, "position")
    _told(client.post("/api/v1/jobs", json={"prompt": "a"}, headers={"Idempotency-Key": "k" * 500}), 422)
    _told(client.post("/api/v1/jobs?priority=1000000", json={"prompt": "a"}), 422, "priority")


def test_nothing_half_done_is_left(client: httpx.Client) -> None:
    before = client.get("/api/v1/jobs?limit=500").json()
    client.post("/api/v1/jobs", content=json.dumps({"prompt": "a", "height": -1}))
    assert len(client.get("/api/v1/jobs?limit=500").json()) == len(before)
