"""Claim: rendering the world never holds training up: a batch is drawn in half the time that a training step takes on it.

``python benchmarks/world.py [--quick] [--json]``: the video codec's own batches, drawn and trained on in turn, one thread
each. Exits 1 when drawing takes more than half of a step.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from pipelines.training.machine import has_bfloat16, keep_memory
from pipelines.training.recipes import build_video_vae, pocket
from pipelines.training.video_vae import VideoVAEStage, draw
from pipelines.world.renderer import render
from pipelines.world.scene import sample
from pipelines.world.sounds import synthesize

GATE = 0.5


def timed(work, count: int) -> float:  # type: ignore[no-untyped-def]
    """The median seconds of ``count`` calls, after one that does not count."""
    work()
    spent = []
    for _ in range(count):
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return median(spent)


def main() -> int:
    """Print the figures; 1 when drawing is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    recipe, rng, count = pocket(), np.random.default_rng(0), 6 if options.quick else 30
    stage = VideoVAEStage(build_video_vae(recipe), recipe, 0)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16(torch.device("cpu"))):
            loss = stage.losses(0.0)["loss"]
        loss.backward()

    draw_s = timed(lambda: draw(recipe, rng, recipe.num_frames, recipe.video_vae.batch_size), count)
    step_s = timed(step, count)
    picture_s = timed(lambda: render(sample(rng), recipe.num_frames, recipe.frame_rate, recipe.size), 4 * count)
    sound_s = timed(lambda: synthesize(sample(rng), recipe.duration_s, recipe.sound.sample_rate), 4 * count)
    figure = round(draw_s / step_s, 3)
    report = {
        "claim": "seconds to draw a batch of the video codec against seconds of a training step on it",
        "figure": figure,
        "gate": GATE,
        "pass": figure <= GATE,
        "baseline": f"step {step_s:.3f} s, drawing {draw_s:.3f} s",
        "milliseconds a clip": {"picture": round(1000 * picture_s, 1), "sound": round(1000 * sound_s, 1)},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread, torch {torch.__version__}",
        "shape": f"{recipe.video_vae.batch_size} x {recipe.num_frames} frames of {recipe.size} pixels",
    }
    print(json.dumps(report) if options.json else "\n".join(f"{name}: {value}" for name, value in report.items()))
    return 0 if report["pass"] else 1


if __name__ == "__main__":
    sys.exit(main())
