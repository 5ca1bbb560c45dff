"""Claim: with its weights in fewer bits, the embedded model takes less memory and makes nearly the same clips.

    python benchmarks/quantization.py [--quick] [--clips N] [--modes int8 fp8 ...] [--json]

Held-out captions, each from an equal seed in every mode, one mode after another, measured on the finished MP4s by the
evaluation's readers. ``size``: MB of the transformer and of all parts. ``speed``: seconds of denoising as loaded (float32 on
a CPU) over those of the mode, median over the clips. ``cosine``: of the finished latents of picture and sound with those as
loaded. ``PSNR``: of the decoded picture to the one as loaded, dB, median. ``kept``: score of the mode over that as loaded,
with the 90 % interval of 400 resamplings of the captions; ``attributes`` is the mean over the attributes, ``sync`` the mean
over impacts, lips and beats.

Exits 1 when a mode's transformer is not smaller, when attributes kept are below the mode's gate, or when the whole interval
of sync is: pocket's sync is weak, so a few clips tell little of it. ``sync tells`` says whether they do (an interval up to
0.1 wide). With ``--quick`` the clips are too few for scores, and sizes and PSNR are judged.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from pipelines.contract import Done, Event, GenerationRequest, Quantization
from pipelines.engine import Engine, text_to_clip
from pipelines.graph import execute
from pipelines.metrics.reading import read_clip
from pipelines.metrics.scores import SYNC_MEASURES, ClipPair, attributes
from pipelines.metrics.selection import Asked, select
from pipelines.optimize.quantize import weights_bytes
from pipelines.registry import ModelCatalogue

GATES = {"int8": 0.98, "int8-dynamic": 0.98, "int16": 0.98, "bf16": 0.98, "fp8": 0.95, "int4": 0.95}
LEAST_PSNR_DB = 30.0
MODES = [mode for mode in Quantization if mode is not Quantization.AUTO]
CLIPS, STEPS, RESAMPLINGS = 24, 12, 400
_TELLING = 0.1


class Made:
    """One mode's engine and what came of it, clip by clip."""

    def __init__(self, mode: Quantization, catalogue: ModelCatalogue, folder: Path) -> None:
        self.mode, self.catalogue, self.folder = mode, catalogue, folder
        self.engine = Engine(catalogue, media_dir=folder, device="cpu")
        self.seconds: list[float] = []
        self.pairs: list[ClipPair] = []
        self.latents: list[list[torch.Tensor]] = []
        self.frames: list[np.ndarray] = []

    def make(self, prompt: str, seed: int) -> Path:
        """A clip; keeps its latents and frames, as they were before the file was written, and the seconds of its denoising."""
        request = self.catalogue.complete(
            GenerationRequest(prompt=prompt, seed=seed, upscale=1, num_inference_steps=STEPS, quantization=self.mode)
        )
        path = self.folder / f"{self.mode}-{len(self.seconds)}.mp4"
        done = next(event.result for event in self.engine.run(request, path) if isinstance(event, Done))
        graph = text_to_clip(request, self.engine.model(request.model).sha256, path)
        latents, frames = (_value(execute(graph, node, self.engine, self.engine.cache)) for node in ("denoise", "decode_video"))
        self.engine.cache.clear()
        self.latents.append([latents.video_BND.float(), latents.audio_BND.float()])
        self.frames.append(np.asarray(frames))
        self.seconds.append(done.stage_seconds["denoise"])
        return path

    def sizes(self) -> dict[str, float]:
        """MB of the transformer and of everything."""
        model = self.engine.model("pocket")
        parts = (model.text.text_encoder, model.text.connectors, model.vae, model.audio_vae, model.vocoder)
        transformer = weights_bytes(model.transformer)
        return {"transformer MB": transformer / 1e6, "all MB": (transformer + sum(map(weights_bytes, parts))) / 1e6}


def _value(events: Generator[Event, None, Any]) -> Any:
    while True:
        try:
            next(events)
        except StopIteration as finished:
            return finished.value


def cosine(one: torch.Tensor, two: torch.Tensor) -> float:
    """Of two tensors as vectors."""
    return float(torch.nn.functional.cosine_similarity(one.flatten(), two.flatten(), dim=0))


