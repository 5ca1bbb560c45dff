"""The fused steps as Triton kernels, one read and one write each. Source and sink are contiguous in their last axis.

With ``TRITON_INTERPRET=1`` set before this module is loaded they run without a GPU, slowly, for tests. What each computes is said
in ``reference``.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from pipelines.optimize.kernels.reference import Tables

_COLUMNS = 1024
"""Of a row that one program of an elementwise kernel takes."""


@triton.jit
def _modulated(x_ptr, scale_ptr, shift_ptr, out_ptr, tokens, width, b_scale, k_scale, b_shift, k_shift, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    batch, token = row // tokens, row % tokens
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    x = tl.load(x_ptr + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    normed = x / tl.sqrt(tl.sum(x * x, axis=0) / width + eps)
    scale = tl.load(scale_ptr + batch * b_scale + token * k_scale + columns, mask=inside, other=0.0).to(tl.float32)
    shift = tl.load(shift_ptr + batch * b_shift + token * k_shift + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(out_ptr + row * width + columns, normed * (1 + scale) + shift, mask=inside)


@triton.jit
def _gated(x_ptr, made_ptr, gate_ptr, out_ptr, tokens, width, b_gate, k_gate, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    batch, token = row // tokens, row % tokens
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    x = tl.load(x_ptr + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    made = tl.load(made_ptr + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(gate_ptr + batch * b_gate + token * k_gate + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(out_ptr + row * width + columns, x + made * gate, mask=inside)


@triton.jit
def _biased_gelu(x_ptr, bias_ptr, out_ptr, width, HAS_BIAS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    x = tl.load(x_ptr + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    if HAS_BIAS:
        x += tl.load(bias_ptr + columns, mask=inside, other=0.0).to(tl.float32)
    # 1 + tanh(z) = 2 sigmoid(2 z), and Triton has a sigmoid everywhere.
    made = x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))
    tl.store(out_ptr + row * width + columns, made, mask=inside)


@triton.jit
def _turned(
    x_ptr, weight_ptr, cos_ptr, sin_ptr, out_ptr, tokens, width, half, b_table, h_table, n_table, eps,
    SPLIT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    batch, token = row // tokens, row % tokens
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    if SPLIT:  # halves of a head belong together
        within = columns % (2 * half)
        is_first = within < half
        partner = tl.where(is_first, columns + half, columns - half)
        place = (columns // (2 * half)) * h_table + within % half
    else:  # neighbours do
        is_first = columns % 2 == 0
        partner = tl.where(is_first, columns + 1, columns - 1)
        place = columns
    x = tl.load(x_ptr + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    other = tl.load(x_ptr + row * width + partner, mask=inside, other=0.0).to(tl.float32)
    weight = tl.load(weight_ptr + columns, mask=inside, other=0.0).to(tl.float32)
    others_weight = tl.load(weight_ptr + partner, mask=inside, other=0.0).to(tl.float32)
    size = tl.sqrt(tl.sum(x * x, axis=0) / width + eps)
    place += batch * b_table + token * n_table
    cos = tl.load(cos_ptr + place, mask=inside, other=0.0).to(tl.float32)
    sin = tl.load(sin_ptr + place, mask=inside, other=0.0).to(tl.float32)
    across = other * others_weight / size
    made = x * weight / size * cos + tl.where(is_first, -across, across) * sin
    tl.store(out_ptr + row * width + columns, made, mask=inside)


def modulated(x_BND: Tensor, scale_BKD: Tensor, shift_BKD: Tensor, eps: float) -> Tensor:
    """As ``reference.modulated``."""
    x_BND = x_BND.contiguous()
    batch, tokens, width = x_BND.shape
    scale_BKD, shift_BKD, out = _rows(scale_BKD), _rows(shift_BKD), torch.empty_like(x_BND)
    block = triton.next_power_of_2(width)
    _modulated[(batch * tokens,)](
        x_BND, scale_BKD, shift_BKD, out, tokens, width, *_steps(scale_BKD), *_steps(shift_BKD), eps,
        BLOCK=block, num_warps=_warps(block),
    )  # fmt: skip
    return out


def gated(x_BND: Tensor, made_BND: Tensor, gate_BKD: Tensor) -> Tensor:
    """As ``reference.gated``."""
    x_BND, made_BND, gate_BKD = x_BND.contiguous(), made_BND.contiguous(), _rows(gate_BKD)
    batch, tokens, width = x_BND.shape
    out = torch.empty_like(x_BND)
    grid = (batch * tokens, triton.cdiv(width, _COLUMNS))
    _gated[grid](x_BND, made_BND, gate_BKD, out, tokens, width, *_steps(gate_BKD), BLOCK=_COLUMNS)
    return out


def biased_gelu(x: Tensor, bias_D: Tensor | None) -> Tensor:
    """As ``reference.biased_gelu``."""
    x = x.contiguous()
    width, out = x.shape[-1], torch.empty_like(x)
    grid = (x.numel() // width, triton.cdiv(width, _COLUMNS))
    _biased_gelu[grid](x, x if bias_D is None else bias_D, out, width, HAS_BIAS=bias_D is not None, BLOCK=_COLUMNS)
    return out


def turned(x_BND: Tensor, weight_D: Tensor, eps: float, tables: Tables) -> Tensor:
    """As ``reference.turned``."""
    x_BND = x_BND.contiguous()
    batch, tokens, width = x_BND.shape
    cos, sin = (_rows(table) for table in tables)
    if cos.stride() != sin.stride():
        cos, sin = cos.contiguous(), sin.contiguous()
    is_split, out = cos.ndim == 4, torch.empty_like(x_BND)
    steps = (_steps(cos)[0], cos.stride(1) if is_split else 0, cos.stride(-2))
    block = triton.next_power_of_2(width)
    _turned[(batch * tokens,)](
        x_BND, weight_D, cos, sin, out, tokens, width, cos.shape[-1], *steps, eps,
        SPLIT=is_split, BLOCK=block, num_warps=_warps(block),
    )  # fmt: skip
    return out


def _rows(x: Tensor) -> Tensor:
    """``x`` with its last axis contiguous."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _steps(x: Tensor) -> tuple[int, int]:
    """From one sample, and from one token, to the next; 0 along an axis that one value serves."""
    batch, token = x.stride(0), x.stride(1)
    return (batch if x.shape[0] > 1 else 0), (token if x.shape[1] > 1 else 0)


def _warps(block: int) -> Any:
    return max(1, min(16, block // 512))
