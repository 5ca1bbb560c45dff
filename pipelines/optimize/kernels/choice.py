"""Whether the fused kernels can be used on a machine, found by running them there."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from pipelines.optimize.kernels import reference
from pipelines.optimize.kernels.block import misfit, put_on

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}
"""Largest difference of a kernel to the reference, relative to the reference's largest value."""


def put_kernels_on(transformer: Any) -> str | None:
    """Put the kernels on where they can be used; else, why not."""
    reason = misfit(transformer) or unusable(transformer.device.type, transformer.dtype)
    if reason is None:
        put_on(transformer, importlib.import_module("pipelines.optimize.kernels.fused"))
    return reason


@cache
def unusable(device: str, dtype: torch.dtype) -> str | None:
    """Why the kernels cannot be used on this kind of device; ``None`` where they were just seen to give the right results."""
    if device != "cuda":
        return f"they are for CUDA GPUs and the model runs on {device}"
    try:
        fused = importlib.import_module("pipelines.optimize.kernels.fused")
        worst = max(differences(fused, torch.device(device), dtype).values())
    except (ImportError, RuntimeError) as error:  # Triton's own errors are RuntimeErrors
        return f"Triton cannot run them here ({str(error).strip().splitlines()[0][:120]})"
    limit = TOLERANCE.get(dtype, TOLERANCE[torch.bfloat16])
    return f"they are wrong by {worst:.1e} here" if not worst <= limit else None


def differences(steps: Any, device: torch.device, dtype: torch.dtype, shape: Sequence[int] = (2, 7, 3, 20)) -> dict[str, float]:
    """How far each step is from the reference, relative to its largest value.

    ``shape`` is batch, tokens, heads, width of a head.
    """
    batch, tokens, heads, wide = shape
    width = heads * wide
    generator = torch.Generator().manual_seed(0)

    def drawn(*sizes: int) -> torch.Tensor:
        return torch.randn(*sizes, generator=generator).to(device, dtype)

    x, made, weight, bias = drawn(batch, tokens, width), drawn(batch, tokens, width), drawn(width), drawn(width)
    # As a block has them: rows of one table, so not contiguous.
    one, many = drawn(batch, 1, 3, width).unbind(2), drawn(batch, tokens, 3, width).unbind(2)
    angles = torch.rand(1, tokens, width // 2, generator=generator).to(device) * 6.28
    whole = angles.repeat_interleave(2, dim=-1)
    halves = angles.unflatten(2, (heads, -1)).transpose(1, 2).expand(batch, -1, -1, -1)
    cases = {
        "modulated": ("modulated", (x, one[0], one[1], 1e-6)),
        "modulated by token": ("modulated", (x, many[0], many[1], 1e-6)),
        "gated": ("gated", (x, made, one[2])),
        "gated by token": ("gated", (x, made, many[2])),
        "biased_gelu": ("biased_gelu", (x, bias)),
        "biased_gelu without bias": ("biased_gelu", (x, None)),
        "turned, interleaved": ("turned", (x, weight, 1e-5, (whole.cos(), whole.sin()))),
        "turned, split": ("turned", (x, weight, 1e-5, (halves.cos(), halves.sin()))),
    }
    found = {}
    for name, (step, arguments) in cases.items():
        right = getattr(reference, step)(*arguments).float()
        found[name] = float((getattr(steps, step)(*arguments).float() - right).abs().max() / right.abs().max())
    return found
