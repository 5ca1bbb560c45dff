"""The denoising loop for picture and sound together, as a generator that can be watched and closed at every step."""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from diffusers.pipelines.ltx2.pipeline_ltx2 import calculate_shift
from diffusers.utils.torch_utils import randn_tensor
from torch.nn.functional import pad

from pipelines.conditioning import Given, Kept
from pipelines.guidance import Branch, Guidance, Guide
from pipelines.models.ltx2.latents import Canvas, pack_audio, pack_video
from pipelines.models.ltx2.load import LTX2Model
from pipelines.optimize.blocks import Both
from pipelines.optimize.forecast import Forecast, Tolerance
from pipelines.passes import Ask, Latents, Passes, clean_together

Value = TypeVar("Value")
Asking = Generator[Ask, dict[Branch, Both], Value]
"""Work that asks for predictions on its way."""


@dataclass(frozen=True)
class DenoiseStep:
    """One finished step and what the clip would be if it ended here."""

    index: int
    total: int
    clean: Latents
    evaluations: int
    """Samples that went through the transformer so far."""


def noise(model: LTX2Model, canvas: Canvas, seed: int) -> Latents:
    """Gaussian latents of ``seed``, drawn on the CPU so that every device starts from the same ones; zeros for what is beside."""
    generator = torch.Generator().manual_seed(seed)
    bins = model.audio_vae.config.mel_bins // model.audio_vae.mel_compression_ratio
    video_shape = (1, model.transformer.config.in_channels, canvas.frames, canvas.height, canvas.width)
    audio_shape = (1, model.audio_vae.config.latent_channels, canvas.audio_frames, bins)
    video = randn_tensor(video_shape, generator=generator, device=model.device, dtype=torch.float32)
    audio = randn_tensor(audio_shape, generator=generator, device=model.device, dtype=torch.float32)
    return Latents(pad(pack_video(video), (0, 0, 0, canvas.video_tokens - canvas.cells)), pack_audio(audio))


def schedule(model: LTX2Model, video_tokens: int, *, steps: int, sigmas: Sequence[float] | None) -> Any:
    """A scheduler of our own, its sigmas set.

    Given ``sigmas`` are taken as they are: dynamic shifting would silently bend a distilled schedule.
    """
    if sigmas is not None:
        fixed = type(model.scheduler).from_config(
            model.scheduler.config, use_dynamic_shifting=False, shift_terminal=None, shift=1.0
        )
        fixed.set_timesteps(sigmas=list(sigmas), device=model.device)
        return fixed
    config = model.scheduler.config
    # Levels are stretched to the terminal one by the last one's distance from the first, which is nothing where there is but one.
    scheduler = type(model.scheduler).from_config(config, shift_terminal=None if steps == 1 else config.shift_terminal)
    mu = calculate_shift(video_tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu, device=model.device)
    return scheduler


class Predictor:
    """The guided clean-sample predictions of a run's steps; what ``tolerance`` allows is foretold instead of computed."""

    def __init__(self, guidance: Guidance, tolerance: Tolerance | None = None) -> None:
        self._guidance = guidance
        self._video, self._audio = Guide(self._guidance.method), Guide(self._guidance.method)
        every = (Branch.POSITIVE, *self._guidance.branches)
        self._forecasts = {branch: Forecast(tolerance) for branch in every} if tolerance else {}
        self.evaluations = 0
        """Samples that went through the transformer so far."""

    @torch.inference_mode()
    def at(self, now: Latents, timestep: torch.Tensor, sigma: torch.Tensor, following: torch.Tensor) -> Asking[Latents]:
        """The prediction at ``sigma``, from which the run steps to ``following``."""
        level, reach = float(sigma), float(1 - following / sigma)
        guidance = self._guidance.at(level)
        still = self._video.starts_still(level, guidance.video), self._audio.starts_still(level, guidance.audio)
        if all(still):
            return now
        positive, away = yield from self._predicted(now, timestep, sigma, _Reach(guidance, reach))
        video = self._video.guided(now.video_BND, positive[0], {branch: one for branch, (one, _) in away.items()}, guidance.video)
        audio = self._audio.guided(now.audio_BND, positive[1], {branch: one for branch, (_, one) in away.items()}, guidance.audio)
        return Latents(now.video_BND if still[0] else video, now.audio_BND if still[1] else audio)

    def _predicted(
        self, now: Latents, timestep: torch.Tensor, sigma: torch.Tensor, asked: _Reach
    ) -> Asking[tuple[Both, dict[Branch, Both]]]:
        """The positive prediction, and how far it is from the others.

        The positive prediction is foretold where all others are, too; else each branch's difference to it is foretold or
        computed by itself.
        """
        level, branches = float(sigma), asked.guidance.branches
        forecasts = {branch: each for branch, each in self._forecasts.items() if branch in (Branch.POSITIVE, *branches)}
        good = {branch for branch, each in forecasts.items() if each.is_good(level, asked.of(branch))}
        if good and len(good) == len(forecasts):
            told = {branch: each.at(level) for branch, each in forecasts.items()}
            return told.pop(Branch.POSITIVE), told
        clean = dict((yield Ask(now, timestep, sigma, frozenset(branches) - good)))
        self.evaluations += len(clean)
        positive = clean.pop(Branch.POSITIVE)
        away = {branch: (positive[0] - video, positive[1] - audio) for branch, (video, audio) in clean.items()}
        if forecasts:
            size = float(positive[0].std()), float(positive[1].std())
            for branch, value in {Branch.POSITIVE: positive, **away}.items():
                forecasts[branch].add(level, value, size)
        told = {branch: forecasts[branch].at(level) for branch in good - {Branch.POSITIVE}}
        return positive, {branch: (away | told)[branch] for branch in branches}