def psnr_db(one: np.ndarray, two: np.ndarray) -> float:
    """Of two pictures of 8 bits; infinite where they are equal."""
    error = float(np.mean((one.astype(float) - two.astype(float)) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def sync_of(pair: ClipPair) -> dict[str, float]:
    """The sync measures of the clip's kind."""
    return {
        name: measure(pair.reading, pair.reading) for name, (kind, measure) in SYNC_MEASURES.items() if kind == pair.asked.kind
    }


def sync(values: Sequence[dict[str, float]]) -> float:
    """The mean over the measures of each one's mean over its clips."""
    found = [[each[name] for each in values if name in each] for name in SYNC_MEASURES]
    return fmean(fmean(each) for each in found if each)


def attribute_mean(pairs: Sequence[ClipPair]) -> float:
    """The mean over the attributes."""
    return fmean(attributes(pairs).values())


def kept(score: Callable[[Sequence[Any]], float], whole: Sequence[Any], less: Sequence[Any]) -> dict[str, float]:
    """The ratio of the scores of the same captions, and its 90 % interval by the bootstrap (Efron 1979)."""
    draw, ratios = np.random.default_rng(0), []
    for _ in range(RESAMPLINGS):
        at = draw.integers(0, len(whole), len(whole))
        below = score([whole[index] for index in at])
        if below > 0:
            ratios.append(score([less[index] for index in at]) / below)
    low, high = np.quantile(ratios, (0.05, 0.95))
    return {"kept": score(less) / score(whole), "low": float(low), "high": float(high)}


def measured(
    captions: Sequence[Asked], modes: Sequence[Quantization], folder: Path, *, with_scores: bool
) -> dict[str, dict[str, Any]]:
    """The figures of every mode."""
    catalogue = ModelCatalogue.with_folders({})
    made = {mode: Made(mode, catalogue, folder) for mode in modes}
    for each in made.values():  # what a first run warms up is nobody's time
        each.make("a red ball", 0)
        each.seconds.clear(), each.latents.clear(), each.frames.clear()
    for number, asked in enumerate(captions):
        for each in made.values():
            path = each.make(asked.prompt, asked.seed)
            if with_scores:
                each.pairs.append(ClipPair(asked, read_clip(path)))
        print(f"{number + 1} of {len(captions)} captions", file=sys.stderr, flush=True)
    whole = made[Quantization.NONE]
    return {mode.value: {**each.sizes(), **beside(whole, each, with_scores)} for mode, each in made.items()}


def beside(whole: Made, less: Made, with_scores: bool) -> dict[str, Any]:
    """What a mode's clips are beside those as loaded."""
    found: dict[str, Any] = {"speed": median(a / b for a, b in zip(whole.seconds, less.seconds, strict=True))}
    both = list(zip(whole.latents, less.latents, strict=True))
    for index, stream in enumerate(("picture", "sound")):
        found[f"cosine, {stream}"] = median(cosine(one[index], two[index]) for one, two in both)
    found["PSNR dB"] = median(psnr_db(one, two) for one, two in zip(whole.frames, less.frames, strict=True))
    if with_scores:
        found |= {"attribute score": attribute_mean(less.pairs), "attributes": kept(attribute_mean, whole.pairs, less.pairs)}
        whole_sync, less_sync = ([sync_of(pair) for pair in each.pairs] for each in (whole, less))
        found |= {"sync score": sync(less_sync), "sync": kept(sync, whole_sync, less_sync)}
        found["sync tells"] = found["sync"]["high"] - found["sync"]["low"] <= _TELLING
    return found


def passes(mode: str, found: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Whether a mode holds what the claim says."""
    smaller = found["transformer MB"] < whole["transformer MB"]
    if "attributes" not in found:
        return smaller and found["PSNR dB"] >= LEAST_PSNR_DB
    return smaller and found["attributes"]["kept"] >= GATES[mode] and found["sync"]["high"] >= GATES[mode]


def main() -> int:
    """Print the figures; 1 when the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two captions, no scores")
    parser.add_argument("--clips", type=int, default=CLIPS, help=f"captions, at least 6 ({CLIPS})")
    parser.add_argument("--modes", nargs="+", default=MODES[1:], type=Quantization, help="only these")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    captions = select(options.clips)[:2] if options.quick else select(options.clips)
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(captions, [MODES[0], *options.modes], Path(folder), with_scores=not options.quick)
    whole = figures["none"]
    good = {mode: passes(mode, found, whole) for mode, found in figures.items() if mode != "none"}
    report = {
        "claim": "fewer bits take less memory and make nearly the same clips",
        "figure": figures,
        "gate": {"kept": GATES, "PSNR dB, quick": LEAST_PSNR_DB},
        "pass": all(good.values()),
        "passes": good,
        "baseline": "none: the weights as loaded, float32",
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "shape": f"{len(captions)} captions of pocket at its defaults, {STEPS} steps",
    }
    print(json.dumps(report) if options.json else _table(report))
    return 0 if report["pass"] else 1


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['shape']}; {report['machine']}"]
    for mode, found in report["figure"].items():
        told = [f"{name} {value:.4g}" for name, value in found.items() if isinstance(value, float)]
        for name in ("attributes", "sync"):
            if name in found:
                told.append(f"{name} kept {found[name]['kept']:.3f} ({found[name]['low']:.3f} to {found[name]['high']:.3f})")
        if "sync tells" in found:
            told.append("sync tells" if found["sync tells"] else "sync tells little")
        told.append({True: "pass", False: "FAIL", None: "baseline"}[report["passes"].get(mode)])
        lines.append(f"{mode:13}" + "; ".join(told))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
