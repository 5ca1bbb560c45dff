"""Claim: a picture decoded in steps through time costs less than in tiles, takes no more memory, and is the same.

    python benchmarks/tiling.py [--quick] [--json]

The real video VAE classes on the CPU in float32: the embedded model's weights and a small twin of LTX-2's layout, at LTX-2's own
picture size. Against ``enable_tiling()`` and against ``use_framewise_decoding = True``, both with their own tile sizes. One
thread; CPU seconds, which other programs on the machine hardly change, in turns, median. The peak is that of resident memory in
a process for each way. Exits 1 below a gate.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Video

from pipelines.optimize.gauge import ProcessGauge
from pipelines.optimize.tiling import MIB, decode, plan, put
from pipelines.registry import POCKET_FOLDER

LEAST = {"tiled": 1.35, "framewise": 2.5}
LARGEST_DIFFERENCE = 1e-3
BUDGET_BYTES = 128 * MIB
WAYS = ("streamed", "tiled", "framewise")
LTX_2 = dict(
    latent_channels=32, block_out_channels=(16, 32, 32, 32), layers_per_block=(1, 1, 1, 1, 1),
    decoder_block_out_channels=(8, 16, 32), decoder_layers_per_block=(2, 2, 2, 2), decoder_causal=False, patch_size=4,
    decoder_spatial_padding_mode="zeros", spatial_compression_ratio=32, temporal_compression_ratio=8,
)  # fmt: skip
"""The layout of the release with fewer blocks, a thirty-second as wide."""
Way = Callable[[], torch.Tensor]


def vae_of(name: str) -> Any:
    """``pocket`` or the twin ``ltx-2``, each time with the same weights."""
    torch.manual_seed(0)
    made = AutoencoderKLLTX2Video.from_pretrained(POCKET_FOLDER / "vae") if name == "pocket" else AutoencoderKLLTX2Video(**LTX_2)
    return made.eval()


def latents_of(vae: Any, frames: int, height: int, width: int) -> torch.Tensor:
    """Of unit variance, ``[1, C, F, H, W]``."""
    cells = (1 + (frames - 1) // vae.temporal_compression_ratio, height // 32, width // 32)
    return torch.randn(1, vae.config.latent_channels, *cells, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def decoded(vae: Any, latents: torch.Tensor, way: str) -> torch.Tensor:
    """Pixels ``[1, 3, F, H, W]`` in float by one of ``WAYS``, or ``whole``."""
    vae.use_tiling, vae.use_framewise_decoding = way == "tiled", way == "framewise"
    if way != "streamed":
        return vae.decode(latents, return_dict=False)[0]
    frames, height, width = latents.shape[2:]
    picture = torch.empty(1, 3, (frames - 1) * vae.temporal_compression_ratio + 1, 32 * height, 32 * width)
    for part in decode(vae, latents, None, plan(vae.decoder, latents, BUDGET_BYTES)):
        put(part, picture, lambda pixels: pixels)
    return picture


def weigh(name: str, way: str, size: tuple[int, int, int]) -> None:
    """Print the bytes that one way takes beyond the loaded model; for a process of its own."""
    torch.set_num_threads(1)
    vae = vae_of(name)
    latents = latents_of(vae, *size)
    gauge = ProcessGauge()
    rest = gauge.begin()
    decoded(vae, latents, way)
    print(gauge.peak() - rest)


def weighed(name: str, way: str, size: tuple[int, int, int]) -> int:
    """As ``weigh``, from here."""
    command = [sys.executable, __file__, "--weigh", name, way, *map(str, size)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def measured(name: str, size: tuple[int, int, int], repeats: int) -> dict[str, Any]:
    """CPU seconds and peak of each way, how many times slower the others are, and the difference from the whole."""
    vae = vae_of(name)
    latents = latents_of(vae, *size)
    whole = decoded(vae, latents, "whole")
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    differences: dict[str, float] = {}
    for _ in range(repeats):
        for way in WAYS:
            begin = time.process_time()
            made = decoded(vae, latents, way)
            seconds[way].append(time.process_time() - begin)
            differences[way] = float((made - whole).abs().max())
    median = {way: float(np.median(values)) for way, values in seconds.items()}
    return {
        "speedup": {way: median[way] / median["streamed"] for way in LEAST},
        "seconds": median,
        "peak_mb": {way: round(weighed(name, way, size) / 1e6) for way in WAYS},
        "difference": differences,
    }


def is_good(found: Mapping[str, Any]) -> bool:
    """Whether all gates are met."""
    peaks = found["peak_mb"]
    return (
        all(found["speedup"][way] >= least for way, least in LEAST.items())
        and found["difference"]["streamed"] <= LARGEST_DIFFERENCE
        and peaks["streamed"] <= min(peaks[way] for way in LEAST)
    )


def main() -> int:
    """Print the figures; 1 when one misses its gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer frames, once")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--weigh", nargs=5, metavar=("VAE", "WAY", "FRAMES", "HEIGHT", "WIDTH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.weigh:
        name, way, *size = options.weigh
        weigh(name, way, (int(size[0]), int(size[1]), int(size[2])))
        return 0
    torch.set_num_threads(1)
    size, repeats = ((25, 512, 768), 1) if options.quick else ((49, 512, 768), 3)
    figures = {name: measured(name, size, repeats) for name in ("ltx-2", "pocket")}
    good = all(map(is_good, figures.values()))
    report = {
        "claim": "CPU seconds of diffusers' tiled and framewise decoding through ours, at no more memory, same result",
        "figure": {name: each["speedup"] for name, each in figures.items()},
        "gate": LEAST,
        "pass": good,
        "baseline": "AutoencoderKLLTX2Video.enable_tiling() and use_framewise_decoding, their own tile sizes",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, 1 thread, torch {torch.__version__}",
        "shape": f"{size[0]} frames of {size[2]}x{size[1]}, float32; pocket's VAE and a twin of LTX-2's",
        "models": figures,
    }
    if options.json:
        print(json.dumps(report))
    else:
        for name, each in figures.items():
            for way in LEAST:
                print(f"{name}: {each['speedup'][way]:.2f}x of {way}, gate {LEAST[way]}; off {each['difference'][way]:.1e}")
            print(f"{name}: off the whole {each['difference']['streamed']:.1e}; peak in MB {each['peak_mb']}")
        print(f"{report['shape']}; {report['machine']}: {'pass' if good else 'FAIL'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
