"""Noise to the latents of a clip, picture and sound together."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

from pydantic import Field

from pipelines.contract import Event, LoraUse, Progress
from pipelines.graph import Context, Node, Wire

# Previews come at these shares of the steps, each only if all of them together stay below this share of the time so far.
_PREVIEW_AT = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)
_PREVIEW_COST = 0.03


class Denoise(Node):
    """The whole denoising of one clip; scales as in ``GenerationRequest``."""

    model: str
    weights: str
    positive: Wire
    negative: Wire | None
    given: Wire | None
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
    loras: tuple[LoraUse, ...] = ()
    change: float = 1.0
    """How far the clip may leave what is given of it, 0..1: below 1 it begins from that, only so far noised."""
    previews: bool = Field(True, exclude=True)
    """Not part of the signature: watching a run does not change it."""

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns the clean packed ``Latents``; yields a step at a time, so that closing cancels within one."""
        from pipelines.conditioning import Given
        from pipelines.models.ltx2.latents import Canvas
        from pipelines.preview import render_preview
        from pipelines.sampling import Steering, begun, denoise, noise, schedule

        model = context.model(self.model)
        canvas = Canvas.of(model, height=self.height, width=self.width, num_frames=self.num_frames, frame_rate=self.frame_rate)
        start = noise(model, canvas, self.seed)
        scheduler = schedule(model, start.video_BND.shape[1], steps=self.num_inference_steps, sigmas=self.sigmas)
        given = inputs.get("given") or Given()
        guidance = self._guidance(model.spec.stg_blocks)
        steering = Steering(inputs["positive"], inputs.get("negative"), given.video, given.audio, guidance)
        begin, start = begun(scheduler, start, given, self.change)
        total = len(scheduler.timesteps) - begin
        yield Progress("denoise", 0, total)
        looks = _Looks() if self.previews else None
        steps = denoise(model, canvas, start, steering, scheduler, begin=begin)
        with self._stack(context, model) as stack, closing(steps):
            while True:
                try:
                    step = next(steps)
                except StopIteration as finished:
                    return finished.value
                stack.at(step.index / step.total)
                yield Progress("denoise", step.index, step.total)
                if looks is not None and looks.is_due(step.index / step.total):
                    with looks.taken():
                        preview = render_preview(model, step.clean.video_BND, canvas)
                    yield preview

    def _stack(self, context: Context, model: Any) -> Any:
        """The LoRAs on the transformer for as long as the context lasts."""
        from pipelines.lora.file import read_lora
        from pipelines.lora.stack import LoraStack, Strength, linear_layers_of

        modules = linear_layers_of(model.transformer) if self.loras else {}
        stack = [
            (
                read_lora(context.source_path(use.lora), modules),
                Strength(use.weight * use.video, use.weight * use.audio, use.start, use.end),
            )
            for use in self.loras
        ]
        return LoraStack(model.transformer, stack).on()

    def _guidance(self, stg_blocks: tuple[int, ...]) -> Any:
        from pipelines.guidance import Guidance, Scales

        video = Scales(self.guidance_scale, self.stg_scale, self.modality_scale, self.guidance_rescale)
        audio = Scales(self.audio_guidance_scale, self.audio_stg_scale, self.audio_modality_scale, self.audio_guidance_rescale)
        return Guidance(video, audio, stg_blocks)


class _Looks:
    """Decides when a preview is worth its time; the first one, which may warm things up, sets no price."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._taken = 0
        self._spent_s = 0.0
        self._price_s = math.inf

    def is_due(self, share: float) -> bool:
        """Whether the run, ``share`` of it done, has reached the next look and can afford it."""
        if self._taken == len(_PREVIEW_AT) or share >= 1 or share < _PREVIEW_AT[self._taken]:
            return False
        return self._taken < 2 or self._spent_s + self._price_s <= _PREVIEW_COST * (time.perf_counter() - self._began)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Around the making of a preview."""
        started = time.perf_counter()
        yield
        cost_s = time.perf_counter() - started
        self._price_s = min(self._price_s, cost_s)
        self._spent_s += cost_s if self._taken else 0.0
        self._taken += 1
