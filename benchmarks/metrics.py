"""Claim: the quality card costs little, finds by how much any sound is late, and is not taken in by another clip's soundtrack.

``python benchmarks/metrics.py [--quick] [--json]``: rendered clips of the world (a third each impacts, dances and speech) whose
sound is moved by a known number of frames, and again with another clip's sound. Figures: CPU seconds of a card at 128x128, the
median absolute error of offsets that are called sure, and the share of foreign soundtracks that are called "no sync".
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import pipelines  # noqa: F401, I001  before torch: it settles how threads wait
import numpy as np

from pipelines.clip_io import Media, Sound
from pipelines.contract import GenerationRequest
from pipelines.metrics.card import quality_card
from pipelines.metrics.catalogue import CONFIDENT
from pipelines.metrics.selection import kind_of
from pipelines.registry import ModelCatalogue
from pipelines.world import WorldClip, make_clip
from pipelines.world.captions import caption
from pipelines.world.scene import Scene, draw

RATE, SAMPLE_RATE = 12.0, 16_000
KINDS, SHIFTS = ("impact", "dance", "speech"), (-3, -2, 0, 2, 3)
GATES = {"card_cpu_s": 0.4, "median_offset_error_ms": 42.0, "foreign_called_no_sync": 0.8}


def rendered(count: int) -> list[tuple[Scene, WorldClip]]:
    """``count`` clips, as many of each kind, in turn."""
    rng, found = np.random.default_rng(20), {kind: [] for kind in KINDS}
    while any(len(scenes) < count // len(KINDS) for scenes in found.values()):
        scene = draw(rng)
        if len(found.get(kind_of(scene), [None] * count)) < count // len(KINDS):
            found[kind_of(scene)].append(scene)
    return [(scene, make_clip(scene, size=128)) for kind in KINDS for scene in found[kind]]


def later(waveform: np.ndarray, frames: int) -> np.ndarray:
    """The sound so many frames later (below 0: earlier), silence where nothing is left."""
    count = round(frames / RATE * SAMPLE_RATE)
    return np.pad(waveform, (count, 0))[: len(waveform)] if count >= 0 else np.pad(waveform[-count:], (0, -count))


def measure(clips: list[tuple[Scene, WorldClip]], *, with_words: bool) -> dict[str, Any]:
    """Figures over ``clips``; ``with_words`` lets the readers help, as for a model with a vocabulary."""
    spec = ModelCatalogue.with_folders({}).get("pocket") if with_words else None
    errors, sure, foreign, seconds = [], 0, [], []
    for index, (scene, clip) in enumerate(clips):
        request = GenerationRequest(prompt=caption(scene)) if with_words else None
        same = [other for other, (its, _) in enumerate(clips) if other != index and kind_of(its) == kind_of(scene)]
        shift = SHIFTS[index % len(SHIFTS)]
        for waveform, is_own in ((later(clip.waveform, shift), True), (clips[same[index % len(same)]][1].waveform, False)):
            started = time.process_time()
            found = quality_card(Media(clip.frames, Sound(waveform[None], SAMPLE_RATE), RATE), request, spec).measurements
            seconds.append(time.process_time() - started)
            is_sure = found.get("sync.confidence", 0.0) >= CONFIDENT
            if not is_own:
                foreign.append(not is_sure)
            elif is_sure:
                sure += 1
                errors.append(abs(found["sync.offset_ms"] - 1000 * shift / RATE))
    return {
        "card_cpu_s": round(float(np.median(seconds)), 3),
        "median_offset_error_ms": round(float(np.median(errors)), 1) if errors else None,
        "own_called_sure": round(sure / len(clips), 3),
        "foreign_called_no_sync": round(float(np.mean(foreign)), 3),
    }


def main() -> int:
    """Print the figures; 1 when one misses its gate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clips = rendered(15 if options.quick else 60)
    figures = {"any video": measure(clips, with_words=False), "with a vocabulary": measure(clips, with_words=True)}
    passed = all(
        each["card_cpu_s"] <= GATES["card_cpu_s"]
        and each["median_offset_error_ms"] is not None
        and each["median_offset_error_ms"] <= GATES["median_offset_error_ms"]
        and each["foreign_called_no_sync"] >= GATES["foreign_called_no_sync"]
        for each in figures.values()
    )
    answer = {
        "claim": "the card is cheap, finds offsets and is not taken in by another soundtrack",
        "figure": figures,
        "gate": GATES,
        "pass": passed,
        "baseline": "the known shift; the sounds of other clips of the same kind",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, OMP threads {os.environ.get('OMP_NUM_THREADS', 'unset')}",
        "shape": f"{len(clips)} clips of 128x128, 25 frames at 12 a second, moved by {SHIFTS} frames in turn",
    }
    print(json.dumps(answer) if options.json else "\n".join(f"{name}: {value}" for name, value in answer.items()))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