@dataclass(frozen=True)
class _Reach:
    """What guides a step, and how far the step goes towards what it predicts, as a share."""

    guidance: Guidance
    share: float

    def of(self, branch: Branch) -> float:
        """By how much an error of ``branch`` is multiplied on its way into the latents."""
        return self.share * max(1.0, self.guidance.video.weight(branch), self.guidance.audio.weight(branch))


@torch.inference_mode()
def _advance(scheduler: Any, index: int, sample: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    velocity = (sample - clean) / scheduler.sigmas[index]
    stepped: torch.Tensor = scheduler.step(velocity, scheduler.timesteps[index], sample, return_dict=False)[0]
    return stepped


def begun(scheduler: Any, noise: Latents, given: Given, change: float) -> tuple[int, Latents]:
    """Where a clip that may leave what is given of it by ``change``, 0..1, begins: the step, and the latents at its noise.

    At 1 that is the first step and pure ``noise``; below it is the first step whose noise is no more than ``change``, and what
    is given, noised that far (Meng et al. 2021, "SDEdit", arXiv:2108.01073). One step at least is always left.
    """
    if change >= 1:
        return 0, noise
    sigmas = [float(sigma) for sigma in scheduler.sigmas[:-1]]
    begin = next((index for index, sigma in enumerate(sigmas) if sigma <= change + 1e-6), len(sigmas) - 1)

    def at_noise(kept: Kept | None, fresh: torch.Tensor) -> torch.Tensor:
        return fresh if kept is None else torch.lerp(kept.clean_BND, fresh, sigmas[begin])

    return begin, Latents(at_noise(given.video, noise.video_BND), at_noise(given.audio, noise.audio_BND))


@dataclass(frozen=True)
class Course:
    """How one clip is denoised: from ``start``, which stands at the noise of step ``begin``, to clean packed latents.

    Without a ``tolerance`` for foretold predictions equal to ``LTX2Pipeline``, with a first frame to
    ``LTX2ImageToVideoPipeline`` and with references to ``LTX2InContextPipeline`` on the same weights.
    """

    passes: Passes
    start: Latents
    scheduler: Any
    begin: int = 0
    tolerance: Tolerance | None = None

    def steps(self) -> Generator[Ask | DenoiseStep, dict[Branch, Both] | None, Latents]:
        """Yields what it must know for its next step, to be sent its answer, and every finished step."""
        scheduler, begin, steering = self.scheduler, self.begin, self.passes.steering
        predictor = Predictor(steering.guidance, self.tolerance)
        audio_scheduler = copy.deepcopy(scheduler)  # each scheduler counts its own steps
        scheduler.set_begin_index(begin)
        audio_scheduler.set_begin_index(begin)
        now = Latents(_keep(steering.video, self.start.video_BND), _keep(steering.audio, self.start.audio_BND))
        total = len(scheduler.timesteps) - begin
        for index in range(begin, len(scheduler.timesteps)):
            clean = yield from predictor.at(now, scheduler.timesteps[index], scheduler.sigmas[index], scheduler.sigmas[index + 1])
            now = Latents(
                _keep(steering.video, _advance(scheduler, index, now.video_BND, clean.video_BND)),
                _keep(steering.audio, _advance(audio_scheduler, index, now.audio_BND, clean.audio_BND)),
            )
            yield DenoiseStep(index - begin + 1, total, clean.of(self.passes.canvas), predictor.evaluations)
        return now.of(self.passes.canvas)


def denoise(course: Course) -> Generator[DenoiseStep, None, Latents]:
    """The steps of one clip, and its clean latents; can be closed after every step."""
    steps = course.steps()
    answer = None
    while True:
        try:
            item = steps.send(answer)
        except StopIteration as finished:
            return finished.value
        answer = None
        if isinstance(item, Ask):
            answer = course.passes.clean(item)
        else:
            yield item


def denoise_together(courses: Mapping[str, Course]) -> Generator[tuple[str, DenoiseStep], bool | None, dict[str, Latents]]:
    """Several courses of one model and canvas, step by step in the same transformer calls, each as it would go alone.

    After each step it is sent whether its course is still wanted; one that is not (``False``) is left there and returns nothing.
    """
    going = {name: course.steps() for name, course in courses.items()}
    answers: dict[str, dict[Branch, Both] | None] = dict.fromkeys(going)
    done: dict[str, Latents] = {}
    while going:
        asked: dict[str, Ask] = {}
        for name, steps in list(going.items()):
            answer = answers[name]
            while name in going and name not in asked:
                try:
                    item = steps.send(answer)
                except StopIteration as finished:
                    done[name] = finished.value
                    del going[name]
                    break
                answer = None
                if isinstance(item, Ask):
                    asked[name] = item
                elif (yield name, item) is False:
                    del going[name]
        found = clean_together([(courses[name].passes, ask) for name, ask in asked.items()]) if asked else []
        answers = dict(zip(asked, found, strict=True))
    return done


def _keep(kept: Kept | None, tokens_BND: torch.Tensor) -> torch.Tensor:
    """``tokens_BND`` with what is kept put back to its clean values."""
    if kept is None:
        return tokens_BND
    mask = kept.mask_BN.unsqueeze(-1)
    return kept.clean_BND * mask + tokens_BND * (1 - mask)
