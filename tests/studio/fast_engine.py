"""An engine that really writes small clips, fast, and really crashes, hangs, stumbles or refuses when its prompt says so.

It has the seams of ``pipelines.engine.Engine`` and loads no torch, so that a test can start dozens of worker processes.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipelines.clip_io import Origin, Sound, write_clip
from pipelines.contract import (
    Clip,
    Done,
    Event,
    GenerationRequest,
    InvalidRequest,
    Metric,
    Modality,
    OutOfMemory,
    Preview,
    Progress,
)
from pipelines.optimize.memory import Evidence
from pipelines.registry import ModelCatalogue

SAMPLE_RATE = 16_000
STEP_S = 0.01
SLOW_STEP_S = 0.1
DOWNLOAD_S = 60


class FastEngine:
    """Noise for a picture and a tone for a sound; 10 ms a step, 100 ms when the prompt says ``slowly``."""

    def __init__(self, catalogue: ModelCatalogue, *, media_dir: Path, device: str = "auto", **kept: object) -> None:
        self._media_dir = media_dir
        self._begun: set[tuple[str, int | None]] = set()

    def model(self, model_id: str) -> None:
        """There is nothing to load."""

    def expect(self, requests: Sequence[GenerationRequest]) -> None:
        """Notes what it was told beside the images."""
        self._note("expected", [request.prompt for request in requests])

    def remember(self, model_id: str, evidence: Evidence) -> None:
        """Notes of which model, and how many runs."""
        self._note("remembered", [model_id, len(evidence.runs)])

    def _note(self, what: str, told: list[object]) -> None:
        if not (self._media_dir.parent / "studio.db").exists():
            return  # a run without a studio leaves nothing
        self._media_dir.mkdir(parents=True, exist_ok=True)
        with (self._media_dir / f"{what}.jsonl").open("a", encoding="utf-8") as notes:
            notes.write(json.dumps(told) + "\n")

    def ahead(
        self, requests: Mapping[str, GenerationRequest], sources: Mapping[str, Path], is_wanted: Callable[[str], bool]
    ) -> Generator[tuple[str, Event], None, None]:
        """The steps of all, each taken once for all of them."""
        going = dict(requests)
        steps = next(iter(requests.values())).num_inference_steps
        for step in range(1, steps + 1):
            time.sleep(SLOW_STEP_S if any("slowly" in request.prompt for request in going.values()) else STEP_S)
            for ticket, request in list(going.items()):
                yield ticket, Progress("denoise", step, steps)
                yield ticket, Preview(b"preview %d" % step, "image/webp")
                if step == 2 and "apart" not in request.prompt:
                    _misbehave(request.prompt.split())
                if not is_wanted(ticket):
                    del going[ticket]
        for ticket, request in going.items():
            self._begun.add((request.prompt, request.seed))
            yield ticket, Metric("seconds.denoise", steps * STEP_S / len(going))
            yield ticket, Metric("batch.size", float(len(going)))

    def run(
        self, request: GenerationRequest, path: Path, sources: Mapping[str, Path] | None = None
    ) -> Generator[Event, None, None]:
        words = request.prompt.split()
        if "download" in words:
            time.sleep(DOWNLOAD_S)  # knows no steps, so nobody looks whether it is still wanted
        yield Progress("encode", 0, 1)
        yield Progress("encode", 1, 1)
        steps = 0 if (request.prompt, request.seed) in self._begun else request.num_inference_steps
        yield Progress("denoise", 0, steps)
        for step in range(1, steps + 1):
            time.sleep(SLOW_STEP_S if "slowly" in words else STEP_S)
            yield Progress("denoise", step, steps)
            yield Preview(b"preview %d" % step, "image/webp")
            if step == 2:
                _misbehave(words)
        if steps:
            yield Metric("seconds.denoise", steps * STEP_S)
        yield Progress("write", 0, 1)
        _write(request, path)
        yield Progress("write", 1, 1)
        yield Done(_clip(request, path))


def _misbehave(words: list[str]) -> None:
    if "crash" in words:
        os.kill(os.getpid(), signal.SIGKILL)
    if "hang" in words:
        os.kill(os.getpid(), signal.SIGSTOP)
    if "stumble" in words:
        raise ValueError("a bug")
    if "refuse" in words:
        raise InvalidRequest("first_frame cannot be read: upload the image again.", field="first_frame")
    if "starve" in words:
        raise OutOfMemory("too large: make the clip smaller.", field="num_frames")


def _write(request: GenerationRequest, path: Path) -> None:
    chance = np.random.default_rng(request.seed)
    frames = chance.integers(0, 255, (request.num_frames, request.height, request.width, 3), np.uint8)
    moments = np.arange(round(request.duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    sound = Sound(0.3 * np.sin(2 * np.pi * 440 * moments)[None].astype(np.float32), SAMPLE_RATE)
    has_video, has_audio = request.modality != Modality.AUDIO, request.modality != Modality.VIDEO
    write_clip(path, frames if has_video else None, sound if has_audio else None, Origin(request, "0" * 64, "test"))


def _clip(request: GenerationRequest, path: Path) -> Clip:
    return Clip(
        path=path,
        request=request,
        model_sha256="0" * 64,
        code_version="test",
        height=request.height,
        width=request.width,
        num_frames=request.num_frames,
        frame_rate=request.frame_rate,
        duration_s=request.duration_s,
        has_video=request.modality != Modality.AUDIO,
        has_audio=request.modality != Modality.VIDEO,
        sample_rate=SAMPLE_RATE,
        size_bytes=path.stat().st_size,
        stage_seconds={"denoise": 0.1},
        measurements={"loudness_dbfs": -13.5},
    )


class DiesLoading(FastEngine):
    """The model takes the process with it, as one that is too large for the machine does."""

    def model(self, model_id: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
