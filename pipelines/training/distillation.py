"""Distillation into a few-step student: an adapter (LoRA) that makes one unguided step do what several guided ones did."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model
from pipelines.sampling import schedule
from pipelines.training.flow import Batch, Cells, mean_over, velocity
from pipelines.training.keeping import KEEPING_SHARE, draw_keep
from pipelines.training.lora_data import EncodedClips
from pipelines.training.lora_stage import AUDIO_WEIGHT, Adapter, LoraSettings, optimization_of
from pipelines.training.texts import EncodedTexts

_SUBSTEPS = 2
Texts = tuple[torch.Tensor, ...]


class DistillationStage:
    """One student step against ``_SUBSTEPS`` guided Euler steps of the teacher over the same stretch of noise.

    Progressive distillation (Salimans & Ho 2022, arXiv:2202.00512) of a guided teacher (Meng et al. 2023, arXiv:2210.03142)
    in velocity form; the student keeps the teacher's weights and learns an adapter (Hu et al. 2021, arXiv:2106.09685). The
    teacher is guided as the model's own defaults say.
    """

    name = "lora"

    def __init__(self, model: LTX2Model, clips: EncodedClips, canvas: Canvas, settings: LoraSettings) -> None:
        assert settings.few_steps is not None
        torch.manual_seed(settings.seed)
        self._base, self._clips, self._settings = model, clips, settings
        self.model = Adapter(model.transformer, settings)
        self.optimization = optimization_of(settings)
        self.rng = np.random.default_rng(settings.seed)
        self._texts = EncodedTexts(model)
        self._cells = Cells(canvas.frames, canvas.height, canvas.width, canvas.frame_rate)
        self._sigmas = student_sigmas(model, clips.video_KND.shape[1], settings.few_steps)
        self._layers = [layer for layer in model.transformer.modules() if isinstance(layer, BaseTunerLayer)]

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Mean squared difference of the student's velocity and the teacher's mean velocity, for both streams."""
        device, size, clips = self._base.device, self._settings.batch_size, self._clips
        rows = torch.from_numpy(self.rng.integers(0, len(clips.captions), size))
        step = torch.from_numpy(self.rng.integers(0, len(self._sigmas) - 1, size))
        start, end = self._sigmas[step].to(device), self._sigmas[step + 1].to(device)
        video, audio = clips.video_KND[rows].to(device), clips.audio_KLD[rows].to(device)
        keep = None
        if self.rng.random() < KEEPING_SHARE:
            keep = draw_keep(self._cells[:3], audio.shape[1], self.rng, size).to(device)
        noisy = Batch.noised(video, audio, start, keep)
        text, empty = self._texts.of(self._caption(int(row)) for row in rows), self._texts.of([""] * size)
        with torch.no_grad(), self._as_teacher():
            wanted = self._teach(noisy, (text, empty), start, end)
        made = self._velocity(noisy, text, start)
        kept = (keep.video_BN, keep.audio_BL) if keep else (None, None)
        errors = [
            mean_over((mine.float() - theirs).square(), part) for mine, theirs, part in zip(made, wanted, kept, strict=True)
        ]
        return {"loss": errors[0] + AUDIO_WEIGHT * errors[1], "video": errors[0], "audio": errors[1]}

    def _caption(self, row: int) -> str:
        captions = self._clips.captions[row]
        return captions[int(self.rng.integers(len(captions)))]

    @contextmanager
    def _as_teacher(self) -> Iterator[None]:
        """Within, the transformer is what it was before."""
        for layer in self._layers:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in self._layers:
                layer.enable_adapters(True)

    def _velocity(self, noisy: Batch, text: Texts, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        crossed = self._base.spec.use_cross_timestep
        return velocity(self._base.transformer, self._cells, noisy, text, sigma, use_cross_timestep=crossed)

    def _teach(
        self, noisy: Batch, texts: tuple[Texts, Texts], start: torch.Tensor, end: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The velocity that leads from ``noisy`` to where guided small steps end."""
        defaults, now = self._base.spec.defaults, noisy
        both = tuple(torch.cat(parts) for parts in zip(*texts, strict=True))
        for index in range(_SUBSTEPS):
            here = torch.lerp(start, end, index / _SUBSTEPS)
            there = torch.lerp(start, end, (index + 1) / _SUBSTEPS)
            video, audio = self._velocity(now.doubled(), both, here.repeat(2))
            guided = [
                free + scale * (told - free)
                for (told, free), scale in (
                    (video.float().chunk(2), defaults.guidance_scale),
                    (audio.float().chunk(2), defaults.audio_guidance_scale),
                )
            ]
            now = now.moved(guided[0], guided[1], (there - here)[:, None, None])
        span = (end - start)[:, None, None]
        return (now.video - noisy.video) / span, (now.audio - noisy.audio) / span


def student_sigmas(model: LTX2Model, video_tokens: int, steps: int) -> torch.Tensor:
    """The noise levels ``[steps + 1]`` that the model's own schedule gives a clip of so many tokens, 1 first, 0 last."""
    sigmas: torch.Tensor = schedule(model, video_tokens, steps=steps, sigmas=None).sigmas.float().cpu()
    assert math.isclose(float(sigmas[0]), 1.0, abs_tol=1e-4)
    return sigmas
