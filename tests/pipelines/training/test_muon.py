"""Our Muon against torch's, which does the same in bfloat16."""

from __future__ import annotations

import pytest
import torch

from pipelines.training.muon import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(48, 48), (32, 96), (96, 32)])
def test_orthogonal_means_singular_values_about_1(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(3, *shape)))
    assert float(values.min()) > 0.6 and float(values.max()) < 1.25


def test_steps_are_those_of_torch():
    torch.manual_seed(0)
    starts = [torch.randn(shape) for shape in ((64, 32), (32, 32), (32, 32))]
    ours, theirs = ([torch.nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    settings = {"lr": 1e-3, "weight_decay": 0.01}
    optimizers = (Muon(ours, **settings), torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **settings))
    for _ in range(4):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other, start in zip(ours, theirs, starts, strict=True):
        moved = float((other - start).abs().max())
        assert moved > 1e-4 and float((mine - other).detach().abs().max()) < 0.08 * moved
