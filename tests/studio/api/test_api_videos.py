"""Videos over HTTP: multipart or raw, streamed, bounded, and told in the words of every other route."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from studio.settings import Settings
from studio.web import create_app
from tests.studio.importing.foreign import Film, write

VIDEOS = "/api/v1/videos"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "my dog.webm"
    write(path, Film(format="webm", codec="libvpx", sounds=("libopus",)))
    return path


def test_a_form_and_a_bare_body_become_the_same_clip(client: httpx.Client, film: Path) -> None:
    with film.open("rb") as stream:
        form = client.post(VIDEOS, files={"file": (film.name, stream, "video/webm")})
    bare = client.post(VIDEOS, content=film.read_bytes(), params={"name": film.name, "prompt": "a dog runs", "model": "pocket"})
    assert (form.status_code, bare.status_code) == (201, 201), form.text + bare.text
    one, two = form.json(), bare.json()
    assert one["notices"] == two["notices"] == []
    assert (one["clip"]["name"], one["clip"]["request"]["prompt"], two["clip"]["request"]["prompt"]) == (
        "my dog",
        "my dog",
        "a dog runs",
    )
    assert one["clip"]["request"]["file_sha256"] == two["clip"]["request"]["file_sha256"]
    told = client.get(f"/api/v1/clips/{one['clip']['id']}").json()
    assert told == one["clip"]
    assert client.get(told["urls"]["file"]).content[4:8] == b"ftyp"
    plan = client.post("/api/v1/edits/plan", json={"source": f"clip:{told['id']}", "edit": {"kind": "extend", "seconds": 1}})
    assert plan.status_code == 200 and plan.json()["request"]["prompt"] == "my dog"


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ({"content": b"#EXTM3U\nfile:///etc/passwd\n"}, 422, "only names other files"),
        ({"content": b""}, 422, "empty file"),
        ({"files": {"file": ("a.mp4", b"text")}}, 422, "no video or sound file"),
        ({"data": {"a": "b"}, "files": {}}, 422, "no video or sound file"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 422, "video cannot be read"),
        ({"content": b"--a--", "headers": {"content-type": "multipart/form-data; boundary=a"}}, 422, "video is missing"),
        ({"content": b"x", "params": {"model": "none"}}, 404, "is not known"),
        ({"content": b"x", "params": {"name": "n" * 300}}, 422, "name"),
    ],
)
def test_what_is_no_video_is_one_sentence(client: httpx.Client, sent: dict, status: int, words: str) -> None:
    answer = client.post(VIDEOS, **sent)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert words in error["message"] and error["status"] == status and "\n" not in error["message"]


def test_a_body_without_an_end_is_cut_off(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    settings = Settings(data_dir=tmp_path / "data", workers=0, max_video_bytes=1_000_000)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as small:
        for told in ({}, {"content-length": "9000000"}):
            content = (b"x" * 100_000 for _ in range(90)) if not told else b"x" * 9_000_000
            answer = small.post(VIDEOS, content=content)
            assert answer.status_code == 413 and "larger than" in answer.json()["error"]["message"]


def test_another_site_may_not_send_one(client: httpx.Client, film: Path) -> None:
    answer = client.post(VIDEOS, content=film.read_bytes(), headers={"origin": "https://evil.example"})
    assert answer.status_code == 403


def test_the_request_of_an_import_is_no_job_and_cannot_be_edited_into_one(client: httpx.Client, film: Path) -> None:
    request = client.post(VIDEOS, content=film.read_bytes(), params={"name": "a.webm"}).json()["clip"]["request"]
    answer = client.post("/api/v1/jobs", json=request)
    assert answer.status_code == 422 and answer.json()["error"]["field"] == "kind"


def test_the_route_is_in_the_guide_and_in_the_schema(client: httpx.Client) -> None:
    guide = Path(__file__).parents[3] / "docs" / "api.md"
    assert "POST /api/v1/videos" in guide.read_text(encoding="utf-8")
    body = client.get("/openapi.json").json()["paths"][VIDEOS]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "application/octet-stream"}
