"""A video VAE that is linear algebra: principal components of whole blocks of picture and time, down and up again.

The encoder is set, not trained: it computes the principal components of every block that one latent cell stands for, which is
the best that a linear map can do. So latents never change, and what depends on them can be trained at once. The decoder begins
as the way back (every residual block starts as the identity: its last convolution is zero, after Goyal et al. 2017,
arXiv:1706.02677) and learns the rest, which is a good deal: things have shapes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from diffusers import AutoencoderKLLTX2Video
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import (
    LTX2VideoCausalConv3d,
    LTX2VideoResnetBlock3d,
    LTX2VideoUpsampler3d,
)
from torch import nn

# A channel that is constant and far larger than the rest keeps the normalisation before an output from dividing by what
# it should pass on, and keeps what it passes on so small that the activation after it is linear.
_CONSTANT = 60.0
_LOG_VARIANCE = -5.0
# Each downsampling adds means over groups of what it is given, which mix places and times; what it should give is so much
# louder that they do not matter.
_LOUDER = 8.0
_MOST_ROWS = 24_000


@torch.no_grad()
def begin_linear(model: AutoencoderKLLTX2Video, pixels_BCFHW: torch.Tensor) -> None:
    """Set all weights of ``model`` from rendered clips ``[B, 3, F, H, W]`` in -1..1; it reconstructs at once."""
    for block in model.modules():
        if isinstance(block, LTX2VideoResnetBlock3d):
            block.conv2.conv.weight.zero_()
            block.conv2.conv.bias.zero_()
    _begin_decoder(model, _begin_encoder(model, pixels_BCFHW))


class _Product(nn.Module):
    """A causal convolution of which only the tap at the present position is not zero: one matrix product."""

    def __init__(self, conv: LTX2VideoCausalConv3d) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(conv.conv.weight[:, :, -1:, 1:2, 1:2].clone()), conv.conv.bias

    def forward(self, hidden_states: torch.Tensor, causal: bool = True) -> torch.Tensor:
        return functional.conv3d(hidden_states, self.weight, self.bias)


@torch.no_grad()
def quick_encoder(model: AutoencoderKLLTX2Video) -> AutoencoderKLLTX2Video:
    """A copy of ``model`` that encodes the same, four to five times as fast where its encoder is as it was set here."""
    quick = copy.deepcopy(model).requires_grad_(False)
    for parent in list(quick.encoder.modules()):
        for name, conv in list(parent.named_children()):
            if isinstance(conv, LTX2VideoCausalConv3d) and _is_product(conv):
                setattr(parent, name, _Product(conv))
    return quick


def _is_product(conv: LTX2VideoCausalConv3d) -> bool:
    return bool(conv.conv.weight.count_nonzero() == conv.conv.weight[:, :, -1, 1, 1].count_nonzero())


def _begin_encoder(model: AutoencoderKLLTX2Video, pixels: torch.Tensor) -> torch.Tensor:
    """Set the encoder; returns what its latents tell of ``pixels``, in the same shape."""
    encoder = model.encoder
    size, frames, strength = model.config.patch_size, 1, 1 / 64
    _set(encoder.conv_in, _principal(blocks(pixels, size, 1), encoder.conv_in.conv.out_channels), strength)
    for block in encoder.down_blocks:
        down = block.downsamplers[0]
        strength *= _LOUDER
        found = _strongest(_seen(encoder, pixels, down), blocks(pixels, size, frames), down.conv.conv.out_channels)
        _set(down.conv, found, strength)
        frames, size = frames * down.stride[0], size * down.stride[1]
    weight, bias = down.conv.conv.weight, down.conv.conv.bias
    weight[-1].zero_()
    bias[-1] = _CONSTANT * strength
    found = _strongest(
        _seen(encoder, pixels, encoder.conv_out), blocks(pixels, size, frames), encoder.conv_out.conv.out_channels - 1
    )
    _set(encoder.conv_out, found, 1.0)
    encoder.conv_out.conv.bias[-1] = _LOG_VARIANCE
    return unblocked(_affine(model.encode(pixels).latent_dist.mode(), found.back), size, frames)


@dataclass(frozen=True)
class _Projection:
    """From states to their components ``[C + 1, K]`` and from those to what they tell ``[K + 1, D]``, constants last."""

    forth: torch.Tensor
    back: torch.Tensor


def _principal(cells: torch.Tensor, count: int) -> _Projection:
    """The ``count`` principal components of cells, each of deviation 1."""
    # The first cell of a clip may hold one frame many times over: it is no example of how things move.
    rows = _rows(cells[:, :, 1:] if cells.shape[2] > 1 else cells)
    mean, basis = _components(rows, count)
    spread = ((rows - mean) @ basis).std(0)
    spread = spread.clamp(min=1e-3 * float(spread.max()))
    return _Projection(torch.cat([basis, -mean[None] @ basis]) / spread, torch.cat([(basis * spread).T, mean[None]]))


def _strongest(states: torch.Tensor, wanted: torch.Tensor, count: int) -> _Projection:
    """The ``count`` components of ``states`` that tell most of ``wanted``, each of deviation 1 (reduced-rank regression)."""
    solved = _least_squares(_rows(states), _rows(wanted))
    found = _principal(_affine(states, solved), min(count, states.shape[1]))
    forth = solved @ found.forth[:-1]
    forth[-1] += found.forth[-1]
    return _Projection(forth, found.back)


def _set(conv: LTX2VideoCausalConv3d, found: _Projection, strength: float) -> None:
    """Let the present tap of ``conv`` give the components, of deviation ``strength``."""
    weight, bias = _blank(conv)
    count = found.forth.shape[1]
    weight[:count, :, -1, 1, 1] = strength * found.forth[:-1].T
    bias[:count] = strength * found.forth[-1]


def _begin_decoder(model: AutoencoderKLLTX2Video, told: torch.Tensor) -> None:
    """Each upsampling goes, by least squares, to the components of smaller blocks of what the latents tell, down to patches."""
    decoder, patch = model.decoder, model.config.patch_size
    weight, _ = _blank(decoder.conv_in)
    count = min(weight.shape[:2])
    weight[:count, :count, 1, 1, 1] = torch.eye(count)
    latents = model.encode(told).latent_dist.mode()
    size, frames = model.spatial_compression_ratio, model.temporal_compression_ratio
    for block in decoder.up_blocks:
        up = block.upsamplers[0]
        states = _seen(decoder, latents, up)
        frames, size = frames // up.stride[0], size // up.stride[1]
        width = up.conv.conv.out_channels // (up.stride[0] * up.stride[1] * up.stride[2])
        is_last = block is decoder.up_blocks[-1]
        seen = blocks(told, size, frames)
        target = _affine(seen, _principal(seen, width - is_last).forth)
        if is_last:
            target = torch.cat([target, torch.full_like(target[:, :1], _CONSTANT)], dim=1)
        _fit_upsampler(up, states, target)
    assert (size, frames) == (patch, 1), "the decoder's blocks do not lead to patches of single frames"
    for resnet in block.resnets:
        resnet.conv1.conv.weight[:, -1].zero_()  # else the constant is all that it sees
    solved = _least_squares(_rows(_seen(decoder, latents, decoder.conv_out)[:, :-1]), _rows(blocks(told, patch, 1)))
    weight, bias = _blank(decoder.conv_out)
    weight[:, :-1, 1, 1, 1] = solved[:-1].T
    bias.copy_(solved[-1])


def _fit_upsampler(up: LTX2VideoUpsampler3d, states: torch.Tensor, target: torch.Tensor) -> None:
    """Let the centre tap of ``up`` give ``target`` from ``states``, by least squares over all positions."""
    _blank(up.conv)
    missing = target - up(states)  # with a blank convolution only its residual is left
    step_t, step_h, step_w = up.stride
    # The first of the very first new frames is cut off by the model: what stands here for it is left out of the fit.
    padded = torch.cat([missing[:, :, :1].repeat(1, 1, step_t - 1, 1, 1), missing], dim=2)
    whole = padded.unflatten(4, (-1, step_w)).unflatten(3, (-1, step_h)).unflatten(2, (-1, step_t))
    wanted = whole.permute(0, 1, 3, 5, 7, 2, 4, 6)  # [B, C, t, h, w, F, H, W]
    weight, bias = up.conv.conv.weight[:, :, 1, 1, 1], up.conv.conv.bias
    for step in range(step_t):
        first = 1 if step < step_t - 1 else 0
        solved = _least_squares(_rows(states[:, :, first:]), _rows(wanted[:, :, step, :, :, first:].flatten(1, 3)))
        rows = weight.unflatten(0, (-1, step_t, step_h * step_w))[:, step]
        rows.copy_(solved[:-1].T.unflatten(0, rows.shape[:2]))
        bias.unflatten(0, (-1, step_t, step_h * step_w))[:, step].copy_(solved[-1].unflatten(0, rows.shape[:2]))


def blocks(pixels_BCFHW: torch.Tensor, size: int, frames: int) -> torch.Tensor:
    """Blocks of ``size`` x ``size`` pixels and ``frames`` frames as cells ``[B, 3 * size * size * frames, F', H', W']``.

    The first frame stands ``frames`` times in the first cells, as in a causal VAE.
    """
    padded = torch.cat([pixels_BCFHW[:, :, :1].repeat(1, 1, frames - 1, 1, 1), pixels_BCFHW], dim=2)
    cells = padded.unflatten(4, (-1, size)).unflatten(3, (-1, size)).unflatten(2, (-1, frames))
    return cells.permute(0, 1, 3, 7, 5, 2, 4, 6).flatten(1, 4)


def unblocked(cells_BDFHW: torch.Tensor, size: int, frames: int) -> torch.Tensor:
    """The clips of which ``blocks`` made these cells."""
    cells = cells_BDFHW.unflatten(1, (-1, frames, size, size))  # B, C, t, w, h, F, H, W
    pixels = cells.permute(0, 1, 5, 2, 6, 4, 7, 3).flatten(6, 7).flatten(4, 5).flatten(2, 3)
    return pixels[:, :, frames - 1 :]


def _affine(states_BCFHW: torch.Tensor, solved: torch.Tensor) -> torch.Tensor:
    """``solved`` ``[C + 1, D]``, as of ``_least_squares``, at every position."""
    return (states_BCFHW.movedim(1, -1) @ solved[:-1] + solved[-1]).movedim(-1, 1)


def _least_squares(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    """``[C + 1, D]`` so that inputs ``[N, C]`` with a one appended come as near to outputs ``[N, D]`` as they can."""
    mean, centre = inputs.mean(0), outputs.mean(0)
    centred = inputs - mean
    gram = (centred.T @ centred).double()
    # Small enough for features of a thousandth of the strongest, large enough for those that are constant.
    ridge = torch.eye(len(gram), dtype=torch.double) * 1e-8 * gram.diagonal().max()
    solved = torch.linalg.solve(gram + ridge, (centred.T @ (outputs - centre)).double()).float()
    return torch.cat([solved, (centre - mean @ solved)[None]])


def _blank(conv: LTX2VideoCausalConv3d) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution, set to zero."""
    conv.conv.weight.zero_()
    conv.conv.bias.zero_()
    return conv.conv.weight, conv.conv.bias


def _rows(states_BCFHW: torch.Tensor) -> torch.Tensor:
    """Positions as rows ``[N, C]``: all of them, or as many at even distances as a fit needs."""
    rows = states_BCFHW.movedim(1, -1).flatten(0, 3)
    return rows if len(rows) <= _MOST_ROWS else rows[torch.linspace(0, len(rows) - 1, _MOST_ROWS).long()]


def _components(rows: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean ``[C]`` and the first ``count`` principal directions ``[C, count]``, strongest first."""
    mean, width = rows.mean(0), rows.shape[1]
    if width > 2 * count + 64:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            _, _, basis = torch.svd_lowrank(rows - mean, q=count + 32, niter=3)
        return mean, basis[:, :count].contiguous()
    centred = (rows - mean).double()
    _, directions = torch.linalg.eigh(centred.T @ centred)
    return mean, directions.flip(1)[:, :count].float()


class _Found(Exception):
    """Carries what a module was given out of a forward pass."""

    def __init__(self, states: torch.Tensor) -> None:
        super().__init__()
        self.states = states


def _seen(network: nn.Module, inputs: torch.Tensor, module: nn.Module) -> torch.Tensor:
    """What ``module`` is given when ``network`` works on ``inputs``."""

    def stop(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        raise _Found(given[0])

    handle = module.register_forward_pre_hook(stop)
    try:
        network(inputs)
    except _Found as found:
        return found.states
    finally:
        handle.remove()
    raise AssertionError("the network does not use this module")
