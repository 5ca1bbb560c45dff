"""Claim: what a prompt names is seen and heard in the embedded model's clip, and its sound belongs to its picture.

``python benchmarks/pocket.py [--quick] [--json]``: held-out captions, measured on the finished MP4s beside perfect clips that
went through the same codecs. Exits 1 when a figure is below its floor; 12 clips with ``--quick`` are too few for small
differences. ``python app.py evaluate`` gives the same with pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from pipelines.metrics.__main__ import as_text
from pipelines.metrics.evaluation import Evaluation, evaluate


def main() -> int:
    """Print the figures; 1 when one is below its floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = evaluate(Evaluation(clips=12 if options.quick else 200), Path(folder))
    judged = [figure for figure in report.figures if figure.judged != "reported"]
    answer = {
        "claim": "what the prompt names is seen and heard, and the sound belongs to the picture",
        "figure": {figure.name: round(figure.judged_value, 3) for figure in judged},
        "gate": {figure.name: figure.floor for figure in judged},
        "pass": report.passed,
        "baseline": {figure.name: figure.ceiling for figure in judged},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "shape": f"{report.clips} clips of pocket at its defaults in {report.seconds:.0f} s",
    }
    print(json.dumps(answer) if options.json else f"{as_text(report)}\n{'pass' if report.passed else 'FAIL'}")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
