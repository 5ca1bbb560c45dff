"""The whole evaluation on the embedded model, six clips, and the page that shows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.metrics.drawing import loss_curves
from pipelines.metrics.evaluation import SETS, Evaluation, Report, evaluate
from pipelines.metrics.figures import Figure
from pipelines.metrics.report import write_html

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, str]:
    """A report of six clips and its page."""
    folder = tmp_path_factory.mktemp("clips")
    logs = folder / "logs"
    logs.mkdir()
    lines = [json.dumps({"stage": "video_vae", "minutes": k / 2, "steps": k, "losses": {"loss": 1 / (k + 1)}}) for k in range(9)]
    (logs / "video_vae.log.jsonl").write_text("\n".join(lines) + "\n")
    told: list[str] = []
    report = evaluate(Evaluation(clips=6), folder, told.append)
    assert told and told[-1].startswith("6 of 6 clips")
    write_html(report, folder / "report.html", logs)
    return report, (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_report_is_whole(measured):
    report, _ = measured
    names = {figure.name for figure in report.figures}
    assert {"subject", "colour", "action", "place", "camera", "look", "unseen combinations", "impact sync"} <= names
    assert {"lip sync, offset", "lip sync, correlation", "beat alignment", "sound class", "picture codec, PSNR"} <= names
    by_name = {figure.name: figure for figure in report.figures}
    assert 10 < by_name["picture codec, PSNR"].model < 60
    assert by_name["impact sync"].control is None and by_name["impact sync"].floor == 0.60  # two clips make no control
    assert all(0 <= by_name[name].model <= 1 for name in ("subject", "impact sync", "beat alignment", "sound class"))
    assert len(report.records) == 6 and all(Path(record.files[name]).exists() for record in report.records for name in SETS)
    assert report.passed == all(figure.holds for figure in report.figures)
    assert json.loads(json.dumps(report.to_dict()))["figures"][0]["name"] == "subject"


@pytest.mark.slow
def test_the_page_needs_nothing_else(measured):
    report, page = measured
    assert not re.search(r"https?://|//cdn|<script|<link|url\(", page)
    assert page.count("data:image/webp;base64,") >= 4 * 6  # a sheet and a spectrogram of the model's clip and of the ceiling's
    assert all(record.prompt in page for record in report.records)
    assert "true events" in page and 'polyline class="smooth"' in page and "prefers-color-scheme: dark" in page


def test_floors_chance_and_controls_are_judged():
    good = Figure("x", "share", 0.7, ceiling=0.9, chance=0.2, control=0.25, floor=0.6, target=0.9)
    assert good.holds and not good.reaches_target and good.share == pytest.approx(0.778, abs=1e-3)
    assert not Figure("x", "share", 0.5, ceiling=0.9, floor=0.6).holds
    assert not Figure("x", "share", 0.9, ceiling=0.9, chance=0.2, control=0.6, floor=0.6).holds
    assert not Figure("x", "share", 0.5, ceiling=0.5, chance=0.2, floor=0.7, times_chance=3.0).holds
    assert Figure("x", "around one", 1.3, floor=0.7).holds and not Figure("x", "around one", 1.35, floor=0.7).holds
    assert Figure("x", "reported", 0.0).holds


def test_no_logs_no_curves(tmp_path):
    assert loss_curves(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--clips", "2"], "clips is 2"), (["--model", "pockt"], "did you mean 'pocket'")]
)
def test_bad_input_is_told_in_one_sentence(arguments, said):
    run = subprocess.run(
        [sys.executable, "app.py", "evaluate", *arguments, "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2 and said in run.stderr and len(run.stderr.strip().splitlines()) == 1
    assert said in json.loads(run.stdout)["error"]["message"]
