"""What clips cost: known seconds at a known price, and the command over a real library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from studio.costs import Price, costs
from studio.settings import Settings
from studio.studio import Studio
from tests.studio.shelf import fill_shelf

ROOT = Path(__file__).parents[2]


def clip(seconds: float, **changes: Any) -> dict[str, Any]:
    request = {"kind": "generate", "model": "pocket", "num_inference_steps": 24, "effort": "quality"}
    shape = {"width": 128, "height": 128, "num_frames": 24, "duration_s": 2.0}
    return {**shape, "request": request | changes, "stage_seconds": {"denoise": 0.75 * seconds, "mux": 0.25 * seconds}}


def test_idle_hours_are_paid_for_and_equal_clips_are_counted_together() -> None:
    known = [clip(36.0), clip(30.0), clip(400.0), clip(3.6, effort="fast"), clip(9.0, kind="edit")]
    quality, fast = costs(known, Price(2.0, utilisation=0.5))
    assert (quality.clips, quality.seconds, quality.effort) == (3, 36.0, "quality")
    assert quality.price == pytest.approx(36 / 3600 * 2 / 0.5) and quality.price_a_second == pytest.approx(quality.price / 2)
    assert fast.price == pytest.approx(0.004) and fast.shape == "128x128, 24 frames"
    assert costs([], Price(2.0)) == []


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"STUDIO_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "app.py"), "cost", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_command_answers_for_an_empty_library_and_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    told = run(tmp_path, "--price", "2.5")
    assert told.returncode == 0 and "no clips yet" in told.stdout
    assert json.loads(run(tmp_path, "--price", "2.5", "--json").stdout)["costs"] == []
    refused = run(tmp_path, "--price", "2.5", "--utilisation", "0")
    assert refused.returncode == 2 and "utilisation" in refused.stderr


def test_the_command_reads_the_clips_of_a_real_library(tmp_path: Path) -> None:
    with Studio.open(Settings(data_dir=tmp_path / "data", workers=0)) as studio:
        fill_shelf(studio._database, tmp_path / "data", ["a ball", "a cube", "a star"])
    (found,) = json.loads(run(tmp_path, "--price", "7.2", "--json").stdout)["costs"]
    assert found["model"] == "pocket" and found["clips"] == 3 and found["seconds"] == 1.0
    assert found["price"] == pytest.approx(0.002)
