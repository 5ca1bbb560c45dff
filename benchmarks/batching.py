"""Claim: clips that wait for each other's turn are made faster together, and are the clips that they would be alone.

    python benchmarks/batching.py [--quick] [--json]

Four waiting clips of one shape, different words and seeds, with the embedded model and its student: one after the other, and
begun together (``Engine.ahead``, what a worker does with what it finds in its queue). Seconds from text to four finished and
measured MP4s, nothing kept from before; rounds are interleaved, the ratio is the median of pairs. Beside it how far the latents
of a clip differ (relative L2, the worst of the four; sums of floats in another order), and the same for the stage alone. Exits 1
below 1.5 times the clips a second with the embedded model, or above a difference of 1e-3.
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
from statistics import median

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import pipelines  # noqa: F401, I001  before torch: it settles how threads wait
import torch

from pipelines.contract import GenerationRequest
from pipelines.engine import Engine
from pipelines.graph import signatures
from pipelines.registry import ModelCatalogue
from pipelines.stages import in_one_stage

LEAST_GAIN, MOST_APART = 1.5, 1e-3
PROMPTS = ("a red ball bouncing on grass", "a blue cube drifting at sea", "a green star dancing at night", "a pink heart in snow")
MODELS = ("pocket", "pocket-fast")


class Four:
    """The same four requests again and again, each time as if for the first time."""

    def __init__(self, model: str, folder: Path) -> None:
        catalogue = ModelCatalogue.with_folders({})
        self._engine = Engine(catalogue, media_dir=folder, device="cpu")
        self._folder = folder
        self._requests = {
            str(seed): catalogue.complete(GenerationRequest(prompt=prompt, model=model, seed=seed, upscale=1))
            for seed, prompt in enumerate(PROMPTS)
        }

    def seconds(self, *, together: bool) -> tuple[float, dict[str, torch.Tensor]]:
        """How long all four took, and the picture's latents of each."""
        self._engine.cache.clear()
        weights, latents = self._engine.model(self._requests["0"].model).sha256, {}
        started = time.perf_counter()
        if together:
            for _told in self._engine.ahead(self._requests, {}, lambda _name: True):
                pass
        for name, request in self._requests.items():
            for _event in self._engine.run(request, self._folder / f"{name}.mp4"):
                pass
        took_s = time.perf_counter() - started
        for name, request in self._requests.items():
            key = signatures(in_one_stage(request, weights), "denoise")["denoise"]
            latents[name] = self._engine.cache.get(key).video_BND
        return took_s, latents


def compared(model: str, rounds: int) -> dict[str, float]:
    """Seconds of both ways and what they differ by."""
    with tempfile.TemporaryDirectory() as folder:
        four = Four(model, Path(folder))
        four.seconds(together=True), four.seconds(together=False)  # loads what is needed, and learns no times
        alone, joined, apart = [], [], 0.0
        for index in range(rounds):
            order = (True, False) if index % 2 else (False, True)
            found = {together: four.seconds(together=together) for together in order}
            alone.append(found[False][0])
            joined.append(found[True][0])
            pairs = [(found[True][1][name], found[False][1][name]) for name in found[True][1]]
            apart = max(apart, *(float((one - two).norm() / two.norm()) for one, two in pairs))
    ratios = sorted(one / two for one, two in zip(alone, joined, strict=True))
    return {
        "gain": median(ratios), "least": ratios[0], "most": ratios[-1], "alone_s": median(alone), "together_s": median(joined),
        "apart": apart,
    }  # fmt: skip


def main() -> int:
    """Print the figures; 1 when the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds with the embedded model only")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    models = MODELS[:1] if options.quick else MODELS
    found = {model: compared(model, 2 if options.quick else 7) for model in models}
    passed = found["pocket"]["gain"] >= LEAST_GAIN and all(each["apart"] <= MOST_APART for each in found.values())
    report = {
        "claim": "four waiting clips are made faster together",
        "figure": {
            model: {
                "times as many clips a second": round(each["gain"], 2),
                "spread": [round(each[name], 2) for name in ("least", "most")],
                "relative difference": float(f"{each['apart']:.1e}"),
            }
            for model, each in found.items()
        },
        "gate": {"times as many clips a second": LEAST_GAIN, "relative difference": MOST_APART},
        "pass": passed,
        "baseline": {model: {name: round(each[name], 2) for name in ("alone_s", "together_s")} for model, each in found.items()},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "shape": "4 clips, 128x128, 25 frames, text to MP4",
    }
    print(json.dumps(report) if options.json else "\n".join(f"{name}: {value}" for name, value in report.items()))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
