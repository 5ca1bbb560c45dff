"""A model of the hub that the studio was not told of: known from its configurations, installed and run by the real commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.contract import ModelNotFound
from pipelines.registry import POCKET_FOLDER, ModelCatalogue
from tests.hub import Hub, serving

ROOT = Path(__file__).parents[3]
SOURCE = "somebody/their-finetune"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs ``python app.py ...`` with a model ``mine`` of the hub at ``url``, which need not be there."""

    def started(url: str, *arguments: str, source: str = SOURCE, offline: str = "0") -> subprocess.CompletedProcess[str]:
        given = {
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_ENDPOINT": url,
            "HF_HUB_OFFLINE": offline,
            "STUDIO_DATA_DIR": str(tmp_path / "data"),
            "STUDIO_MODELS": json.dumps({"mine": source}),
        }
        command = [sys.executable, str(ROOT / "app.py"), *arguments]
        environment = os.environ | given
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=240)

    return started


def test_a_hub_id_is_known_installed_and_run(run: Run, tmp_path: Path) -> None:
    weights = sum(file.stat().st_size for file in POCKET_FOLDER.rglob("*.safetensors"))
    with serving(Hub(SOURCE, POCKET_FOLDER, {"other-format.safetensors": b"x" * 999})) as hub:
        shown = run(hub.url, "models", "show", "mine", "--json")
        assert shown.returncode == 0, shown.stderr
        told = json.loads(shown.stdout)
        assert told["state"] == "absent" and told["download_bytes"] == weights and not told["is_local"]
        assert told["description"] == f"{SOURCE}, from the hub" and SOURCE in told["licence"]
        assert hub.served_bytes < weights / 4, "weights come when somebody installs it"
        installed = run(hub.url, "models", "install", "mine", "--accept-licence")
        assert installed.returncode == 0, installed.stderr
    gone = "http://127.0.0.1:9"
    small = ("--num-inference-steps", "2", "--height", "64", "--width", "64", "--num-frames", "9", "--guidance-scale", "1")
    note = tmp_path / "data" / "cache" / "hub" / SOURCE.replace("/", "--") / "studio-model.json"
    note.rename(note.with_name("away"))
    made = run(gone, "generate", "a red ball", "--model", "mine", *small, "--out", "clip.mp4", offline="1")  # its files suffice
    assert made.returncode == 0 and (tmp_path / "clip.mp4").stat().st_size > 0, made.stderr
    note.with_name("away").rename(note)
    assert run(gone, "models", "remove", "mine", "--yes").returncode == 0
    assert json.loads(run(gone, "models", "show", "mine", "--json").stdout)["state"] == "absent", "and it stays known"


@pytest.mark.parametrize("folder", ["../ltx", "a/b--c", "a/b/c", "ltx"])
def test_a_folder_that_is_not_there_is_no_hub_id(folder: str) -> None:
    with pytest.raises(ModelNotFound, match=f"model mine: {folder} is not a diffusers model folder"):
        ModelCatalogue.with_folders({"mine": Path(folder)})


def test_what_is_wrong_with_a_hub_id_is_said_in_a_sentence(run: Run) -> None:
    gone = run("http://127.0.0.1:9", "models", "show", "mine")
    assert gone.returncode == 2 and f"model mine: {SOURCE} is no folder here, and the hub cannot be reached" in gone.stderr
    with serving(Hub(SOURCE, POCKET_FOLDER.parent / "readers")) as hub:
        for source, words in (("somebody/else", "is not known to the hub"), (SOURCE, "is not in diffusers layout")):
            refused = run(hub.url, "models", "show", "mine", source=source)
            assert (
                refused.returncode == 2 and f"model mine: {source} is no folder here, and {source} {words}" in refused.stderr
            ), refused.stderr
