"""Claim: compiled blocks make a guided step on a CPU at least 1.3 times as fast, and the clip stays the same.

    python benchmarks/fusion.py [--quick] [--json]

The embedded model at its defaults, both prompts in one batch, all ways on copies of the same weights in one process, in turns.
Speed: seconds of the transformer call as diffusers runs it over those of a way, median over the turns, with the middle half of
them. Difference: relative L2 of the latents of a whole clip from one seed, picture and sound together. Compiling is not counted;
how long the first call took is told. Exits 1 where compiled blocks are slower than 1.3 or differ by more than 0.001.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import pipelines  # noqa: F401, I001  before torch: it settles how threads wait
import torch

from pipelines.conditioning import encode_prompt
from pipelines.contract import GenerationRequest, Quantization
from pipelines.guidance import Branch, Guidance, Scales
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import load
from pipelines.optimize.kernels import reference
from pipelines.optimize.kernels.block import put_on
from pipelines.optimize.kernels.compiled import compile_blocks
from pipelines.optimize.kernels.rotary import ROTARIES, keep_rotary
from pipelines.optimize.quantize import quantize
from pipelines.passes import Passes, Steering
from pipelines.registry import ModelCatalogue
from pipelines.sampling import Course, denoise, noise, schedule

GATE, LARGEST_DIFFERENCE = 1.3, 1e-3
STOCK, COMPILED = "as diffusers runs it", "compiled blocks"
TURNS, QUICK_TURNS = 40, 12


def _stock(transformer: Any) -> None:
    """Take off what loading puts on."""
    for name in ROTARIES:
        del getattr(transformer, name).forward


def _diffusers_compiled(transformer: Any) -> None:
    _stock(transformer)
    transformer.compile_repeated_blocks()


def _in_bf16(transformer: Any) -> None:
    quantize(transformer, Quantization.BF16)


WAYS: dict[str, Callable[[Any], Any]] = {
    STOCK: _stock,
    "kept rotary tables": keep_rotary,
    "fused steps, not compiled": lambda transformer: put_on(transformer, reference),
    COMPILED: compile_blocks,
}
MORE: dict[str, Callable[[Any], Any]] = {
    "compiled by diffusers": _diffusers_compiled,
    "large layers in bf16": _in_bf16,
    "large layers in bf16, compiled blocks": lambda transformer: (_in_bf16(transformer), compile_blocks(transformer)),
}


@dataclass
class Runner:
    """One way: a copy of the model, and what a step and a clip need."""

    passes: Passes
    scheduler: Any
    start: Any

    @classmethod
    def of(cls, change: Callable[[Any], Any]) -> Runner:
        """The embedded model, its transformer changed."""
        catalogue = ModelCatalogue.with_folders({})
        model = load(catalogue.get("pocket"), torch.device("cpu"))
        change(model.transformer)
        asked = catalogue.complete(GenerationRequest(prompt="a red ball bouncing on grass", seed=1))
        assert asked.height and asked.width and asked.num_frames and asked.frame_rate and asked.num_inference_steps
        canvas = Canvas.of(
            model, height=asked.height, width=asked.width, num_frames=asked.num_frames, frame_rate=asked.frame_rate
        )
        texts = encode_prompt(model, asked.prompt), encode_prompt(model, "")
        guidance = Guidance(Scales(asked.guidance_scale or 1), Scales(asked.audio_guidance_scale or 1), ())
        start = noise(model, canvas, 1)
        scheduler = schedule(model, start.video_BND.shape[1], steps=asked.num_inference_steps, sigmas=None)
        return cls(Passes(model, canvas, Steering(*texts, guidance=guidance)), scheduler, start)

    def step_s(self) -> float:
        """Seconds of both prompts' transformer call."""
        begun = time.perf_counter()
        self.passes.evaluate(self.start, self.scheduler.timesteps[5], frozenset({Branch.POSITIVE, Branch.NEGATIVE}))
        return time.perf_counter() - begun

    def clip(self) -> torch.Tensor:
        """The latents of a whole clip, as one row."""
        steps = denoise(Course(self.passes, self.start, copy.deepcopy(self.scheduler)))
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                return torch.cat([finished.value.video_BND.flatten(), finished.value.audio_BND.flatten()])


def measured(ways: dict[str, Callable[[Any], Any]], turns: int) -> dict[str, dict[str, Any]]:
    """For each way: times as fast, the middle half of the turns, the first call's seconds, the difference of a clip."""
    runners = {name: Runner.of(change) for name, change in ways.items()}
    first = {name: runner.step_s() for name, runner in runners.items()}
    names = list(runners)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(turns):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            seconds[name].append(runners[name].step_s())
    right = runners[STOCK].clip()
    found = {}
    for name in names:
        ratios = [stock / own for stock, own in zip(seconds[STOCK], seconds[name], strict=True)]
        low, _, high = quantiles(ratios, n=4)
        found[name] = {
            "speedup": median(ratios),
            "middle half": [low, high],
            "ms": 1e3 * median(seconds[name]),
            "first call s": first[name],
            "difference": float((runners[name].clip() - right).norm() / right.norm()),
        }
    return found


def main() -> int:
    """Print the figures; 1 when the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer turns, and without the ways that are not the studio's")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # so that the first call compiles
        found = measured(WAYS if options.quick else {**WAYS, **MORE}, QUICK_TURNS if options.quick else TURNS)
    good = found[COMPILED]["speedup"] >= GATE and found[COMPILED]["difference"] <= LARGEST_DIFFERENCE
    report = {
        "claim": "compiled blocks make a guided step on a CPU at least 1.3 times as fast, and the clip stays the same",
        "figure": {name: {key: each[key] for key in ("speedup", "difference")} for name, each in found.items()},
        "gate": {"speedup": GATE, "difference": LARGEST_DIFFERENCE},
        "pass": good,
        "baseline": STOCK,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "shape": "pocket, 128x128x25 (112 + 33 tokens), a batch of two prompts",
        "ways": found,
    }
    if options.json:
        print(json.dumps(report))
    else:
        for name, each in found.items():
            print(
                f"{name:40} {each['speedup']:.2f} times ({each['middle half'][0]:.2f} to {each['middle half'][1]:.2f}), "
                f"{each['ms']:.1f} ms, first call {each['first call s']:.1f} s, difference {each['difference']:.1e}"
            )
        print(f"{report['shape']}; {report['machine']}: {'pass' if good else 'FAIL'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
