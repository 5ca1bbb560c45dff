"""``generate --forecast``, with and without a server at the data folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables | {"STUDIO_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "app.py"), "generate", "a red ball", "--forecast", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_it_says_what_a_clip_would_take_and_makes_none(tmp_path: Path) -> None:
    told = run(tmp_path)
    assert told.returncode == 0, told.stderr
    assert "decode picture" in told.stdout and "Needs about" in told.stdout
    assert not list(tmp_path.rglob("*.mp4"))


def test_programs_read_it_as_one_object(tmp_path: Path) -> None:
    model = ("--json", "--width", "256", "--model", "ltx-2", "--quantization", "none")
    told, lean = (json.loads(run(tmp_path, *model, STUDIO_OFFLOAD=offload).stdout) for offload in ("none", "blocks"))
    assert told["model"] == "ltx-2" and told["peak_bytes"] > 68e9 and told["offload"] == "none"
    assert lean["peak_bytes"] < 0.3 * told["peak_bytes"] and lean["offload"] == "blocks"


def test_bad_input_is_refused_as_for_a_clip(tmp_path: Path) -> None:
    refused = run(tmp_path, "--height", "100")
    assert refused.returncode == 2 and refused.stderr.startswith("height is 100")
