"""What the studio adds to the work itself: a job through queue, worker process, engine, clip file, library and thumbnail, over
the bare ``diffusers.LTX2Pipeline`` call on the same weights and settings, which writes nothing.

Figure: added wall time in percent, the median over interleaved pairs. Gate: at most 5. Every pair has a prompt and a seed of its
own, so that no side can re-use anything; which side goes first alternates.

    python benchmarks/overhead.py [--quick] [--json] [--pairs N] [--device cpu|cuda]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pipelines  # noqa: F401, I001  before torch: it settles how threads wait, for both sides alike
import torch
from diffusers import LTX2Pipeline

from pipelines.contract import GenerationRequest
from pipelines.registry import ModelCatalogue, ModelSpec
from studio.services.records import StoredClip
from studio.settings import Settings
from studio.studio import Studio

GATE_PERCENT = 5.0
OWNER = "local"
PROMPTS = ("a red ball bouncing on grass", "a blue star dancing at night to drums", "a green cube falling in the rain")


class Bare:
    """The pipeline as its makers ship it."""

    def __init__(self, spec: ModelSpec, device: str) -> None:
        self._spec = spec
        self._device = device
        dtype = torch.float32 if device == "cpu" else getattr(torch, spec.dtype)
        self._pipeline = LTX2Pipeline.from_pretrained(spec.source, dtype=dtype, local_files_only=True).to(device)
        self._pipeline.set_progress_bar_config(disable=True)

    def seconds(self, request: GenerationRequest) -> float:
        """Wall time of one call with the request's settings; pictures and samples end as arrays."""
        started = time.perf_counter()
        frames, samples = self.clip(request)
        samples.cpu()
        assert len(frames[0]) == request.num_frames
        return time.perf_counter() - started

    def clip(self, request: GenerationRequest) -> tuple[Any, torch.Tensor]:
        """Frames ``[1, F, H, W, 3]``, 0..1, and samples ``[1, channels, n]``."""
        frames, samples = self._pipeline(**self._arguments(request))
        return frames, samples

    def _arguments(self, request: GenerationRequest) -> dict[str, Any]:
        same = {"prompt", "negative_prompt", "height", "width", "num_frames", "frame_rate", "num_inference_steps"}
        scales = {"guidance_scale", "stg_scale", "modality_scale", "guidance_rescale"}
        settings = request.model_dump(include=same | scales | {f"audio_{name}" for name in scales})
        blocks = list(self._spec.stg_blocks) if max(request.stg_scale or 0, request.audio_stg_scale or 0) > 0 else None
        return settings | {
            "sigmas": list(request.sigmas) if request.sigmas else None,
            "spatio_temporal_guidance_blocks": blocks,
            "use_cross_timestep": self._spec.use_cross_timestep,
            "max_sequence_length": min(1024, int(self._pipeline.tokenizer.model_max_length)),
            "generator": torch.Generator(self._device).manual_seed(request.seed or 0),
            "output_type": "np",
            "return_dict": False,
        }


def through_the_studio(studio: Studio, request: GenerationRequest) -> float:
    """Wall time from submitting to the clip in the library, as somebody who watches the job sees it."""
    started = time.perf_counter()
    job = studio.jobs.submit(OWNER, request)
    last = 0
    while True:
        events = studio.jobs.events_after(OWNER, job.id, last)
        if events:
            last, job = events[-1].id, events[-1].job
        if job.state.is_final:
            break
        time.sleep(0.01)
    seconds = time.perf_counter() - started
    if job.result is None:
        raise SystemExit(f"the job ended as {job.state}: {job.error}")
    return seconds


def measure(studio: Studio, bare: Bare, request: GenerationRequest, pairs: int) -> list[tuple[float, float]]:
    """(bare, studio) seconds of each pair, after one of each that does not count."""
    measured = []
    for number in range(pairs + 1):
        own = request.model_copy(update={"prompt": f"{PROMPTS[number % len(PROMPTS)]}, take {number}", "seed": number})
        if number % 2:
            ours, theirs = through_the_studio(studio, own), bare.seconds(own)
        else:
            theirs, ours = bare.seconds(own), through_the_studio(studio, own)
        if number:
            measured.append((theirs, ours))
    return measured


def _clips(studio: Studio, pairs: int) -> list[StoredClip]:
    """The clips of the pairs that count, in their order."""
    return list(reversed(studio.library.page(OWNER, limit=pairs).clips))


def main() -> None:
    """Measure, print, and leave with 1 when the gate is missed."""
    parser = argparse.ArgumentParser(description="The studio's overhead over the bare pipeline call.")
    parser.add_argument("--quick", action="store_true", help="two pairs only")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="pocket")
    asked = parser.parse_args()
    pairs = 2 if asked.quick else asked.pairs
    catalogue = ModelCatalogue.with_folders({})
    request = catalogue.complete(GenerationRequest(prompt="x", model=asked.model, seed=0))
    with tempfile.TemporaryDirectory() as folder, Studio.open(Settings(data_dir=Path(folder), device=asked.device)) as studio:
        while not any(worker.state == "idle" for worker in studio.health().workers):
            time.sleep(0.1)
        measured = measure(studio, Bare(catalogue.get(asked.model), asked.device), request, pairs)
        outside = [
            ours - sum(clip.stage_seconds.values()) for (_, ours), clip in zip(measured, _clips(studio, pairs), strict=True)
        ]
    bare_s, studio_s = (statistics.median(side) for side in zip(*measured, strict=True))
    figure = 100 * statistics.median(ours / theirs - 1 for theirs, ours in measured)
    report = {
        "benchmark": "overhead",
        "figure": round(figure, 2),
        "unit": "% added wall time, median of pairs",
        "gate": GATE_PERCENT,
        "pass": figure <= GATE_PERCENT,
        "baseline": {"LTX2Pipeline call, median s": round(bare_s, 3), "studio, median s": round(studio_s, 3)},
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {asked.device}, torch {torch.__version__}",
        "shape": f"{request.width}x{request.height}, {request.num_frames} frames, {request.num_inference_steps} steps",
        "pairs (bare s, studio s)": [[round(seconds, 3) for seconds in pair] for pair in measured],
        "queue, pipe, store (s outside the engine's stages, median)": round(statistics.median(outside), 3),
    }
    if asked.json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name:>13}: {value}")
    sys.exit(0 if report["pass"] else 1)


if __name__ == "__main__":
    main()
