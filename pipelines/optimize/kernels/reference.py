"""The fused steps in plain torch: what the Triton kernels must equal, what CPUs run, and what torch.compile fuses by itself.

All of them compute in float32 and round once, to the dtype of their first argument; diffusers rounds after every step.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import gelu, rms_norm

Tables = tuple[Tensor, Tensor]
"""Cosines and sines of a rotary embedding, float32: ``[B, N, D]`` interleaved, ``[B, H, N, D / 2H]`` split; batch 1 fits all."""


def modulated(x_BND: Tensor, scale_BKD: Tensor, shift_BKD: Tensor, eps: float) -> Tensor:
    """RMSNorm without weights, then AdaLN: ``norm(x) * (1 + scale) + shift``; K is 1 or N. (Peebles and Xie, arXiv:2212.09748)"""
    normed = rms_norm(x_BND.float(), x_BND.shape[-1:], eps=eps)
    return torch.addcmul(shift_BKD.float(), normed, 1 + scale_BKD.float()).to(x_BND.dtype)


def gated(x_BND: Tensor, made_BND: Tensor, gate_BKD: Tensor) -> Tensor:
    """``x + made * gate``; K is 1 or N."""
    return torch.addcmul(x_BND.float(), made_BND.float(), gate_BKD.float()).to(x_BND.dtype)


def biased_gelu(x: Tensor, bias_D: Tensor | None) -> Tensor:
    """GELU in its tanh form of ``x + bias``, ``x`` being (..., D)."""
    return gelu(x.float() if bias_D is None else x.float() + bias_D.float(), approximate="tanh").to(x.dtype)


def turned(x_BND: Tensor, weight_D: Tensor, eps: float, tables: Tables) -> Tensor:
    """RMSNorm over all heads together with a ``weight``, then the rotary embedding that the tables' shape tells."""
    normed = rms_norm(x_BND.float(), x_BND.shape[-1:], weight_D.float(), eps)
    cos, sin = tables
    if cos.ndim == 3:
        real, imaginary = normed.unflatten(2, (-1, 2)).unbind(-1)
        other = torch.stack([-imaginary, real], dim=-1).flatten(2)
        return torch.addcmul(normed * cos, other, sin).to(x_BND.dtype)
    cos, sin = cos.transpose(1, 2), sin.transpose(1, 2)  # [B, N, H, R]
    first, second = normed.unflatten(2, (cos.shape[2], 2, -1)).unbind(3)
    both = torch.stack([first * cos - second * sin, second * cos + first * sin], dim=3)
    return both.flatten(2).to(x_BND.dtype)
