"""What of a model is on this machine: real folders, a real cache of huggingface_hub, the real command."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipelines.registry import POCKET_FOLDER
from tests.hub import Hub, serving

ROOT = Path(__file__).parents[2]
COMMIT = "a" * 40


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HUB_CACHE": str(home), "STUDIO_DATA_DIR": str(home / "data"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(ROOT / "app.py"), "models", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


def cached(home: Path) -> Path:
    """The embedded model's files as huggingface_hub would keep them if they were LTX-2's."""
    repo = home / "models--Lightricks--LTX-2"
    snapshot = repo / "snapshots" / COMMIT
    for file in (each for each in POCKET_FOLDER.rglob("*") if each.is_file()):
        blob = repo / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, blob)
        link = snapshot / file.relative_to(POCKET_FOLDER)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    return snapshot


def state(home: Path) -> dict[str, object]:
    return json.loads(run(home, "show", "ltx-2", "--json").stdout)


def test_the_hubs_cache_is_read(tmp_path: Path) -> None:
    assert state(tmp_path)["state"] == "absent"
    snapshot = cached(tmp_path)
    assert state(tmp_path)["state"] == "here"
    assert run(tmp_path, "verify", "ltx-2").returncode == 0
    weights = next((snapshot / "vae").glob("*.safetensors")).resolve()
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    damaged = run(tmp_path, "verify", "ltx-2")
    assert damaged.returncode == 2 and "vae/" in damaged.stderr and "is damaged" in damaged.stderr
    weights.write_bytes(whole[:-1])
    found = state(tmp_path)
    assert found["state"] == "partly here" and "vae/" in str(found["missing"])


def test_what_a_model_does_not_need_may_be_left_out(tmp_path: Path) -> None:
    """A hub's repository holds other formats too, which nobody fetches: the model is here all the same."""
    with serving(Hub("Lightricks/LTX-2", POCKET_FOLDER, {"other-format.safetensors": b"x" * 999})) as hub:
        fetch = "from huggingface_hub import snapshot_download as get; get('Lightricks/LTX-2', allow_patterns=['*.json', '*/*'])"
        given = {"HF_HUB_CACHE": str(tmp_path), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        environment = os.environ | given
        subprocess.run([sys.executable, "-c", fetch], env=environment, check=True, timeout=120, capture_output=True)
    assert state(tmp_path)["state"] == "here"
    found = json.loads(run(tmp_path, "verify", "ltx-2", "--json").stdout)
    assert found["hashed"] == len(list(POCKET_FOLDER.rglob("*.safetensors"))) and found["looked_at"] > 0


def test_the_list_and_the_embedded_model(tmp_path: Path) -> None:
    listed = {card["id"]: card for card in json.loads(run(tmp_path, "--json").stdout)["models"]}
    assert listed["pocket"]["state"] == "here" and listed["pocket"]["fits"] and listed["ltx-2"]["state"] == "absent"
    assert "have their published sha256" in run(tmp_path, "verify", "pocket").stdout
    refused = run(tmp_path, "verify", "ltx-2")
    assert refused.returncode == 2 and "is not on this machine" in refused.stderr


def test_a_download_that_stopped_is_partly_here(tmp_path: Path) -> None:
    snapshot = cached(tmp_path)
    link = next((snapshot / "transformer").glob("*.safetensors"))
    blob = link.resolve()
    blob.rename(blob.with_name(blob.name + ".incomplete"))
    link.unlink()
    found = state(tmp_path)
    assert found["state"] == "partly here" and "transformer/" in str(found["missing"])
    refused = run(tmp_path, "verify", "ltx-2")
    assert refused.returncode == 2 and "lacks transformer/" in refused.stderr
