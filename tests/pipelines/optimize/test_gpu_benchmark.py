"""The benchmark for CUDA machines, on a CPU: its whole path, its JSON, and what it says where it cannot measure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "benchmarks" / "gpu.py"
UNCOMPILED = {**os.environ, "TORCHDYNAMO_DISABLE": "1", "OMP_NUM_THREADS": "1"}
"""torch.compile leaves functions as they are: what compiled blocks do is tested elsewhere and takes minutes here."""


def run(script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *options]
    return subprocess.run(command, cwd=script.parent, env=UNCOMPILED, capture_output=True, text=True)


@pytest.mark.parametrize("layout", ["2.0", "2.3"])
def test_its_whole_path_works(layout: str) -> None:
    ran = run(SCRIPT, "--device", "cpu", "--tiny", "--quick", "--json", "--layout", layout)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout.strip().splitlines()[-1])
    assert {"claim", "figure", "gate", "pass", "baseline", "machine", "shape"} <= set(report)
    ways = report["ways"]
    eager = ["stock", "stock without its no-op pass", "shared passes", "kept rotary tables"]
    assert list(ways)[:6] == [*eager, "fused steps in plain torch", "compiled blocks"]
    assert len(ways) == 7, "and 8-bit floats"
    assert list(ways)[6].startswith("fp8, ")
    assert report["left out"] == {}
    assert all(way["seconds"] > 0 for way in ways.values())
    assert all(ways[name]["difference"] == 0 for name in eager), "nothing of these is even rounded elsewhere"
    assert all(0 < ways[name]["difference"] < 1e-5 for name in list(ways)[4:6])
    assert 0 < ways[list(ways)[6]]["difference"] < 0.2


def test_alone_it_measures_diffusers_and_says_what_it_left_out(tmp_path: Path) -> None:
    alone = tmp_path / "somewhere" / "gpu.py"
    alone.parent.mkdir()
    shutil.copy(SCRIPT, alone)
    ran = run(alone, "--device", "cpu", "--tiny", "--quick", "--json")
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout.strip().splitlines()[-1])
    assert {"stock", "stock without its no-op pass", "compiled blocks"} <= set(report["ways"])
    assert set(report["left out"]) == {"shared passes", "kept rotary tables", "fused kernels"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU")
def test_without_a_gpu_it_says_so() -> None:
    ran = run(SCRIPT)
    assert ran.returncode == 2
    assert ran.stdout == ""
    said = "gpu.py measures on a CUDA GPU and torch finds none here; --device cpu --tiny only tries the path."
    assert ran.stderr.strip().splitlines()[-1] == said
