"""Claim: a first frame is where a clip begins, and what follows is nearer to its scene than words alone bring it.

    python benchmarks/first_frame.py [--quick] [--json] [--model pocket]

Scenes of the world that the model knows every word of, and that no training drew: the rendered first frame and the caption,
against the caption alone, at equal seeds, as finished MP4s. Figures in decibels, medians over the scenes: how near the first
frame comes to the given picture, beside what the model's codec makes of the same picture; and by how much all later frames
come nearer to the render than with words alone, with its 95 % interval (bootstrap). Exits 1 when the first frame is more
than 1 dB below the codec, or when the interval of the gain reaches zero.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import pipelines  # noqa: F401, I001  before torch: it settles how threads wait
import cv2
import numpy as np
import torch

from pipelines.clip_io import read_media
from pipelines.contract import GenerationRequest
from pipelines.engine import Engine
from pipelines.metrics.ceiling import restore
from pipelines.registry import ModelCatalogue
from pipelines.world import WorldClip, make_clip
from pipelines.world.captions import caption
from pipelines.world.scene import Scene, draw
from studio.services.media import store_image

SEED, LEAST_DB = 40_000_000, -1.0
LARGEST_BYTES = 10_000_000


def scenes(count: int, catalogue: ModelCatalogue, model: str) -> list[tuple[Scene, str]]:
    """Scenes with captions of which ``model`` knows every word."""
    found: list[tuple[Scene, str]] = []
    for number in range(SEED, SEED + 100_000):
        scene = draw(np.random.default_rng(number))
        words = caption(scene)
        if not catalogue.get(model).unknown_words(words):
            found.append((scene, words))
        if len(found) == count:
            return found
    raise SystemExit(f"{model} knows too little of the world")


def psnr_db(one: np.ndarray, two: np.ndarray) -> float:
    """Of all pixels together."""
    error = np.square(one.astype(np.float64) - two).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


@dataclass(frozen=True)
class Maker:
    """One model, and where its clips lie."""

    engine: Engine
    catalogue: ModelCatalogue
    model: str
    folder: Path

    def frames(self, words: str, seed: int, first_frame: str | None) -> np.ndarray:
        """Those of a finished clip."""
        request = GenerationRequest(prompt=words, model=self.model, seed=seed, first_frame=first_frame)
        path = self.folder / f"{seed}-{first_frame is not None}.mp4"
        list(self.engine.run(self.catalogue.complete(request), path))
        found = read_media(path).frames
        assert found is not None
        return found

    def measured(self, clip: WorldClip, words: str, seed: int) -> tuple[float, float, float, float]:
        """Decibels: the first frame that was given, and as the codec leaves it; all later frames with it, and without."""
        _, png = cv2.imencode(".png", clip.frames[0, :, :, ::-1])
        with_it = self.frames(words, seed, store_image(png.tobytes(), self.folder, LARGEST_BYTES))
        without = self.frames(words, seed, None)
        codec = restore(self.engine.model(self.model), clip).frames
        begin, rest = clip.frames[0], clip.frames[1:]
        return psnr_db(with_it[0], begin), psnr_db(codec[0], begin), psnr_db(with_it[1:], rest), psnr_db(without[1:], rest)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % bootstrap interval of the median."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (4000, len(values))), axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return round(float(low), 2), round(float(high), 2)


def main() -> int:
    """Print the figures; 1 when one misses its gate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", default="pocket")
    options = parser.parse_args()
    catalogue = ModelCatalogue.with_folders({})
    chosen = scenes(8 if options.quick else 32, catalogue, options.model)
    with tempfile.TemporaryDirectory() as folder:
        maker = Maker(Engine(catalogue, media_dir=Path(folder), device="cpu"), catalogue, options.model, Path(folder))
        rows = [maker.measured(make_clip(scene, size=128), words, seed) for seed, (scene, words) in enumerate(chosen)]
    first, codec, later, alone = np.array(rows).T
    gain, between = float(np.median(later - alone)), interval(later - alone)
    below = float(np.median(first - codec))
    holds = below >= LEAST_DB and between[0] > 0
    answer = {
        "claim": "a first frame is where a clip begins, and what follows is nearer to its scene than words alone bring it",
        "figure": {
            "first frame, dB": round(float(np.median(first)), 2),
            "first frame against the codec's, dB": round(below, 2),
            "later frames against words alone, dB": round(gain, 2),
            "its 95 % interval": between,
        },
        "gate": {"first frame against the codec's, dB": LEAST_DB, "later frames against words alone, dB": "interval above 0"},
        "pass": holds,
        "baseline": {"codec, dB": round(float(np.median(codec)), 2), "words alone, dB": round(float(np.median(alone)), 2)},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "shape": f"{len(chosen)} scenes, {options.model} at its defaults",
    }
    print(json.dumps(answer) if options.json else json.dumps(answer, indent=2))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
