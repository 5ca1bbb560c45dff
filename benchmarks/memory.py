"""Claim: before a clip is made the studio knows its peak of memory, to a tenth.

    python benchmarks/memory.py [--quick] [--json]

Real studio, real worker, embedded model on the CPU: clips of random settings are made to learn from, then others that were never
made before. Each of those is forecast, then made, and the resident memory of the worker is measured by the kernel's high-water
mark. Figure: median error of the whole peak in percent; beside it that of what the clip takes beyond a worker at rest, and that
of the layout alone, before anything was measured. Exits 1 above the gate.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

from pipelines.contract import GenerationRequest, Modality
from pipelines.optimize.memory import MemoryModel, Work, widths_of
from studio.settings import Settings
from studio.storage import memory
from studio.studio import Studio

GATE_PERCENT = 10.0
OWNER = "local"
SIDES = (64, 96, 128, 160, 192, 256)
LONGEST = 65
MOST_PIXELS = {True: 128 * 128 * 33, False: 256 * 256 * 49}
MODALITIES = (Modality.VIDEO_AND_AUDIO, Modality.VIDEO_AND_AUDIO, Modality.VIDEO, Modality.AUDIO)


def settings_of(chance: random.Random, factors: tuple[int, ...], quick: bool) -> Iterator[dict[str, Any]]:
    """Random sizes, lengths, guidance and streams, none twice; few steps: memory does not grow with them."""
    seen: set[str] = set()
    while True:
        drawn = {
            "height": chance.choice(SIDES),
            "width": chance.choice(SIDES),
            "num_frames": 4 * chance.randint(1, LONGEST // 4) + 1,
            "modality": chance.choice(MODALITIES),
            "guidance_scale": chance.choice((1.0, 3.0)),
            "upscale": chance.choice((1, 1, *factors)),
            "num_inference_steps": 2,
        }
        drawn["audio_guidance_scale"] = drawn["guidance_scale"]
        pixels = drawn["height"] * drawn["width"] * drawn["num_frames"]
        if pixels <= MOST_PIXELS[quick] and repr(drawn) not in seen:
            seen.add(repr(drawn))
            yield drawn


def made(studio: Studio, request: GenerationRequest) -> memory.MemoryRow:
    """What the worker measured while it made the clip."""
    job = studio.jobs.submit(OWNER, request)
    while not job.state.is_final:
        time.sleep(0.05)
        job = studio.jobs.get(OWNER, job.id)
    if job.result is None:
        raise SystemExit(f"the job ended as {job.state}: {job.error}")
    with studio._database.read() as connection:
        return memory.latest(connection, "cpu", request.model)[-1]


def errors_of(predicted: int, rest: int, row: memory.MemoryRow) -> tuple[float, float]:
    """Percent that the peak is off, whole and beyond the worker at rest."""
    peak = max(json.loads(row.peaks).values())
    return 100 * abs(predicted / peak - 1), 100 * abs((predicted - rest) / (peak - row.rest_bytes) - 1)


def measure(studio: Studio, learned: int, unseen: int, quick: bool) -> list[dict[str, Any]]:
    """One entry for each unseen setting: forecast and measured bytes, and the errors."""
    spec = studio.catalogue.get("pocket")
    drawn = settings_of(random.Random(11), spec.upscale_factors, quick)
    reckoned, found = MemoryModel(widths_of(spec, "cpu"), "cpu"), []
    for number in range(learned + unseen):
        request = studio.catalogue.complete(GenerationRequest(prompt=f"a red ball, take {number}", seed=number, **next(drawn)))
        forecast, alone = studio.forecasts.of(request), reckoned.predict(Work.of(request))
        row = made(studio, request)
        whole, beyond = errors_of(forecast.peak_bytes, forecast.rest_bytes, row)
        if number < learned:
            continue
        found.append(
            {
                "size": f"{request.width}x{request.height}x{request.num_frames} {request.modality.value} x{request.upscale}",
                "forecast_mb": round(forecast.peak_bytes / 1e6),
                "measured_mb": round(max(json.loads(row.peaks).values()) / 1e6),
                "beyond_rest_mb": round((max(json.loads(row.peaks).values()) - row.rest_bytes) / 1e6),
                "error": whole,
                "error_beyond_rest": beyond,
                "error_of_layout": errors_of(alone.peak_bytes, alone.rest_bytes, row)[0],
            }
        )
    return found


def main() -> int:
    """Print the figures; 1 above the gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller clips")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    learned, unseen = (5, 7) if options.quick else (16, 30)
    with tempfile.TemporaryDirectory() as folder, Studio.open(Settings(data_dir=Path(folder), device="cpu")) as studio:
        while not any(worker.state == "idle" for worker in studio.health().workers):
            time.sleep(0.1)
        found = measure(studio, learned, unseen, options.quick)
    median = {name: float(np.median([each[name] for each in found])) for name in found[0] if name.startswith("error")}
    good = median["error"] <= GATE_PERCENT
    report = {
        "claim": "percent that the forecast of a clip's peak of memory is off, median",
        "figure": round(median["error"], 2),
        "gate": GATE_PERCENT,
        "pass": good,
        "baseline": f"the model's layout alone, nothing measured: {median['error_of_layout']:.1f} %",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, CPU, resident memory",
        "shape": f"pocket, {unseen} unseen settings after {learned} others, up to {MOST_PIXELS[options.quick]:,} pixels",
        "median error beyond the worker at rest": round(median["error_beyond_rest"], 1),
        "largest error": round(max(each["error"] for each in found), 1),
        "clips": found,
    }
    if options.json:
        print(json.dumps(report))
    else:
        for each in found:
            print(f"{each['size']:<36} {each['forecast_mb']:>6} MB forecast, {each['measured_mb']:>6} MB, {each['error']:.1f} %")
        beyond, largest = report["median error beyond the worker at rest"], report["largest error"]
        print(f"median {median['error']:.1f} % (gate {GATE_PERCENT:g}); beyond rest {beyond} %; largest {largest} %")
        print(f"{report['baseline']}; {report['shape']}; {report['machine']}: {'pass' if good else 'FAIL'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
