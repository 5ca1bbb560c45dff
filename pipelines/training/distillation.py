"""Distillation into a few-step student: an adapter (LoRA) that makes one unguided step do what several guided ones did."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.pipelines.ltx2.pipeline_ltx2 import calculate_shift
from peft import LoraConfig
from torch import nn

from pipelines.training.keeping import draw_keep
from pipelines.training.recipes import Optimization, Recipe, build_scheduler
from pipelines.training.tokenizer import build_tokenizer
from pipelines.training.transformer import KEEPING_SHARE, Batch, Denoiser, TrainingSet, encode_texts, mean_over, velocity
from pipelines.world.captions import caption

STEPS = 6
"""How many steps the student takes for a clip."""
_SUBSTEPS = 2
_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "net.0.proj", "net.2"]


@dataclass(frozen=True)
class Guide:
    """The guidance scales that the student learns to do without."""

    video: float = 3.0
    audio: float = 3.0


class Student(nn.Module):
    """A trained ``Denoiser`` with an adapter on its transformer; only the adapter is trained."""

    def __init__(self, denoiser: Denoiser, rank: int) -> None:
        super().__init__()
        self.denoiser = denoiser.requires_grad_(False)
        self.denoiser.transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=_TARGETS))

    @contextmanager
    def as_teacher(self) -> Iterator[None]:
        """Within, the transformer is what it was before."""
        self.denoiser.transformer.disable_adapters()
        try:
            yield
        finally:
            self.denoiser.transformer.enable_adapters()


class DistillationStage:
    """One student step against ``_SUBSTEPS`` guided Euler steps of the teacher over the same stretch of noise.

    Progressive distillation (Salimans & Ho 2022, arXiv:2202.00512) of a guided teacher (Meng et al. 2023, arXiv:2210.03142)
    in velocity form; the student keeps the teacher's weights and learns an adapter (Hu et al. 2021, arXiv:2106.09685).
    """

    name = "distillation"

    def __init__(self, model: Student, recipe: Recipe, data: TrainingSet, *, seed: int) -> None:
        self.model, self._recipe, self._data = model, recipe, data
        self.optimization: Optimization = recipe.distillation
        self._tokenizer = build_tokenizer(recipe.prompt_tokens)
        self._guide = Guide()
        self.rng = np.random.default_rng(seed)
        self._sigmas = student_sigmas(data.video_KND.shape[1])

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Mean squared difference of the student's velocity and the teacher's mean velocity, for both streams."""
        recipe, device = self._recipe, self._data.video_KND.device
        size = self.optimization.batch_size
        rows = torch.from_numpy(self.rng.integers(0, len(self._data.scenes), size)).to(device)
        step = torch.from_numpy(self.rng.integers(0, STEPS, size)).to(device)
        start, end = self._sigmas.to(device)[step], self._sigmas.to(device)[step + 1]
        words = [caption(self._data.scenes[int(row)], self.rng) for row in rows]
        video, audio = self._data.video_KND[rows], self._data.audio_KND[rows]
        keep = draw_keep(recipe, self.rng, size, device) if self.rng.random() < KEEPING_SHARE else None
        noisy = Batch.noised(video, audio, start, keep)
        with torch.no_grad():
            text = encode_texts(self.model.denoiser, self._tokenizer, words, recipe.prompt_tokens)
            empty = encode_texts(self.model.denoiser, self._tokenizer, [""] * size, recipe.prompt_tokens)
            with self.model.as_teacher():
                wanted = self._teach(noisy, (text, empty), start, end)
        made = velocity(self.model.denoiser, recipe, noisy, text, start)
        kept = (keep.video_BN, keep.audio_BL) if keep else (None, None)
        errors = [mean_over((mine - theirs).square(), part) for mine, theirs, part in zip(made, wanted, kept, strict=True)]
        return {"loss": errors[0] + 0.5 * errors[1], "video": errors[0], "audio": errors[1]}

    def _teach(
        self,
        noisy: Batch,
        texts: tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]],
        start: torch.Tensor,
        end: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The velocity that leads from ``noisy`` to where guided small steps end."""
        now, recipe, denoiser = noisy, self._recipe, self.model.denoiser
        both = [torch.cat(parts) for parts in zip(*texts, strict=True)]
        for index in range(_SUBSTEPS):
            here = torch.lerp(start, end, index / _SUBSTEPS)
            there = torch.lerp(start, end, (index + 1) / _SUBSTEPS)
            video, audio = velocity(denoiser, recipe, now.doubled(), tuple(both), here.repeat(2))
            guided = [
                free + scale * (told - free)
                for (told, free), scale in (
                    (video.chunk(2), self._guide.video),
                    (audio.chunk(2), self._guide.audio),
                )
            ]
            now = now.moved(guided[0], guided[1], (there - here)[:, None, None])
        span = (end - start)[:, None, None]
        return (now.video - noisy.video) / span, (now.audio - noisy.audio) / span


def student_sigmas(video_tokens: int) -> torch.Tensor:
    """The noise levels ``[STEPS + 1]`` that the released scheduler gives a clip of so many tokens, 1 first, 0 last."""
    scheduler = build_scheduler()
    config = scheduler.config
    mu = calculate_shift(video_tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / STEPS, STEPS), mu=mu)
    assert math.isclose(float(scheduler.sigmas[0]), 1.0, abs_tol=1e-4)
    sigmas: torch.Tensor = scheduler.sigmas.float()
    return sigmas
