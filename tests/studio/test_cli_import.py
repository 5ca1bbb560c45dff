"""``import`` on the command line: into the library here or of a running studio, or to a file that ``edit`` takes."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import uvicorn

from pipelines.clip_io import read_media, read_request
from studio.settings import Settings
from studio.web import create_app
from tests.studio.importing.foreign import FAST, Film, write
from tests.studio.test_cli import PAINTER, Run, only_object, run

__all__ = ["run"]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    write(tmp_path / "dog.mkv", Film(format="matroska", size=(200, 100), options=FAST, sounds=("flac",)))
    return tmp_path / "dog.mkv"


def test_a_file_comes_into_the_library(run: Run, film: Path) -> None:
    done = run("import", "dog.mkv", "--prompt", "a dog runs", "--json")
    assert done.returncode == 0, done.stderr
    told = only_object(done.stdout)
    assert told["clip"]["request"]["kind"] == "import" and told["clip"]["name"] == "dog"
    assert "scaled from 200x100" in told["notices"][0]
    shown = json.loads(run("library", "dog", "--json").stdout)
    assert [clip["id"] for clip in shown["clips"]] == [told["clip"]["id"]]
    plain = run("import", "dog.mkv").stdout.splitlines()
    assert plain[0].endswith("in the library)") and plain[1].startswith("The picture was scaled")


def test_a_file_becomes_a_clip_file_that_can_be_edited(run: Run, film: Path, tmp_path: Path) -> None:
    done = run("import", "dog.mkv", "--out", "clip.mp4", "--json")
    assert done.returncode == 0, done.stderr
    assert only_object(done.stdout)["path"] == "clip.mp4" and not (tmp_path / "data").exists()
    assert read_request(tmp_path / "clip.mp4")[0].prompt == "dog"
    assert len(read_media(tmp_path / "clip.mp4").frames) == 12
    # The engine of these tests paints clips only: what matters is that the request of an edit can be made of it.
    assert only_object(run("restore", "clip.mp4", "--json").stdout)["file_name"] == "dog.mkv"


def test_a_running_studio_is_asked(run: Run, film: Path, tmp_path: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    settings = Settings(data_dir=tmp_path / "data", engine=PAINTER, port=listening.getsockname()[1], workers=0)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{settings.port}/livez", timeout=5):
                break
        except OSError:
            time.sleep(0.1)
    done = run("import", "dog.mkv", "--prompt", "a dog & a cat", "--json")
    bad = run("import", "bad.mkv", "--json") if (tmp_path / "bad.mkv").write_text("#EXTM3U\n/etc/passwd\n") else None
    server.should_exit = True
    thread.join(20)
    assert done.returncode == 0, done.stderr
    assert only_object(done.stdout)["clip"]["request"]["prompt"] == "a dog & a cat"
    assert bad is not None and bad.returncode == 2 and "only names other files" in bad.stderr


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("nowhere.mp4",), "file"),
        (("text.mp4",), "video"),
        (("dog.mkv", "--model", "none"), "model"),
        (("dog.mkv", "--out", "clip.avi"), "out"),
        (("text.mp4", "--out", "text.mp4"), "out"),
    ],
)
def test_bad_input_is_one_sentence_and_2(run: Run, film: Path, tmp_path: Path, arguments: tuple[str, ...], field: str) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    done = run("import", *arguments, "--json")
    assert done.returncode == 2, done.stdout + done.stderr
    assert only_object(done.stdout)["error"]["field"] == field and len(done.stderr.strip().splitlines()) == 1
    assert (tmp_path / "text.mp4").read_text() == "no film"
