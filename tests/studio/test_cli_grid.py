"""``grid`` as people and programs meet it: made here or by the server, with files, a sheet, and refusals before any work."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.studio.api.conftest import Served, served
from tests.studio.test_cli import ROOT, Run, environment, hears_ctrl_c, only_object, run

__all__ = ["run", "served"]
QUICK = ("--num-inference-steps", "2", "--json")


def cells(told: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    return [(cell["settings"], cell["state"]) for cell in told["cells"]]


def test_a_grid_is_made_here_with_files_and_a_sheet(run: Run, tmp_path: Path) -> None:
    made = run(
        *("grid", "--prompt", "a red ball", "--x", "seed=1,2", "--y", "guidance-scale=1,3", "--out", "clips", "--sheet", "g.png"),
        *QUICK,
    )
    assert made.returncode == 0, made.stderr
    told = only_object(made.stdout)
    assert cells(told) == [({"guidance_scale": scale, "seed": seed}, "done") for scale in (1.0, 3.0) for seed in (1, 2)], (
        "y runs down, x across"
    )
    assert [axis["title"] for axis in told["axes"]] == ["Picture guidance", "Seed"]
    paths = [Path(cell["path"]) for cell in told["cells"]]
    assert {path.parent for path in paths} == {tmp_path / "clips"} and all(path.stat().st_size > 1000 for path in paths)
    assert paths[1].name == "02-guidance_scale-1-seed-2.mp4"
    assert Image.open(told["sheet"]).width > 2 * 240
    assert only_object(run("restore", str(paths[1]), "--json").stdout)["seed"] == 2
    assert len(only_object(run("library", "--json").stdout)["clips"]) == 4, "they are in the library too"


def test_prompts_with_commas_and_drawn_seeds(run: Run) -> None:
    made = run("grid", "--x", "seed=random:2", "--y", "prompt=a cat, asleep|a dog", *QUICK)
    assert made.returncode == 0, made.stderr
    told = only_object(made.stdout)
    assert [cell["settings"]["prompt"] for cell in told["cells"]] == ["a cat, asleep"] * 2 + ["a dog"] * 2
    assert len({cell["settings"]["seed"] for cell in told["cells"]}) == 2
    shown = run("grid", "--prompt", "a cat", "--x", "num_inference_steps=1,2")
    assert shown.returncode == 0 and shown.stderr.startswith("2 clips, about") and "Steps" in shown.stdout, shown.stderr


@pytest.mark.parametrize(
    ("arguments", "field", "words"),
    [
        (("--prompt", "x"), "x", "--x seed=1,2,3"),
        (("--prompt", "x", "--x", "seed"), "x", "FIELD=VALUE"),
        (("--prompt", "x", "--y", "guidance_scale=random:3"), "y", "only seed can be drawn"),
        (("--prompt", "x", "--x", "guidance_scale=1,99"), "axes", 'guidance_scale "99" cannot be made'),
        (("--prompt", "x", "--x", "colour=red"), "axes", "no setting"),
        (("--x", "seed=1,2"), "prompt", "empty"),
        (("--prompt", "x", "--x", "seed=1,2", "--keep-best", "beauty"), "keep_best", "not measured"),
        (("--prompt", "x", "--x", "seed=1,2", "--sheet", "grid.jpg"), "sheet", ".png"),
        (("--prompt", "x", "--x", "lora:nobody=0,1"), "lora", "is no kept LoRA"),
        (("--prompt", "x", "--x", "seed=random:17"), "axes", "at most 16"),
    ],
)
def test_what_is_wrong_is_told_before_any_work(run: Run, arguments: tuple[str, ...], field: str, words: str) -> None:
    refused = run("grid", *arguments, "--json")
    assert refused.returncode == 2, refused.stderr
    error = only_object(refused.stdout)["error"]
    assert error["field"] == field and words in error["message"]
    assert only_object(run("jobs", "--json").stdout)["jobs"] == []


def test_a_server_that_has_the_folder_makes_it(served: Served, tmp_path: Path) -> None:
    env = {**environment(served.data_dir)}
    command = [sys.executable, str(ROOT / "app.py"), "grid", "--prompt", "a blue ball", "--x", "seed=1,2,3", "--out", "clips"]
    asked = [*command, "--sheet", "g.png", *QUICK]
    made = subprocess.run(asked, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert made.returncode == 0, made.stderr
    told = only_object(made.stdout)
    assert cells(told) == [({"seed": seed}, "done") for seed in (1, 2, 3)]
    assert Path(told["cells"][2]["path"]).read_bytes()[4:8] == b"ftyp" and Path(told["sheet"]).stat().st_size > 1000
    with served.client() as client:
        assert client.get(f"/api/v1/grids/{told['id']}").json()["cells"][0]["job"]["state"] == "done"
    unmeasured = subprocess.run(
        [*command, *QUICK, "--keep-best", "semantic.match"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert unmeasured.returncode == 1 and "semantic.match" in json.loads(unmeasured.stdout)["error"]["message"]


def states(database: Path) -> list[str]:
    """Of all jobs; none before there is a table."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return [state for (state,) in connection.execute("SELECT state FROM jobs")]
    except sqlite3.OperationalError:
        return []


def test_ctrl_c_cancels_what_is_left(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "app.py"), "grid", "--prompt", "a ball", "--x", "seed=1,2,3"]
    process = subprocess.Popen(
        [*command, "--num-inference-steps", "200"],
        cwd=tmp_path,
        env=environment(tmp_path / "data"),
        stderr=subprocess.PIPE,
        preexec_fn=hears_ctrl_c,
    )
    assert process.stderr is not None
    process.stderr.readline()  # what it will make
    end = time.monotonic() + 60
    while time.monotonic() < end and "running" not in states(tmp_path / "data" / "studio.db"):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 1
    assert b"stopped" in process.stderr.read()
    listed = subprocess.run(
        [sys.executable, str(ROOT / "app.py"), "jobs", "--json"],
        cwd=tmp_path,
        env=environment(tmp_path / "data"),
        capture_output=True,
        check=True,
    )
    assert [job["state"] for job in json.loads(listed.stdout)["jobs"]] == ["cancelled"] * 3
