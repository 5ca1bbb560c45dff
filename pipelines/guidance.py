"""Guidance of two streams at once: which extra model evaluations a step needs and how they are combined.

Each guidance adds a delta to the clean-sample prediction ``x0`` (LTX-2's multi-modal guider, as in diffusers 0.42.1):
``x0 + (g-1)(x0-x0_negative) + s(x0-x0_perturbed) + (m-1)(x0-x0_isolated)``, then a standard-deviation rescale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import torch


class Branch(Enum):
    """One of the predictions that a step is made of."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    """Under the negative prompt."""
    PERTURBED = "perturbed"
    """With perturbed self-attention (STG)."""
    ISOLATED = "isolated"
    """With streams that do not hear each other."""


@dataclass(frozen=True)
class Scales:
    """Strengths for one stream. Off is: guidance 1, stg 0, modality 1, rescale 0."""

    guidance: float = 1.0
    stg: float = 0.0
    modality: float = 1.0
    rescale: float = 0.0

    def weight(self, branch: Branch) -> float:
        """What the difference between the positive prediction and that of ``branch`` is multiplied with."""
        match branch:
            case Branch.NEGATIVE:
                return self.guidance - 1
            case Branch.PERTURBED:
                return self.stg
            case Branch.ISOLATED:
                return self.modality - 1
            case Branch.POSITIVE:
                return 1.0


@dataclass(frozen=True)
class Guidance:
    """Strengths for picture and sound, and the blocks that spatio-temporal guidance (STG) perturbs."""

    video: Scales = field(default_factory=Scales)
    audio: Scales = field(default_factory=Scales)
    stg_blocks: tuple[int, ...] = ()

    @property
    def needs_negative(self) -> bool:
        """Whether the negative prompt is evaluated."""
        return Branch.NEGATIVE in self.branches

    @property
    def branches(self) -> tuple[Branch, ...]:
        """What is evaluated beside the positive prompt: what has a weight above 0 in either stream."""
        others = (Branch.NEGATIVE, Branch.PERTURBED, Branch.ISOLATED)
        return tuple(branch for branch in others if max(self.video.weight(branch), self.audio.weight(branch)) > 0)


def guide(positive_BND: torch.Tensor, away: Mapping[Branch, torch.Tensor], scales: Scales) -> torch.Tensor:
    """The guided clean-sample prediction of one stream, ``[B, N, D]``, from how far the positive one is ``away`` from others."""
    guided = positive_BND
    for branch, difference in away.items():
        guided = guided + scales.weight(branch) * difference
    return rescale(guided, positive_BND, scales.rescale)


def rescale(guided: torch.Tensor, positive: torch.Tensor, strength: float) -> torch.Tensor:
    """Pull the standard deviation of ``guided`` back to that of ``positive`` (Lin et al. 2023, arXiv:2305.08891, 3.4)."""
    if strength == 0:
        return guided
    axes = tuple(range(1, guided.ndim))
    natural = guided * (positive.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True))
    return strength * natural + (1 - strength) * guided
