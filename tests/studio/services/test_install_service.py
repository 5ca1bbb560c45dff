"""Models are fetched from a real local hub by a real child: watched, killed, gone on with, refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.registry import POCKET_FOLDER
from tests.disks import disk
from tests.hub import Hub, serving
from tests.studio.test_cli import hears_ctrl_c

ROOT = Path(__file__).parents[3]
SIZE = sum(file.stat().st_size for file in POCKET_FOLDER.rglob("*/*") if file.is_file())


@pytest.fixture
def hub() -> Iterator[Hub]:
    """LTX-2's repository with the embedded model's files, and one in another format."""
    with serving(Hub("Lightricks/LTX-2", POCKET_FOLDER, {"other-format.safetensors": b"x" * 999_999})) as served:
        yield served


def environment(home: Path, url: str) -> dict[str, str]:
    given = {"HF_HUB_CACHE": str(home / "hub"), "HF_ENDPOINT": url, "STUDIO_DATA_DIR": str(home / "data"), "HF_HUB_OFFLINE": "0"}
    return os.environ | given


def models(home: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "app.py", "models", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(home, url), capture_output=True, text=True, check=False, timeout=180)


def state(home: Path, url: str) -> dict[str, object]:
    return json.loads(models(home, url, "show", "ltx-2", "--json").stdout)


def test_a_model_is_installed_and_only_what_it_needs_is_fetched(tmp_path: Path, hub: Hub) -> None:
    refused = models(tmp_path, hub.url, "install", "ltx-2")
    assert refused.returncode == 2 and "LTX-2 Community License" in refused.stderr and hub.served_bytes == 0
    assert re.search(r"LTX-2 \(\d+ GB; the disk has [\d.e+]+ GB free\)", refused.stderr)
    done = models(tmp_path, hub.url, "install", "ltx-2", "--accept-licence", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["state"] == "done" and told["done_bytes"] == told["total_bytes"]
    assert told["checked_bytes"] == sum(file.stat().st_size for file in POCKET_FOLDER.rglob("*.safetensors"))
    assert state(tmp_path, hub.url)["state"] == "here"
    assert not list((tmp_path / "hub").rglob("other-format*"))
    assert models(tmp_path, hub.url, "verify", "ltx-2").returncode == 0


def test_a_killed_installation_is_partly_here_and_goes_on(tmp_path: Path, hub: Hub) -> None:
    hub.pause_s = 0.1
    command = [sys.executable, "app.py", "models", "install", "ltx-2", "--accept-licence"]
    running = subprocess.Popen(
        command, cwd=ROOT, env=environment(tmp_path, hub.url), stderr=subprocess.PIPE, text=True, preexec_fn=hears_ctrl_c
    )
    give_up = time.monotonic() + 90
    while hub.served_bytes < SIZE // 4:
        assert time.monotonic() < give_up and running.poll() is None
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    running.wait(30)
    fetched = hub.served_bytes
    time.sleep(1)
    assert hub.served_bytes - fetched < SIZE // 4, "the child went on"
    assert state(tmp_path, hub.url)["state"] != "here"
    hub.pause_s = 0
    fetched = hub.served_bytes
    assert models(tmp_path, hub.url, "install", "ltx-2", "--accept-licence").returncode == 0
    assert state(tmp_path, hub.url)["state"] == "here"
    assert hub.served_bytes - fetched < 0.95 * SIZE, "it began anew"


def test_a_file_that_came_damaged_is_told_and_fetched_again(tmp_path: Path, hub: Hub) -> None:
    hub.damaged = "vae/diffusion_pytorch_model.safetensors"
    refused = models(tmp_path, hub.url, "install", "ltx-2", "--accept-licence")
    assert refused.returncode == 1 and f"{hub.damaged} came damaged" in refused.stderr
    assert state(tmp_path, hub.url)["state"] == "partly here"
    fetched, hub.damaged = hub.served_bytes, ""
    assert models(tmp_path, hub.url, "install", "ltx-2", "--accept-licence").returncode == 0
    assert hub.served_bytes - fetched < SIZE // 2, "what came whole is not fetched again"
    assert state(tmp_path, hub.url)["state"] == "here" and models(tmp_path, hub.url, "verify", "ltx-2").returncode == 0


def test_too_little_room_is_told_before_anything_is_fetched(tmp_path: Path, hub: Hub) -> None:
    with disk(tmp_path / "hub", "4m"):
        refused = models(tmp_path, hub.url, "install", "ltx-2", "--accept-licence")
        assert refused.returncode != 0 and "GB are to be fetched: free some space" in refused.stderr
        assert hub.served_bytes < SIZE // 4 and state(tmp_path, hub.url)["state"] == "absent"


def test_what_goes_wrong_is_one_sentence(tmp_path: Path, hub: Hub) -> None:
    unknown = models(tmp_path, hub.url, "install", "ltx-2.3", "--accept-licence")
    assert unknown.returncode != 0 and "is not known to the hub" in unknown.stderr
    nobody = models(tmp_path, "http://127.0.0.1:9", "install", "ltx-2", "--accept-licence")
    assert nobody.returncode != 0 and "hub cannot be reached" in nobody.stderr
    local = models(tmp_path, hub.url, "install", "pocket", "--accept-licence")
    assert local.returncode != 0 and "nothing to install" in local.stderr
    for answer in (unknown, nobody, local):
        assert "Traceback" not in answer.stderr and len(answer.stderr.strip().splitlines()) == 1
