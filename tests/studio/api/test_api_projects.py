"""Projects over HTTP: every route, two tabs, exports as downloads, and a file that comes back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.clip_io import read_media

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="module")
def made() -> list:
    return []


@pytest.fixture
def clips(made: list, finished: Callable[..., dict[str, Any]]) -> list[dict]:
    """Two finished clips for all tests of this file."""
    if not made:
        small = {"height": 64, "width": 64, "num_frames": 25}
        made += [finished(prompt=prompt, **small)["result"] for prompt in ("one", "[0.0-1.0 s] two comes [1.0-2.0 s] two goes")]
    return made


@pytest.fixture
def project(client: httpx.Client, clips: list[dict]) -> dict:
    """A project of the two."""
    answer = client.post("/api/v1/projects", json={"name": "My film", "clips": [clip["id"] for clip in clips]})
    assert answer.status_code == 201, answer.text
    return answer.json()


def change(client: httpx.Client, project: dict, **operation: Any) -> httpx.Response:
    return client.post(
        f"/api/v1/projects/{project['id']}/changes", json={"revision": project["revision"], "operation": operation}
    )


def test_a_project_is_made_changed_undone_and_done_again(client: httpx.Client, clips: list[dict], project: dict) -> None:
    assert client.get(f"/api/v1/projects/{project['id']}").json() == project
    assert project["id"] in [each["id"] for each in client.get("/api/v1/projects").json()["projects"]]
    moved = change(client, project, op="move_shot", shot=project["shots"][0]["id"], index=1).json()
    assert [shot["chosen"] for shot in moved["shots"]] == [clips[1]["id"], clips[0]["id"]]
    assert (moved["undo"], moved["redo"], moved["revision"]) == ("move_shot", None, 2)
    undone = client.post(f"/api/v1/projects/{project['id']}/undo", json={"revision": 2}).json()
    assert undone["shots"] == project["shots"] and undone["redo"] == "move_shot"
    redone = client.post(f"/api/v1/projects/{project['id']}/redo", json={"revision": 3}).json()
    assert redone["shots"] == moved["shots"]
    nothing = client.post(f"/api/v1/projects/{project['id']}/redo", json={"revision": 4})
    assert nothing.status_code == 409 and "nothing to redo" in nothing.json()["error"]["message"]


def test_the_later_of_two_tabs_is_told(client: httpx.Client, project: dict) -> None:
    assert change(client, project, op="rename_project", name="First").status_code == 200
    late = change(client, project, op="rename_project", name="Second")
    assert late.status_code == 409 and late.json()["error"]["field"] == "revision"
    assert client.get(f"/api/v1/projects/{project['id']}").json()["name"] == "First"


def test_an_edit_becomes_a_take(client: httpx.Client, clips: list[dict], project: dict) -> None:
    edit = {"source": f"clip:{clips[0]['id']}", "edit": {"kind": "trim", "start_s": 0.5, "end_s": 1.0}}
    job = client.post("/api/v1/edits", json=edit).json()
    assert "event: done" in client.get(f"/api/v1/jobs/{job['id']}/events").text
    take = client.get(f"/api/v1/jobs/{job['id']}").json()["result"]["id"]
    shot = project["shots"][0]["id"]
    found = change(client, project, op="add_take", shot=shot, clip=take).json()["shots"][0]
    assert [each["made"] for each in found["takes"]] == ["generate", "trim"] and found["chosen"] == take


def test_the_trash_and_back(client: httpx.Client, project: dict) -> None:
    address = f"/api/v1/projects/{project['id']}"
    assert client.delete(address).json()["deleted_at"]
    assert project["id"] in [each["id"] for each in client.get("/api/v1/projects?deleted=true").json()["projects"]]
    assert change(client, project, op="rename_project", name="x").status_code == 409
    assert client.post(f"{address}/undelete").json()["deleted_at"] is None


def test_exports_are_downloads(client: httpx.Client, clips: list[dict], project: dict, tmp_path: Path) -> None:
    for kind, suffix in (("film", ".mp4"), ("otio", ".otioz"), ("fcpxml", ".fcpxml.zip"), ("srt", ".srt"), ("aiprod", ".aiprod")):
        answer = client.get(f"/api/v1/projects/{project['id']}/export?format={kind}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-disposition"] == f'attachment; filename="My film{suffix}"'
        assert int(answer.headers["content-length"]) == len(answer.content) > 0
        (tmp_path / f"film{suffix}").write_bytes(answer.content)
    assert len(read_media(tmp_path / "film.mp4").frames) == 50
    captions = (tmp_path / "film.srt").read_text()
    assert captions.startswith("1\n00:00:00,000 -->") and "two goes" in captions
    brought = client.post("/api/v1/projects/import", content=(tmp_path / "film.aiprod").read_bytes())
    assert brought.status_code == 201 and brought.json()["shots"] == project["shots"] and brought.json()["id"] != project["id"]
    alone = client.get(f"/api/v1/clips/{clips[1]['id']}/captions")
    assert alone.text == "1\n00:00:00,000 --> 00:00:01,000\ntwo comes\n\n2\n00:00:01,000 --> 00:00:02,000\ntwo goes\n"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/projects", {}, 422, "name"),
        ("POST", "/projects", {"name": " "}, 422, "name"),
        ("POST", "/projects", {"name": "x", "clips": ["nope"]}, 422, "clip"),
        ("POST", "/projects", {"name": "x", "colour": 1}, 422, "colour"),
        ("GET", "/projects/nope", None, 404, None),
        ("DELETE", "/projects/nope", None, 404, None),
        ("POST", "/projects/{id}/changes", {"revision": 1}, 422, "request"),
        ("POST", "/projects/{id}/changes", {"operation": {"op": "rename_project", "name": "x"}}, 422, "revision"),
        ("POST", "/projects/{id}/changes", {"revision": 1, "operation": {"op": "explode"}}, 422, "op"),
        ("POST", "/projects/{id}/changes", {"revision": 1, "operation": {"op": "add_shot", "clip": "x"}}, 422, "clip"),
        ("POST", "/projects/{id}/changes", {"revision": 1, "operation": {"op": "remove_shot", "shot": "0" * 32}}, 404, "shot"),
        ("POST", "/projects/{id}/undo", {}, 422, "revision"),
        ("POST", "/projects/{id}/undo", {"revision": 1}, 409, None),
        ("GET", "/projects/{id}/export", None, 422, "format"),
        ("GET", "/projects/{id}/export?format=vhs", None, 422, "format"),
        ("GET", "/clips/nope/captions", None, 404, None),
    ],
)
def test_bad_questions(client: httpx.Client, project: dict, method: str, path: str, body: Any, status: int, field: Any) -> None:
    answer = client.request(method, "/api/v1" + path.replace("{id}", project["id"]), json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["field"] == field and error["message"].endswith(".") and "\n" not in error["message"]


def test_bad_files(client: httpx.Client) -> None:
    for content, status in ((b"", 422), (b"hello", 422), (b"PK" * 1000, 422)):
        answer = client.post("/api/v1/projects/import", content=content)
        assert answer.status_code == status and answer.json()["error"]["field"] == "file"
    assert client.post("/api/v1/projects/import", files={"file": ("a.aiprod", b"x")}).status_code == 415


def test_a_file_larger_than_other_uploads_comes_through_the_door(client: httpx.Client) -> None:
    answer = client.post("/api/v1/projects/import", content=bytes(40 * 1024**2))
    assert answer.status_code == 422 and "no ZIP archive" in answer.json()["error"]["message"]


def test_the_guide_names_every_route(client: httpx.Client) -> None:
    guide = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for path in client.get("/openapi.json").json()["paths"]:
        if path.startswith("/api/v1/projects") or path.endswith("/captions"):
            last = re.sub(r"^/api/v1|\{\w+\}", "", path).rstrip("/").rpartition("/")[2]
            assert f"/{last}" in guide, path
