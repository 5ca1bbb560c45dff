"""Claim: a transformer in a single file makes the folder's clip, bit for bit from safetensors and nearly so from GGUF.

    python benchmarks/single_file.py [--quick] [--json]

The embedded model's transformer is written in Lightricks' and in diffusers' layout and as GGUF, as the tests write it, and each
file makes the same clips as the folder, one beside the other. ``MB``: of the transformer's file. ``PSNR``: of the finished MP4's
picture to the folder's, dB, median over the captions; nothing where every pixel is equal. ``speed``: seconds of denoising with
the folder over those with the file, median. Exits 1 when a safetensors file's clip differs anywhere, or one of Q8_0 is below its
gate.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from gguf import GGMLQuantizationType

from pipelines.clip_io import read_media
from pipelines.contract import Done, GenerationRequest
from pipelines.engine import Engine
from pipelines.registry import ModelCatalogue
from tests.checkpoints import WEIGHTS, write_diffusers, write_gguf, write_original

PROMPTS = ("a red ball bouncing on grass", "a dog barks in the rain", "a blue bell rings at night", "a green cube in the snow")
GGUF_TYPES = ("Q8_0", "Q5_1", "Q4_0")
LEAST_PSNR_DB = 40.0


def files_in(folder: Path) -> dict[str, Path]:
    """The transformer in every format, by the format's name."""
    packed = {name: write_gguf(folder / name, GGMLQuantizationType[name]) for name in GGUF_TYPES}
    return {"original": write_original(folder / "original"), "diffusers": write_diffusers(folder / "diffusers"), **packed}


def measured(prompts: tuple[str, ...], steps: int, folder: Path) -> dict[str, Any]:
    """What each file's clips are beside the folder's."""
    files = files_in(folder)
    catalogue = ModelCatalogue.with_folders({name: Path(f"{file}@pocket") for name, file in files.items()})
    clips: dict[str, list[tuple[np.ndarray, float]]] = {name: [] for name in ("pocket", *files)}
    engines = {name: Engine(catalogue, media_dir=folder, device="cpu") for name in clips}
    for seed, prompt in enumerate(("warming up", *prompts)):
        for name, made in clips.items():
            request = GenerationRequest(prompt=prompt, model=name, seed=seed, num_inference_steps=steps)
            path = folder / f"{name}.mp4"
            done = next(e.result for e in engines[name].run(catalogue.complete(request), path) if isinstance(e, Done))
            if seed:
                made.append((np.asarray(read_media(path).frames), done.stage_seconds["denoise"]))
    found = {name: beside(clips["pocket"], made) for name, made in clips.items() if name != "pocket"}
    return {name: {"MB": files[name].stat().st_size / 1e6, **told} for name, told in found.items()}


def beside(whole: list[tuple[np.ndarray, float]], less: list[tuple[np.ndarray, float]]) -> dict[str, float | None]:
    """PSNR, if anything differs, and speed of some clips beside others."""
    pairs = list(zip(whole, less, strict=True))
    errors = [float(np.square(one.astype(float) - two.astype(float)).mean()) for (one, _), (two, _) in pairs]
    told = [10 * np.log10(255**2 / error) for error in errors if error]
    return {"PSNR dB": float(median(told)) if told else None, "speed": median(one / two for (_, one), (_, two) in pairs)}


def main() -> int:
    """Print the figures; 1 when the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one caption, two steps")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    prompts, steps = (PROMPTS[:1], 2) if options.quick else (PROMPTS, 12)
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(prompts, steps, Path(folder))
    equal = all(figures[name]["PSNR dB"] is None for name in ("original", "diffusers"))
    report = {
        "claim": "a transformer in a single file makes the folder's clip",
        "figure": figures,
        "gate": {"safetensors": "every pixel equal", "Q8_0, PSNR dB": LEAST_PSNR_DB},
        "pass": equal and (figures["Q8_0"]["PSNR dB"] or LEAST_PSNR_DB) >= LEAST_PSNR_DB,
        "baseline": f"the folder, {WEIGHTS.stat().st_size / 1e6:.1f} MB in float16",
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "shape": f"{len(prompts)} captions of pocket at its defaults, {steps} steps",
    }
    print(json.dumps(report, default=float) if options.json else _table(report))
    return 0 if report["pass"] else 1


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['shape']}; {report['machine']}; baseline: {report['baseline']}"]
    for name, found in report["figure"].items():
        psnr = "equal" if found["PSNR dB"] is None else f"{found['PSNR dB']:.1f} dB"
        lines.append(f"{name:10} {found['MB']:6.1f} MB  {psnr:>8}  {found['speed']:.2f}x")
    return "\n".join([*lines, "pass" if report["pass"] else "FAIL"])


if __name__ == "__main__":
    sys.exit(main())
