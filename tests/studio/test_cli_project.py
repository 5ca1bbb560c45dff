"""``project`` from the command line: real processes on a real data folder, without a server and beside one."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.clip_io import read_media
from studio.settings import Settings
from studio.studio import Studio
from tests.studio.takes import put_take
from tests.studio.test_cli import ROOT, Run, environment, only_object, run

__all__ = ["run"]


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    """Two clips in the library of the folder that ``run`` works on."""
    studio = Studio.open(Settings(data_dir=tmp_path / "data"))
    made = [put_take(studio, "one"), put_take(studio, "two", num_frames=24)]
    studio.stop()
    return made


def told(run: Run, *arguments: str) -> dict:
    done = run("project", *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return only_object(done.stdout)


def test_a_film_is_put_together_undone_and_exported(run: Run, tmp_path: Path, clips: list[str]) -> None:
    project = told(run, "new", "My film", clips[0])
    assert [shot["chosen"] for shot in project["shots"]] == clips[:1]
    assert [each["name"] for each in told(run, "list")["projects"]] == ["My film"]
    assert told(run, "add", "My film", clips[1], "--name", "The second")["shots"][1]["name"] == "The second"
    moved = told(run, "move", project["id"][:8], "2", "1")
    assert [shot["chosen"] for shot in moved["shots"]] == clips[::-1]
    assert told(run, "trim", "My film", "1", "--in", "0.5", "--out", "1.5")["duration_s"] == 2
    assert len(told(run, "add", "My film", clips[0], "--shot", "1")["shots"][0]["takes"]) == 2
    assert told(run, "choose", "My film", "1", "1")["shots"][0]["chosen"] == clips[1]
    assert told(run, "undo", "My film")["shots"][0]["chosen"] == clips[0]
    assert told(run, "redo", "My film")["shots"][0]["chosen"] == clips[1]
    assert [shot["duration_s"] for shot in told(run, "split", "My film", "1", "1.25")["shots"][:2]] == [0.75, 0.25]
    assert len(told(run, "undo", "My film")["shots"]) == 2
    shown = run("project", "show", "My film").stdout
    assert "The second" in shown and "1 of 2" in shown
    film = told(run, "export", "My film", "--out", "film.mp4")
    assert film["size_bytes"] == (tmp_path / "film.mp4").stat().st_size and len(read_media(tmp_path / "film.mp4").frames) == 24
    saved = told(run, "export", "My film", "--format", "aiprod")
    assert saved["path"] == "My film.aiprod"
    again = told(run, "import", "My film.aiprod")
    assert [shot["chosen"] for shot in again["shots"]] == clips[::-1] and again["undo"] is None
    refused = run("project", "show", "My film", "--json")
    assert refused.returncode == 2 and "several projects" in only_object(refused.stdout)["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("show", "Nothing"), "project"),
        (("add", "Film", "nope"), "clip"),
        (("add", "Film", "0" * 32), "clip"),
        (("move", "Film", "7", "1"), "shot"),
        (("choose", "Film", "1", "4"), "take"),
        (("trim", "Film", "1", "--in", "9"), "start_s"),
        (("export", "Film", "--format", "vhs"), "format"),
        (("export", "Film", "--out", "film.avi"), "out"),
        (("import", "nowhere.aiprod"), "file"),
    ],
)
def test_bad_input_is_one_sentence_and_2(run: Run, tmp_path: Path, clips: list[str], arguments: tuple, field: str) -> None:
    studio = Studio.open(Settings(data_dir=tmp_path / "data"))
    studio.projects.create("local", "Film", clips)
    studio.stop()
    done = run("project", *arguments, "--json")
    assert done.returncode == 2, done.stdout + done.stderr
    assert only_object(done.stdout)["error"]["field"] == field
    assert len(done.stderr.strip().splitlines()) == 1


def test_beside_a_server_it_asks_the_server(run: Run, tmp_path: Path, clips: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    command = [sys.executable, str(ROOT / "app.py"), "serve", "--port", port]
    env = {**environment(tmp_path / "data"), "STUDIO_WORKERS": "0"}
    server = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None and f"http://127.0.0.1:{port}" in server.stdout.readline()
        told(run, "new", "Film", *clips)
        assert told(run, "rename", "Film", "Opening", "--shot", "1")["shots"][0]["name"] == "Opening"
        assert told(run, "remove", "Film", "2")["duration_s"] == 1
        assert len(told(run, "undo", "Film")["shots"]) == 2
        saved = told(run, "export", "Film", "--format", "aiprod", "--out", "a.aiprod")
        assert saved["size_bytes"] == (tmp_path / "a.aiprod").stat().st_size
        assert told(run, "import", "a.aiprod")["shots"] == told(run, "show", told(run, "list")["projects"][1]["id"])["shots"]
        (tmp_path / "broken.aiprod").write_bytes(b"x" * 100)
        done = run("project", "import", "broken.aiprod", "--json")
        assert done.returncode == 2 and only_object(done.stdout)["error"]["field"] == "file"
        assert told(run, "delete", told(run, "list")["projects"][0]["id"])["deleted_at"] is not None
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
