"""Claim: what a prompt names is seen and heard in the embedded model's clip, far above chance.

``python benchmarks/steering.py [--quick] [--json] [--sheet FILE.png]``: clips of random prompts of the world, read back by
rules that are right on rendered clips. Exits 1 when an attribute is below its gate (three times chance, at most 0.75).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from PIL import Image

from pipelines.clip_io import read_media
from pipelines.contract import Done, GenerationRequest
from pipelines.engine import Engine
from pipelines.registry import ModelCatalogue
from pipelines.world.captions import caption
from pipelines.world.reading import Reading, read
from pipelines.world.scene import ACTIONS, COLOURS, PLACES, SHAPES, SOUNDS, Scene, sample

CHANCE = {
    "place": 1 / len(PLACES),
    "colour": 1 / len(COLOURS),
    "shape": 1 / len(SHAPES),
    "action": 1 / len(ACTIONS),
    "sound": 1 / len(SOUNDS),
}
GATES = {name: min(0.75, 3 * share) for name, share in CHANCE.items()}


def make(engine: Engine, catalogue: ModelCatalogue, scene: Scene, path: Path) -> tuple[Reading, np.ndarray]:
    """One clip of the scene's plain caption: what is read in it, and its frames."""
    request = catalogue.complete(GenerationRequest(prompt=caption(scene), seed=7))
    clip = next(event.result for event in engine.run(request, path) if isinstance(event, Done))
    media = read_media(clip.path)
    assert media.frames is not None and media.sound is not None
    return read(media.frames, media.sound.samples.mean(0), media.sound.sample_rate), media.frames


def main() -> int:
    """Print the figures; 1 when one is below its gate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sheet", type=Path, help="also save a contact sheet of the clips")
    options = parser.parse_args()
    catalogue = ModelCatalogue.with_folders({})
    count = 8 if options.quick else 60
    scenes = [sample(np.random.default_rng(90_000 + index)) for index in range(count)]
    rows, right = [], dict.fromkeys(CHANCE, 0)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(catalogue, media_dir=Path(folder))
        for index, scene in enumerate(scenes):
            seen, frames = make(engine, catalogue, scene, Path(folder) / f"{index}.mp4")
            rows.append(np.concatenate(list(frames[::4]), axis=1))
            for name in right:
                right[name] += asdict(seen)[name] == asdict(scene)[name]
    figures = {name: round(value / count, 3) for name, value in right.items()}
    passed = all(figures[name] >= GATES[name] for name in figures)
    if options.sheet:
        Image.fromarray(np.concatenate(rows, axis=0)).save(options.sheet)
    report = {
        "claim": "share of clips in which the prompt's attribute is read back",
        "figure": figures,
        "gate": {name: round(gate, 3) for name, gate in GATES.items()},
        "pass": passed,
        "baseline": {name: round(share, 3) for name, share in CHANCE.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "shape": f"{count} clips of pocket at its defaults",
    }
    if options.json:
        print(json.dumps(report))
    else:
        for name, value in figures.items():
            print(f"{name:8} {value:.2f}   chance {CHANCE[name]:.2f}   gate {GATES[name]:.2f}")
        print("pass" if passed else "FAIL")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
