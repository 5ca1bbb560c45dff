"""How long clips take on this machine, told from those that were made on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from statistics import median

from pipelines.contract import Clip, GenerationRequest
from pipelines.optimize.memory import Work

_NEAREST = 8
_OTHER_EFFORT = 2.0
"""As far as clips that are 7 times larger: how much a forecast step saves is not known beforehand."""


@dataclass(frozen=True)
class Run:
    """What a finished clip took, in seconds, and the work that it was."""

    request: GenerationRequest
    work: Work
    denoise_s: float
    rest_s: float


def run_of(clip: str) -> Run | None:
    """The run that a clip's JSON tells of; ``None`` for edits, files, and clips whose denoising was kept from before."""
    made = Clip.model_validate({**json.loads(clip), "path": ""})
    denoise_s = made.stage_seconds.get("denoise", 0.0)
    if not isinstance(made.request, GenerationRequest) or not denoise_s:
        return None
    rest_s = sum(made.stage_seconds.values()) - denoise_s
    return Run(made.request, Work.of(made.request), denoise_s, max(0.0, rest_s))


def seconds_for(request: GenerationRequest, runs: Sequence[Run]) -> float | None:
    """What a complete ``request`` will probably take: the median of the most similar runs, each scaled to its work.

    Denoising grows with pixels, steps and branches, everything else with pixels. ``None`` without runs.
    """
    work = Work.of(request)
    steps = _steps(request, work)

    def distance(run: Run) -> float:
        apart = abs(log(steps / _steps(run.request, run.work))) + abs(log(work.pixels / run.work.pixels))
        return apart + _OTHER_EFFORT * (run.request.effort != request.effort)

    nearest = sorted(runs, key=distance)[:_NEAREST]
    if not nearest:
        return None
    return median(
        run.denoise_s * steps / _steps(run.request, run.work) + run.rest_s * work.pixels / run.work.pixels for run in nearest
    )


def _steps(request: GenerationRequest, work: Work) -> float:
    """Pixels that go through the model: those of every step and branch."""
    return float(work.pixels * work.branches * (request.num_inference_steps or 1))
