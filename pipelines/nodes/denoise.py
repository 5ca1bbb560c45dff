"""Noise to the latents of a clip, picture and sound together."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from pipelines.contract import Effort, Event, GuidanceMethod, LoraUse, Metric, Preview, Progress
from pipelines.graph import Context, Node, Wire

# Looks, each a preview and its measures, come at these shares of the steps, from the third on only if all of them together
# stay below this share of the time so far.
_LOOK_AT = (0.08, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_LOOK_COST = 0.05


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
    effort: Effort = Effort.QUALITY
    guidance_method: GuidanceMethod = GuidanceMethod.PLAIN
    guidance_low: float = 0.0
    guidance_high: float = 1.0
    audio_guidance_low: float = 0.0
    audio_guidance_high: float = 1.0
    loras: tuple[LoraUse, ...] = ()
    start: Wire | None = None
    """What it begins from, where that is not what it is given and keeps."""
    change: float = 1.0
    """How far the clip may leave what it begins from, 0..1: below 1 it begins from that, only so far noised."""
    previews: bool = Field(True, exclude=True)
    """Not part of the signature: watching a run does not change it, nor does what it is compared with."""
    prompt: str = Field("", exclude=True)
    start_s: float = Field(0.0, exclude=True)
    """Where what is imagined begins in the clip that it belongs to."""
    steps_before: int = Field(0, exclude=True)
    steps_after: int = Field(0, exclude=True)
    """Steps of the clip's other stages, for its progress only."""

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns the clean packed ``Latents``; yields a step at a time, so that closing cancels within one."""
        from pipelines.sampling import denoise

        model = context.model(self.model)
        task = self.task(model, inputs)
        yield task.progress(0)
        with (
            self.stack(context, model) as stack,
            context.passes(model, task.canvas, task.steering, stack) as passes,
            closing(denoise(task.course(passes))) as steps,
        ):
            while True:
                try:
                    step = next(steps)
                except StopIteration as finished:
                    return finished.value
                stack.at(step.index / step.total)
                yield from task.seen(step)

    def task(self, model: Any, inputs: Mapping[str, Any], clips: int = 1) -> Task:
        """What there is to do, before its first step, where so many ``clips`` are denoised in the same time."""
        from pipelines.conditioning import Given
        from pipelines.models.ltx2.latents import Canvas
        from pipelines.passes import Steering
        from pipelines.sampling import begun, noise, schedule

        given = inputs.get("given") or Given()
        canvas = Canvas.of(model, height=self.height, width=self.width, num_frames=self.num_frames, frame_rate=self.frame_rate)
        canvas = replace(canvas, beside=given.beside)
        start = noise(model, canvas, self.seed)
        scheduler = schedule(model, start.video_BND.shape[1], steps=self.num_inference_steps, sigmas=self.sigmas)
        guidance = self._guidance(model.spec.stg_blocks)
        steering = Steering(inputs["positive"], inputs.get("negative"), given.video, given.audio, guidance)
        begin, start = begun(scheduler, start, inputs.get("start") or given, self.change)
        return Task(self, model, canvas, steering, start, scheduler, begin, _Looks(_LOOK_COST / clips) if self.previews else None)

    def stack(self, context: Context, model: Any) -> Any:
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

        video = Scales(
            self.guidance_scale, self.stg_scale, self.modality_scale, self.guidance_rescale, self.guidance_low, self.guidance_high
        )
        audio = Scales(
            self.audio_guidance_scale, self.audio_stg_scale, self.audio_modality_scale, self.audio_guidance_rescale,
            self.audio_guidance_low, self.audio_guidance_high,
        )  # fmt: skip
        return Guidance(video, audio, stg_blocks, self.guidance_method)


@dataclass(frozen=True)
class Task:
    """A denoising that is ready to begin, and what is told of it on its way."""

    node: Denoise
    model: Any
    canvas: Any
    steering: Any
    start: Any
    scheduler: Any
    begin: int
    looks: _Looks | None

    def course(self, passes: Any) -> Any:
        """Its steps, the transformer called through ``passes``."""
        from pipelines.optimize.forecast import EFFORTS
        from pipelines.sampling import Course

        return Course(passes, self.start, self.scheduler, self.begin, EFFORTS[self.node.effort])

    def progress(self, steps: int) -> Progress:
        """So many of its steps are done, among those of the clip's other stages."""
        before, after = self.node.steps_before, self.node.steps_after
        return Progress("denoise", before + steps, before + len(self.scheduler.timesteps) - self.begin + after)

    def seen(self, step: Any) -> Iterator[Progress | Preview | Metric]:
        """The progress after a step, and now and then a look at the picture so far."""
        yield self.progress(step.index)
        if self.looks is not None and self.looks.is_due(step.index / step.total):
            with self.looks.taken():
                look = self._look(step.clean)
            yield from look

    def _look(self, clean: Any) -> list[Preview | Metric]:
        """The picture so far and what can be told of it."""
        from pipelines.metrics.live import Live, words_at
        from pipelines.preview import glimpse, preview_of

        node = self.node
        frames, at = glimpse(self.model, clean.video_BND, self.canvas)
        words = words_at(node.prompt, node.start_s + at / node.frame_rate)
        live = Live(words, self.model.spec.vocabulary, node.frame_rate)
        return [preview_of(frames[-1]), *(Metric(name, value) for name, value in live.of(frames).items())]


class _Looks:
    """Decides when a look is worth its time; the first one, which may warm things up, is counted at the price of the others."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._began = time.perf_counter()
        self._taken = 0
        self._spent_s = 0.0
        self._price_s = math.inf

    def is_due(self, share: float) -> bool:
        """Whether the run, ``share`` of it done, has reached the next look and can afford it."""
        if self._taken == len(_LOOK_AT) or share >= 1 or share < _LOOK_AT[self._taken]:
            return False
        return self._taken < 2 or self._spent_s + 2 * self._price_s <= self._share * (time.perf_counter() - self._began)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Around a look."""
        started = time.perf_counter()
        yield
        if self._taken:
            cost_s = time.perf_counter() - started
            self._price_s = min(self._price_s, cost_s)
            self._spent_s += cost_s
        self._taken += 1
