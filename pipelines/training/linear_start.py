"""A video VAE that begins as a linear transform: principal components of blocks, down and up again.

Trained from random weights a small codec takes most of its budget to reach what linear algebra gives in seconds. So every
convolution here starts with one tap that computes (or undoes) a projection on principal components, every residual block
starts as the identity (its last convolution is zero, after Goyal et al. 2017, arXiv:1706.02677), and training begins there.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Video
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import (
    LTX2VideoCausalConv3d,
    LTX2VideoResnetBlock3d,
    LTX2VideoUpsampler3d,
)
from torch import nn

# A channel that is constant and much larger than the rest keeps the normalisation before an output from
# dividing by what it should pass on.
_CONSTANT = 15.0
_LOG_VARIANCE = -5.0


@torch.no_grad()
def begin_linear(model: AutoencoderKLLTX2Video, pixels_BCFHW: torch.Tensor) -> None:
    """Set all weights of ``model`` from rendered clips ``[B, 3, F, H, W]`` in -1..1; it reconstructs at once."""
    for block in model.modules():
        if isinstance(block, LTX2VideoResnetBlock3d):
            block.conv2.conv.weight.zero_()
            block.conv2.conv.bias.zero_()
    _begin_encoder(model, pixels_BCFHW)
    _begin_decoder(model, pixels_BCFHW)


def _begin_encoder(model: AutoencoderKLLTX2Video, pixels: torch.Tensor) -> None:
    encoder = model.encoder
    patches = _rows(_patched(pixels, model.config.patch_size))
    mean, basis = _components(patches, encoder.conv_in.conv.out_channels // 2)
    basis = basis / (patches - mean).matmul(basis[:, 0]).std()
    weight, bias = _blank(encoder.conv_in)
    weight[: basis.shape[1], :, -1, 1, 1] = basis.T
    bias[: basis.shape[1]] = -mean @ basis
    for block in encoder.down_blocks:
        for down in block.downsamplers:
            states = _rows(_seen(encoder, pixels, down))
            _, basis = _components(states, down.conv.conv.out_channels)
            weight, bias = _blank(down.conv)
            weight[: basis.shape[1], :, -1, 1, 1] = basis.T
    # Before the output all features are of one size, but for the last filter, which becomes the constant.
    spread = (states - states.mean(0)).matmul(basis).std(0)
    weight /= spread.clamp(min=1e-2 * float(spread[0]))[:, None, None, None, None]
    bias.copy_(-(states.mean(0) @ weight[:, :, -1, 1, 1].T))
    weight[-1].zero_()
    bias[-1] = _CONSTANT
    _, basis = _components(_rows(_seen(encoder, pixels, encoder.conv_out)), encoder.conv_out.conv.out_channels - 1)
    features = _rows(_seen(encoder, pixels, encoder.conv_out))
    mean, spread = features.mean(0), (features - features.mean(0)) @ basis
    weight, bias = _blank(encoder.conv_out)
    scale = 1 / spread.std(0).clamp(min=1e-2 * float(spread.std(0).max()))
    weight[:-1, :, -1, 1, 1] = (basis * scale).T
    bias[:-1] = -(mean @ basis) * scale
    bias[-1] = _LOG_VARIANCE


def _begin_decoder(model: AutoencoderKLLTX2Video, pixels: torch.Tensor) -> None:
    """Each upsampling returns to what the encoder saw at that level, by least squares; the last one to patches."""
    encoder, decoder = model.encoder, model.decoder
    weight, _ = _blank(decoder.conv_in)
    weight[:, :, 1, 1, 1] = torch.eye(weight.shape[0], weight.shape[1])
    latents = model.encode(pixels).latent_dist.mode()
    patches = _patched(pixels, model.config.patch_size)
    width = decoder.conv_out.conv.in_channels
    mean, basis = _components(_rows(patches), (width - 2) // 2)
    scale = float((_rows(patches) - mean).matmul(basis).std(0).max())
    coded = torch.einsum("bcfhw,ck->bkfhw", patches - mean[:, None, None, None], basis) / scale
    # Each component twice, with both signs: silu(x) - silu(-x) = x, so the last activation loses nothing.
    constant = torch.full_like(coded[:, :2], _CONSTANT)
    targets = [_seen(encoder, pixels, block.downsamplers[0]) for block in encoder.down_blocks[1:]][::-1]
    targets.append(torch.cat([coded, -coded, constant][: 3 if 2 * coded.shape[1] + 2 == width else 2], dim=1))
    for block, target in zip(decoder.up_blocks, targets, strict=True):
        up = block.upsamplers[0]
        _fit_upsampler(up, _seen(decoder, latents, up), target)
    weight, bias = _blank(decoder.conv_out)
    count, rms = coded.shape[1], float(_rows(_seen(decoder, latents, decoder.norm_out)).square().mean(1).sqrt().median())
    weight[:, :count, 1, 1, 1] = scale * rms * basis
    weight[:, count : 2 * count, 1, 1, 1] = -scale * rms * basis
    bias.copy_(mean)


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


def _least_squares(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    """``[C + 1, D]`` so that inputs ``[N, C]`` with a one appended come as near to outputs ``[N, D]`` as they can."""
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1).double()
    gram = inputs.T @ inputs
    ridge = torch.diag(1e-5 * gram.diagonal() + 1e-8)
    return torch.linalg.solve(gram + ridge, inputs.T @ outputs.double()).float()


def _blank(conv: LTX2VideoCausalConv3d) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution, set to zero."""
    conv.conv.weight.zero_()
    conv.conv.bias.zero_()
    return conv.conv.weight, conv.conv.bias


def _patched(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Pixels as the encoder's first convolution sees them, ``[B, 3 * size * size, F, H / size, W / size]``."""
    blocks = pixels.unflatten(4, (-1, size)).unflatten(3, (-1, size))
    return blocks.permute(0, 1, 6, 4, 2, 3, 5).flatten(1, 3)


def _rows(states_BCFHW: torch.Tensor) -> torch.Tensor:
    """All positions as rows, ``[B * F * H * W, C]``."""
    return states_BCFHW.movedim(1, -1).flatten(0, 3)


def _components(rows: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean ``[C]`` and the first ``count`` principal directions ``[C, count]``, strongest first."""
    mean = rows.mean(0)
    centred = (rows - mean).double()
    _, directions = np.linalg.eigh((centred.T @ centred).numpy())
    basis = torch.from_numpy(directions[:, ::-1].copy())[:, :count].float()
    return mean, basis


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
