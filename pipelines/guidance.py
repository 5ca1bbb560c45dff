"""Guidance of two streams at once: which extra model evaluations a step needs and how they are combined.

Each guidance adds a delta to the clean-sample prediction ``x0`` (LTX-2's multi-modal guider, as in diffusers 0.42.1):
``x0 + (g-1)(x0-x0_negative) + s(x0-x0_perturbed) + (m-1)(x0-x0_isolated)``, then a standard-deviation rescale. A
``GuidanceMethod`` changes what stands for ``x0-x0_negative``; the two others are added as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

import torch
from torch.nn.functional import normalize

from pipelines.contract import GuidanceMethod

PROJECTED_MOMENTUM = -0.5
PROJECTED_NORM = 15 / 256
"""The greatest root mean square of a projected difference: Sadat et al.'s norm of 15 for SDXL's 4 x 128 x 128 latents."""


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
    """Strengths for one stream, in effect while the noise level is above ``low`` and at most ``high``.

    Off is: guidance 1, stg 0, modality 1, rescale 0. Source of the interval: Kynkäänniemi et al. 2024, arXiv:2404.07724.
    """

    guidance: float = 1.0
    stg: float = 0.0
    modality: float = 1.0
    rescale: float = 0.0
    low: float = 0.0
    high: float = 1.0

    def at(self, sigma: float) -> Scales:
        """What is in effect at noise level ``sigma``, 0..1."""
        return self if self.low < sigma <= self.high else Scales()

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
    method: GuidanceMethod = GuidanceMethod.PLAIN

    def at(self, sigma: float) -> Guidance:
        """What is in effect at noise level ``sigma``; a branch that neither stream wants there is not evaluated."""
        return replace(self, video=self.video.at(sigma), audio=self.audio.at(sigma))

    @property
    def needs_negative(self) -> bool:
        """Whether the negative prompt is evaluated."""
        return Branch.NEGATIVE in self.branches

    @property
    def branches(self) -> tuple[Branch, ...]:
        """What is evaluated beside the positive prompt: what has a weight above 0 in either stream."""
        others = (Branch.NEGATIVE, Branch.PERTURBED, Branch.ISOLATED)
        return tuple(branch for branch in others if max(self.video.weight(branch), self.audio.weight(branch)) > 0)


class Guide:
    """Combines the predictions of one stream over a run; ``projected`` remembers the differences of its steps."""

    def __init__(self, method: GuidanceMethod = GuidanceMethod.PLAIN) -> None:
        self._method = method
        self._momentum: torch.Tensor | None = None

    def guided(
        self, now_BND: torch.Tensor, positive_BND: torch.Tensor, away: Mapping[Branch, torch.Tensor], scales: Scales
    ) -> torch.Tensor:
        """The guided clean-sample prediction, ``[B, N, D]``, of the noisy tokens ``now_BND``.

        ``away`` is how far the positive prediction is from the others: ``x0 - x0_branch``.
        """
        guided = positive_BND
        for branch, difference in away.items():
            weight = scales.weight(branch)
            if weight != 0:
                steered = self._steered(now_BND, positive_BND, difference) if branch is Branch.NEGATIVE else difference
                guided = guided + weight * steered
        return rescale(guided, positive_BND, scales.rescale)

    def _steered(self, now: torch.Tensor, positive: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
        match self._method:
            case GuidanceMethod.PLAIN:
                return difference
            case GuidanceMethod.PROJECTED:
                self._momentum = difference if self._momentum is None else difference + PROJECTED_MOMENTUM * self._momentum
                return projected(self._momentum, positive)
            case GuidanceMethod.ZERO_STAR:
                return optimised(now, positive, difference)

    def starts_still(self, sigma: float, scales: Scales) -> bool:
        """Whether a step at ``sigma`` is left out: CFG-Zero* does not move pure noise, about which guidance is wrong."""
        return self._method is GuidanceMethod.ZERO_STAR and sigma >= 1 and scales.guidance > 1


def projected(difference: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """The part of ``difference`` across ``positive``, after its size was limited; what lies along it oversaturates.

    Adaptive projected guidance (Sadat et al. 2024, arXiv:2410.02416, algorithm 1) with ``eta`` 0; a norm over all but the batch.
    """
    axes = tuple(range(1, difference.ndim))
    norm = difference.norm(dim=axes, keepdim=True)
    limited = difference * (PROJECTED_NORM * math.sqrt(difference[0].numel()) / norm).clamp(max=1)
    along = normalize(positive.double(), dim=axes)  # type: ignore[arg-type]
    exact = limited.double()
    return (exact - (exact * along).sum(dim=axes, keepdim=True) * along).to(difference.dtype)


def optimised(now: torch.Tensor, positive: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
    """The difference to that multiple of the negative velocity which is nearest to the positive one.

    CFG-Zero* (Fan et al. 2025, arXiv:2503.18886, equation 9). Velocities are ``(now - x0) / sigma``; sigma cancels out.
    """
    axes = tuple(range(1, now.ndim))
    velocity, negative = now - positive, now - positive + difference
    scale = (velocity * negative).sum(axes, keepdim=True) / ((negative**2).sum(axes, keepdim=True) + 1e-8)
    return scale * negative - velocity


def rescale(guided: torch.Tensor, positive: torch.Tensor, strength: float) -> torch.Tensor:
    """Pull the standard deviation of ``guided`` back to that of ``positive`` (Lin et al. 2023, arXiv:2305.08891, 3.4)."""
    if strength == 0:
        return guided
    axes = tuple(range(1, guided.ndim))
    natural = guided * (positive.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True))
    return strength * natural + (1 - strength) * guided
