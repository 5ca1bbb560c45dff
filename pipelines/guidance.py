"""Guidance of two streams at once: which extra model evaluations a step needs and how they are combined.

Each guidance adds a delta to the clean-sample prediction ``x0`` (LTX-2's multi-modal guider, as in diffusers 0.42.1):
``x0 + (g-1)(x0-x0_negative) + s(x0-x0_perturbed) + (m-1)(x0-x0_isolated)``, then a standard-deviation rescale.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Scales:
    """Strengths for one stream. Off is: guidance 1, stg 0, modality 1, rescale 0."""

    guidance: float = 1.0
    stg: float = 0.0
    modality: float = 1.0
    rescale: float = 0.0


@dataclass(frozen=True)
class Guidance:
    """Strengths for picture and sound, and the blocks that spatio-temporal guidance (STG) perturbs."""

    video: Scales = field(default_factory=Scales)
    audio: Scales = field(default_factory=Scales)
    stg_blocks: tuple[int, ...] = ()

    @property
    def needs_negative(self) -> bool:
        """Whether the negative prompt is evaluated."""
        return self.video.guidance > 1 or self.audio.guidance > 1

    @property
    def needs_perturbed(self) -> bool:
        """Whether the pass with perturbed self-attention is evaluated."""
        return self.video.stg > 0 or self.audio.stg > 0

    @property
    def needs_isolated(self) -> bool:
        """Whether the pass in which the streams do not hear each other is evaluated."""
        return self.video.modality > 1 or self.audio.modality > 1


@dataclass(frozen=True)
class Predictions:
    """Clean-sample predictions of one stream, ``[B, N, D]``; an evaluation that was not needed is ``None``."""

    positive: torch.Tensor
    negative: torch.Tensor | None = None
    perturbed: torch.Tensor | None = None
    isolated: torch.Tensor | None = None


def guide(x0: Predictions, scales: Scales) -> torch.Tensor:
    """The guided clean-sample prediction of one stream, ``[B, N, D]``."""
    guided = x0.positive
    if x0.negative is not None:
        guided = guided + (scales.guidance - 1) * (x0.positive - x0.negative)
    if x0.perturbed is not None:
        guided = guided + scales.stg * (x0.positive - x0.perturbed)
    if x0.isolated is not None:
        guided = guided + (scales.modality - 1) * (x0.positive - x0.isolated)
    return rescale(guided, x0.positive, scales.rescale)


def rescale(guided: torch.Tensor, positive: torch.Tensor, strength: float) -> torch.Tensor:
    """Pull the standard deviation of ``guided`` back to that of ``positive`` (Lin et al. 2023, arXiv:2305.08891, 3.4)."""
    if strength == 0:
        return guided
    axes = tuple(range(1, guided.ndim))
    natural = guided * (positive.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True))
    return strength * natural + (1 - strength) * guided
