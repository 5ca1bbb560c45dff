"""The training loop: a budget of time or steps, averaged weights, checkpoints that a later run continues from exactly."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from pipelines.training.machine import has_bfloat16
from pipelines.training.muon import Muon
from pipelines.training.recipes import Optimization


class Stage(Protocol):
    """What a stage of training provides; all its chance comes from ``rng`` and torch's own generators."""

    name: str
    optimization: Optimization
    rng: np.random.Generator

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """The named losses of one fresh batch, ``"loss"`` the one to minimise; ``share`` is how much of the budget is spent."""


@dataclass(frozen=True)
class Budget:
    """How much work a stage may do over all its runs, whichever ends first; it logs and saves every so many seconds."""

    minutes: float = math.inf
    steps: float = math.inf
    log_s: float = 30.0
    save_s: float = 180.0

    def spent(self, spent_s: float, steps: int) -> float:
        """The share of the budget that is used up: 1 or more is the end."""
        return max(spent_s / 60 / self.minutes, steps / self.steps)


@dataclass(frozen=True)
class Logged:
    """One line of a run's log."""

    stage: str
    minutes: float
    steps: int
    losses: dict[str, float]


class _Optimizers:
    """Muon for the matrices and kernels inside a network, AdamW for everything else: vectors, first and last layers."""

    def __init__(self, model: nn.Module, settings: Optimization, *, use_muon: bool) -> None:
        matrices = [p for name, p in model.named_parameters() if use_muon and _is_hidden_matrix(name, p)]
        chosen = {id(p) for p in matrices}
        rest = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen]
        self.all: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay, fused=True)
        ]
        if matrices:
            self.all.append(Muon(matrices, lr=settings.learning_rate, weight_decay=settings.weight_decay))
        self._peak = settings.learning_rate

    def step(self, scale: float) -> None:
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = self._peak * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def _is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    is_kernel = parameter.ndim == 5 and not name.endswith(("conv_in.conv.weight", "conv_out.conv.weight"))
    is_matrix = parameter.ndim == 2 and "blocks." in name and "table" not in name
    return parameter.requires_grad and (is_kernel or is_matrix)


def rate(share: float, steps: int, settings: Optimization) -> float:
    """The learning rate's factor: linear warm-up, level until half of the budget, then a cosine down to 2 %."""
    warm = min(1.0, (steps + 1) / settings.warmup_steps)
    fall = max(0.0, (min(share, 1.0) - 0.5) / 0.5)
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * fall)))


def train(stage: Stage, folder: Path, budget: Budget, *, resume: bool, use_muon: bool = False) -> Iterator[Logged]:
    """Train ``stage`` until its budget is spent in all runs; yields a log line now and then, and at the end.

    The averaged weights end in ``stage.model``; checkpoints are ``<folder>/<stage>.pt``. A run that was stopped and
    resumed makes the same weights as one that was not, as far as the budget is in steps. Each line is also added to
    ``<folder>/<stage>.log.jsonl``, from which loss curves are drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{stage.name}.pt"
    model = stage.model
    optimizers = _Optimizers(model, stage.optimization, use_muon=use_muon)
    run = _Run(stage, optimizers, copy.deepcopy(model).eval().requires_grad_(False))
    if resume and checkpoint.exists():
        run.load(checkpoint)
    last = time.monotonic()
    logged_s = saved_s = run.spent_s
    model.train()
    while (share := budget.spent(run.spent_s, run.steps)) < 1:
        losses = run.step(share)
        now = time.monotonic()
        run.spent_s, last = run.spent_s + now - last, now
        at_end = budget.spent(run.spent_s, run.steps) >= 1
        if at_end or run.spent_s - saved_s >= budget.save_s:
            saved_s = run.spent_s
            run.save(checkpoint)
        if at_end or run.spent_s - logged_s >= budget.log_s:
            logged_s = run.spent_s
            line = Logged(
                stage.name, run.spent_s / 60, run.steps, {name: float(value.detach()) for name, value in losses.items()}
            )
            with (folder / f"{stage.name}.log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(asdict(line)) + "\n")
            yield line
    model.load_state_dict(run.average.state_dict())


@dataclass
class _Run:
    """Everything of a stage that goes on from step to step, and into its checkpoint."""

    stage: Stage
    optimizers: _Optimizers
    average: nn.Module
    steps: int = 0
    spent_s: float = 0.0

    def step(self, share: float) -> dict[str, torch.Tensor]:
        """One batch."""
        settings, model = self.stage.optimization, self.stage.model
        device = next(model.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
            losses = self.stage.losses(share)
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        self.optimizers.step(rate(share, self.steps, settings))
        self.steps += 1
        _blend(self.average, model, min(settings.ema_decay, (1 + self.steps) / (10 + self.steps)))
        return losses

    def save(self, path: Path) -> None:
        """Write to a temporary name first: a run may be stopped at any moment."""
        state = {
            "model": self.stage.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers.all],
            "steps": self.steps,
            "spent_s": self.spent_s,
            "chance": _chance(self.stage),
        }
        temporary = path.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(path)
        path.with_suffix(".json").write_text(json.dumps({"steps": self.steps, "minutes": round(self.spent_s / 60, 1)}))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; one of ``begin_with`` holds nothing but weights."""
        saved = torch.load(path, map_location="cpu", weights_only=True)
        self.stage.model.load_state_dict(saved["model"])
        self.average.load_state_dict(saved["average"])
        self.steps, self.spent_s = saved["steps"], saved["spent_s"]
        if saved["optimizers"]:
            for optimizer, state in zip(self.optimizers.all, saved["optimizers"], strict=True):
                optimizer.load_state_dict(state)
        if chance := saved["chance"]:
            self.stage.rng.bit_generator.state = chance["stage"]
            torch.set_rng_state(chance["torch"])
            torch.cuda.set_rng_state_all(chance["cuda"])


def _chance(stage: Stage) -> dict[str, Any]:
    """Where every generator of random numbers stands."""
    return {
        "stage": stage.rng.bit_generator.state,
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def begin_with(model: nn.Module, folder: Path, name: str) -> None:
    """Write a checkpoint of ``model`` as it is, without a past: a resumed run then begins with its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = model.state_dict()
    blank = {"optimizers": [], "steps": 0, "spent_s": 0.0, "chance": None}
    torch.save({"model": weights, "average": weights, **blank}, folder / f"{name}.pt")
    (folder / f"{name}.json").unlink(missing_ok=True)  # the minutes of another past


def load_average(model: nn.Module, folder: Path, name: str) -> None:
    """Put the averaged weights of a finished or interrupted stage into ``model``. Raises ``FileNotFoundError``."""
    model.load_state_dict(torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True)["average"])


@torch.no_grad()
def _blend(average: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, fresh in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(fresh, 1 - decay)
    for held, present in zip(average.buffers(), model.buffers(), strict=True):
        held.copy_(present)
