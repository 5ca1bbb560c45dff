"""Claim: at lower effort a clip is denoised faster, and what is seen and heard in it stays within a point.

    python benchmarks/effort.py [--quick] [--json]

Held-out captions from equal seeds at every effort, measured on the finished MP4s by the evaluation's readers. Faster: seconds
between the first and the last step of the same clip at quality, median over the clips. Points: hundredths of the score of
attributes, of sound class, and of sync (mean over impacts, lips and beats). Exits 1 when no effort is 1.8 times as fast at no
more than a point lost; with ``--quick`` the clips are too few for the points, and only the speed is judged.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, median

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from pipelines.contract import Effort, GenerationRequest, Progress
from pipelines.engine import Engine
from pipelines.metrics.reading import read_clip
from pipelines.metrics.scores import SYNC_MEASURES, ClipPair, agreement, attributes, sounds
from pipelines.metrics.selection import select
from pipelines.registry import ModelCatalogue

LEAST_SPEEDUP, MOST_LOST = 1.8, 0.01
CLIPS, STEPS = 120, 30


def denoised_s(engine: Engine, request: GenerationRequest, path: Path) -> float:
    """Make the clip; seconds between the first and the last step of its denoising."""
    times = [
        time.perf_counter() for event in engine.run(request, path) if isinstance(event, Progress) and event.stage == "denoise"
    ]
    return times[-1] - times[0]


def scores(pairs: list[ClipPair]) -> dict[str, float]:
    """What is judged, 0..1."""
    return {
        "attributes": fmean(attributes(pairs).values()),
        "sound class": sounds(pairs),
        "sync": fmean(agreement(pairs, name) for name in SYNC_MEASURES),
    }


def measured(clips: int, folder: Path) -> dict[str, dict[str, float]]:
    """For each effort: how many times as fast as quality, and the scores."""
    catalogue = ModelCatalogue.with_folders({})
    engine = Engine(catalogue, media_dir=folder, device="cpu")
    pairs: dict[Effort, list[ClipPair]] = {effort: [] for effort in Effort}
    seconds: dict[Effort, list[float]] = {effort: [] for effort in Effort}
    warm = catalogue.complete(GenerationRequest(prompt="a red ball", seed=0, upscale=1, num_inference_steps=2))
    denoised_s(engine, warm, folder / "warm.mp4")
    for at, each in enumerate(select(clips)):
        for effort in Effort:
            request = GenerationRequest(prompt=each.prompt, seed=each.seed, upscale=1, effort=effort, num_inference_steps=STEPS)
            path = folder / f"{at}-{effort}.mp4"
            seconds[effort].append(denoised_s(engine, catalogue.complete(request), path))
            pairs[effort].append(ClipPair(each, read_clip(path)))
    return {
        effort.value: {
            "speedup": median(a / b for a, b in zip(seconds[Effort.QUALITY], seconds[effort], strict=True)),
            **scores(pairs[effort]),
        }
        for effort in Effort
    }


def main() -> int:
    """Print the figures; 1 when the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 clips")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    clips = 4 if options.quick else CLIPS
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(clips, Path(folder))
    whole = figures.pop(Effort.QUALITY.value)
    lost = {effort: max(whole[name] - each[name] for name in whole if name != "speedup") for effort, each in figures.items()}
    good = [
        effort
        for effort, each in figures.items()
        if each["speedup"] >= LEAST_SPEEDUP and (options.quick or lost[effort] <= MOST_LOST)
    ]
    report = {
        "claim": "lower efforts are faster, and the best of them loses no more than a point",
        "figure": figures,
        "gate": {"speedup": LEAST_SPEEDUP, "points lost": 100 * MOST_LOST},
        "pass": bool(good),
        "baseline": {"quality": whole},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "shape": f"{clips} clips of pocket at its defaults, {STEPS} steps",
        "points lost at most": {effort: round(100 * value, 1) for effort, value in lost.items()},
    }
    if options.json:
        print(json.dumps(report))
    else:
        for effort, each in {"quality": whole, **figures}.items():
            print(f"{effort:10}" + "".join(f"{name}: {value:.3f}  " for name, value in each.items()))
        print(f"{report['shape']}; {report['machine']}: {'pass: ' + ', '.join(good) if good else 'FAIL'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
