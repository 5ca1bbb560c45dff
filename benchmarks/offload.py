"""Claim: with its blocks in files a model makes the same clips to the bit in a third of the memory for its weights.

    python benchmarks/offload.py [--quick] [--json]

A twin of the real LTX-2 classes, random weights, 1.5 GB in float32 (``--quick``: 0.6 GB), on the CPU. Each way is a process of
its own that loads the model, makes a clip, and times a second one of another prompt: everything in memory, what reads the prompt
in files (``text``), the transformer's blocks too (``blocks``). Figures: the process's memory beyond that of its program, at the
peak of loading (its own, without views of files), at rest and at the peak of denoising, each as a share of what it is with
everything in memory; and the seconds through those of that. The files are read back from the page cache here, as on any machine
with memory to spare; a disk that has to be read takes longer. Exits 1 when a clip differs or the memory at rest with ``blocks``
is more than a third.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from pipelines.contract import Done, GenerationRequest, Metric
from pipelines.optimize.gauge import resident_bytes
from pipelines.optimize.parallel.devices import Devices
from pipelines.optimize.plan import Offload
from pipelines.registry import Defaults, ModelCatalogue, spec_from_folder

MOST_SHARE = 1 / 3
WAYS = (Offload.NONE, Offload.TEXT, Offload.BLOCKS)
CLIP: dict[str, Any] = dict(height=128, width=128, num_frames=25, num_inference_steps=4, frame_rate=12.0)


def build_twin(folder: Path, layers: int) -> int:
    """Write the twin to ``folder``; returns its number of weights."""
    from pipelines.models.ltx2.twin import TwinSize, build

    size = TwinSize(video_width=1024, audio_width=512, heads=8, layers=layers, text_width=1024, text_layers=layers)
    twin = build("2.3", size).to(torch.bfloat16)  # as models are released; the CPU gets float32 of it
    twin.save_pretrained(folder)
    parts = (twin.transformer, twin.text_encoder, twin.connectors, twin.vae, twin.audio_vae, twin.vocoder)
    return sum(weight.numel() for part in parts for weight in part.parameters())


@contextmanager
def highest() -> Iterator[list[int]]:
    """The most memory of its own (no views of files) that this process has within, looked at every 2 ms."""
    found, done = [0], threading.Event()

    def look() -> None:
        while not done.wait(0.002):
            lines = Path("/proc/self/status").read_text().splitlines()
            own = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            found[0] = max(found[0], own * 1024)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def one_way(folder: Path, offload: Offload) -> dict[str, Any]:
    """Two clips in this process: their hash, the memory at rest and at the peak beyond the program's, seconds of the second."""
    from pipelines.engine import Engine

    spec = spec_from_folder("twin", folder, defaults=Defaults(**CLIP))
    catalogue = ModelCatalogue([spec]).offloaded(offload)
    with tempfile.TemporaryDirectory() as out:
        engine = Engine(catalogue, media_dir=Path(out), device=Devices("cpu", files=Path(out) / "files"))
        # Programs of the libraries are not weights, so one clip of the embedded model comes before.
        small = ModelCatalogue.with_folders({})
        warm = small.complete(GenerationRequest(prompt="a red ball", seed=1, num_inference_steps=1))
        list(Engine(small, media_dir=Path(out), device="cpu").run(warm, Path(out) / "warm.mp4"))
        before = resident_bytes(os.getpid())
        with highest() as idle:
            time.sleep(0.1)
        with highest() as loading:
            _ = engine.model("twin").text
        told: dict[str, float] = {}
        hashes, seconds = [], 0.0
        for prompt in ("a red ball", "a blue cube at night"):
            request = catalogue.complete(GenerationRequest(prompt=prompt, model="twin", seed=1))
            started = time.perf_counter()
            events = list(engine.run(request, Path(out) / "clip.mp4"))
            seconds = time.perf_counter() - started
            assert isinstance(events[-1], Done)
            hashes.append(hashlib.sha256((Path(out) / "clip.mp4").read_bytes()).hexdigest())
            told = {event.name: event.value for event in events if isinstance(event, Metric)}
    return {
        "hashes": hashes,
        "loading": loading[0] - idle[0],
        "rest": told["memory.cpu.rest"] - before,
        "denoise": told["memory.cpu.denoise"] - before,
        "seconds": seconds,
    }


def measured(folder: Path, offload: Offload) -> dict[str, Any]:
    """``one_way`` in a process of its own."""
    command = [sys.executable, __file__, "--way", offload, "--folder", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(ended.stderr[-2000:])
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def report(quick: bool) -> dict[str, Any]:
    """All ways, and whether the gate holds."""
    with tempfile.TemporaryDirectory() as folder:
        weights = build_twin(Path(folder), 3 if quick else 10)
        found = {offload: measured(Path(folder), offload) for offload in WAYS}
    whole = found[Offload.NONE]
    shares = {
        str(offload): {name: round(found[offload][name] / whole[name], 3) for name in ("loading", "rest", "denoise", "seconds")}
        for offload in WAYS[1:]
    }
    same = all(each["hashes"] == whole["hashes"] for each in found.values())
    return {
        "claim": "with its blocks in files a model makes the same clips to the bit in a third of the memory for its weights",
        "figure": shares,
        "gate": f"the same bits, and with blocks at rest at most {MOST_SHARE:.2f}",
        "pass": same and shares["blocks"]["rest"] <= MOST_SHARE,
        "same bits": same,
        "weights": weights,
        "bytes beyond the program": {str(offload): [int(each["rest"]), int(each["denoise"])] for offload, each in found.items()},
        "seconds": {str(offload): round(each["seconds"], 2) for offload, each in found.items()},
        "shape": "{width}x{height}x{num_frames}, {num_inference_steps} steps".format(**CLIP),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
    }


def main() -> None:
    """Print the report; exit 1 when the gate is missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--json", action="store_true")
    options.add_argument("--way", type=Offload, help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.way:
        print(json.dumps(one_way(given.folder, given.way)))
        return
    found = report(given.quick)
    print(json.dumps(found) if given.json else json.dumps(found, indent=2))
    sys.exit(0 if found["pass"] else 1)


if __name__ == "__main__":
    main()
