"""Noise to the latents of a clip, picture and sound together."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

from pydantic import Field

from pipelines.contract import Event, Progress
from pipelines.graph import Context, Node, Wire

# A preview may take at most this share of the time that the steps before it took.
_PREVIEW_SHARE = 0.12


class Denoise(Node):
    """The whole denoising of one clip; scales as in ``GenerationRequest``."""

    model: str
    weights: str
    positive: Wire
    negative: Wire | None
    first_frame: Wire | None
    height: int
    width: int
    num_frames: int
    frame_rate: float
    seed: int
    num_inference_steps: int
    sigmas: tuple[float, ...] | None
    guidance_scale: float
    audio_guidance_scale: float
    stg_scale: float
    audio_stg_scale: float
    modality_scale: float
    audio_modality_scale: float
    guidance_rescale: float
    audio_guidance_rescale: float
    previews: bool = Field(True, exclude=True)
    """Not part of the signature: watching a run does not change it."""

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns the clean packed ``Latents``; yields a step at a time, so that closing cancels within one."""
        from pipelines.models.ltx2.latents import Canvas
        from pipelines.preview import render_preview
        from pipelines.sampling import Steering, denoise, noise, schedule

        model = context.model(self.model)
        canvas = Canvas.of(model, height=self.height, width=self.width, num_frames=self.num_frames, frame_rate=self.frame_rate)
        start = noise(model, canvas, self.seed)
        scheduler = schedule(model, start.video_BND.shape[1], steps=self.num_inference_steps, sigmas=self.sigmas)
        steering = Steering(
            inputs["positive"], inputs.get("negative"), inputs.get("first_frame"), self._guidance(model.spec.stg_blocks)
        )
        yield Progress("denoise", 0, len(scheduler.timesteps))
        preview_s, since = 0.0, time.perf_counter()
        with closing(denoise(model, canvas, start, steering, scheduler)) as steps:
            while True:
                try:
                    step = next(steps)
                except StopIteration as finished:
                    return finished.value
                yield Progress("denoise", step.index, step.total)
                started = time.perf_counter()
                if self.previews and step.index < step.total and preview_s <= _PREVIEW_SHARE * (started - since):
                    yield render_preview(model, step.clean.video_BND, canvas)
                    since = time.perf_counter()
                    preview_s = since - started

    def _guidance(self, stg_blocks: tuple[int, ...]) -> Any:
        from pipelines.guidance import Guidance, Scales

        video = Scales(self.guidance_scale, self.stg_scale, self.modality_scale, self.guidance_rescale)
        audio = Scales(self.audio_guidance_scale, self.audio_stg_scale, self.audio_modality_scale, self.audio_guidance_rescale)
        return Guidance(video, audio, stg_blocks)
