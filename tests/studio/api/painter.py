"""An engine for tests of what surrounds engines: it draws moving squares and a tone, and writes real clips within a second."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.clip_io import Origin, Sound, write_clip
from pipelines.contract import AnyRequest, Clip, Done, Event, GenerationRequest, Metric, Modality, OutOfMemory, Preview, Progress
from pipelines.optimize.memory import Evidence
from pipelines.registry import ModelCatalogue

SAMPLE_RATE = 16_000
STEP_S = 0.02


class Painter:
    """Takes ``STEP_S`` a step; the prompt 'too big' asks for more memory than there is."""

    def __init__(self, catalogue: ModelCatalogue, *, media_dir: Path, device: str = "auto", **kept: object) -> None:
        self._catalogue = catalogue
        self._media_dir = media_dir
        self._device = device

    def model(self, model_id: str) -> Any:
        """There is nothing to load; an unknown model is still an error."""
        return self._catalogue.get(model_id)

    def expect(self, requests: Sequence[GenerationRequest]) -> None:
        """It is ready at any time."""

    def remember(self, model_id: str, evidence: Evidence) -> None:
        """It takes hardly any memory."""

    def ahead(
        self, requests: Mapping[str, GenerationRequest], sources: Mapping[str, Path], is_wanted: Callable[[str], bool]
    ) -> Iterator[tuple[str, Event]]:
        """It draws everything by itself."""
        yield from ()

    def run(self, request: AnyRequest, path: Path, sources: Mapping[str, Path]) -> Iterator[Event]:
        """A clip of the asked size and length."""
        if request.prompt == "too big":
            raise OutOfMemory("the clip needs more memory than there is: make it smaller or shorter.", field="num_frames")
        assert request.num_inference_steps and request.num_frames and request.frame_rate and request.height and request.width
        started = time.perf_counter()
        for step in range(1, request.num_inference_steps + 1):
            time.sleep(STEP_S)
            yield Progress("denoise", step, request.num_inference_steps)
            yield Preview(_webp(_frames(request, 1)[0]), "image/webp")
        seconds = {"denoise": time.perf_counter() - started}
        yield Metric("seconds.denoise", seconds["denoise"])
        frames = None if request.modality == Modality.AUDIO else _frames(request, request.num_frames)
        sound = None if request.modality == Modality.VIDEO else _tone(request.num_frames / request.frame_rate)
        write_clip(path, frames, sound, Origin(request, "0" * 64, "test", self._images(request)))
        yield Done(_clip(request, path, seconds))

    def _images(self, request: AnyRequest) -> dict[str, bytes]:
        return {name: (self._media_dir / f"{name.removeprefix('sha256:')}.png").read_bytes() for name in request.images()}


def _frames(request: AnyRequest, count: int) -> np.ndarray:
    assert request.height and request.width and request.seed is not None
    frames = np.full((count, request.height, request.width, 3), 40, np.uint8)
    for index in range(count):
        left = (request.seed + index * 3) % (request.width - 16)
        frames[index, 20:36, left : left + 16] = (220, 60, 40)
    return frames


def _tone(duration_s: float) -> Sound:
    seconds = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    return Sound(0.2 * np.sin(2 * np.pi * 440 * seconds)[None].astype(np.float32), SAMPLE_RATE)


def _webp(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP")
    return buffer.getvalue()


def _clip(request: AnyRequest, path: Path, seconds: dict[str, float]) -> Clip:
    assert request.height and request.width and request.num_frames and request.frame_rate
    return Clip(
        path=path,
        request=request,
        model_sha256="0" * 64,
        code_version="test",
        height=request.height,
        width=request.width,
        num_frames=request.num_frames,
        frame_rate=request.frame_rate,
        duration_s=request.num_frames / request.frame_rate,
        has_video=request.modality != Modality.AUDIO,
        has_audio=request.modality != Modality.VIDEO,
        sample_rate=SAMPLE_RATE if request.modality != Modality.VIDEO else None,
        size_bytes=path.stat().st_size,
        stage_seconds=seconds,
        measurements={"brightness": 0.2, "picture.sharpness": float(request.seed or 0)},
    )
