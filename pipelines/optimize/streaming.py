"""A video decoder run through time in steps that each hold a few frames, with the result of the whole clip at once.

Every layer of LTX-2's decoder is a convolution or works on one place alone. So a convolution that keeps its last two frames
can go on where it stopped, and nothing is computed twice: unlike tiles that overlap in time, there is no seam. Layers that
look ahead give their last frames late; each hands on what it has, as Wan's causal decoder does with its feature cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import Conv3d, SiLU
from torch.nn.functional import pad, silu

Chunks = Iterator[tuple[torch.Tensor, bool]]
"""Frames ``[B, C, F, H, W]`` one after the other, and whether they are the last ones."""


@dataclass(frozen=True)
class Window:
    """The place of a tile in the latents, and how many cells the whole has: noise is drawn for the whole."""

    top: int
    bottom: int
    left: int
    right: int
    height: int
    width: int


@dataclass(frozen=True)
class Steps:
    """How a decoder is run: ``most_bytes`` is the largest activation of a step, one frame of it at least.

    ``noise`` holds what each residual block adds, in the order of ``draw_noise``.
    """

    most_bytes: int
    causal: bool
    noise: tuple[torch.Tensor, ...] = ()


def stream(decoder: Any, latents_BCFHW: torch.Tensor, timestep: torch.Tensor | None, steps: Steps) -> Iterator[torch.Tensor]:
    """Parts ``[B, 3, F, H, W]`` of what ``decoder(latents, timestep)`` gives, in order; put together they are the whole."""
    noise = iter(steps.noise)
    if timestep is not None and decoder.timestep_scale_multiplier is not None:
        timestep = timestep * decoder.timestep_scale_multiplier
    chunks: Chunks = iter([(latents_BCFHW, True)])
    chunks = _convolved(decoder.conv_in, _split(chunks, decoder.conv_in.in_channels, steps), steps.causal)
    for block in (decoder.mid_block, *decoder.up_blocks):
        if (first := getattr(block, "conv_in", None)) is not None:
            chunks = _residual(first, _split(chunks, 0, steps), timestep, steps, noise)
        shift = _embedded(block.time_embedder, timestep, latents_BCFHW)
        for upsampler in getattr(block, "upsamplers", None) or ():
            chunks = _upsampled(upsampler, _split(chunks, upsampler.conv.out_channels, steps), steps)
        for resnet in block.resnets:
            chunks = _residual(resnet, chunks, shift, steps, noise)
    chunks = _convolved(decoder.conv_out, _finished(decoder, chunks, timestep), steps.causal)
    for x, _ in chunks:
        yield _unpatched(x, decoder.patch_size, decoder.patch_size_t)


def draw_noise(decoder: Any, height: int, width: int, like: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The noise ``[H, W]`` that decoding ``height x width`` cells at once would draw, from the same state of chance."""
    drawn = []
    for block in (decoder.mid_block, *decoder.up_blocks):
        first = getattr(block, "conv_in", None)
        before = [] if first is None else [first]
        drawn += [_drawn(resnet, height, width, like) for resnet in before]
        for upsampler in getattr(block, "upsamplers", None) or ():
            height, width = height * upsampler.stride[1], width * upsampler.stride[2]
        drawn += [_drawn(resnet, height, width, like) for resnet in block.resnets]
    return tuple(noise for pair in drawn for noise in pair)


def crop_noise(noise: tuple[torch.Tensor, ...], window: Window) -> tuple[torch.Tensor, ...]:
    """The part of each map that lies over a tile."""
    found = []
    for whole in noise:
        scale = whole.shape[0] // window.height
        rows, columns = slice(scale * window.top, scale * window.bottom), slice(scale * window.left, scale * window.right)
        found.append(whole[rows, columns])
    return tuple(found)


def _drawn(resnet: Any, height: int, width: int, like: torch.Tensor) -> list[torch.Tensor]:
    scales = [resnet.per_channel_scale1, resnet.per_channel_scale2]
    return [torch.randn(height, width, device=like.device, dtype=like.dtype) for scale in scales if scale is not None]


def _split(chunks: Chunks, channels: int, steps: Steps) -> Chunks:
    """The same frames in equal pieces whose activation of ``channels`` fits a step; always whole frames."""
    for x, last in chunks:
        frame_bytes = x[:, :, 0].numel() // x.shape[1] * max(channels, x.shape[1]) * x.element_size()
        count = -(-x.shape[2] // max(1, steps.most_bytes // frame_bytes))
        pieces = list(x.tensor_split(count, dim=2))
        del x
        while pieces:
            piece = pieces.pop(0)
            yield piece, last and not pieces


def _convolved(layer: Any, chunks: Chunks, causal: bool) -> Chunks:
    """``layer`` over time: the first and the last frame stand for what lies beyond them."""
    reach = layer.kernel_size[0] - 1
    before, after = (reach, 0) if causal else (reach // 2, reach - reach // 2)
    held: torch.Tensor | None = None
    for x, last in chunks:
        parts = [x[:, :, :1].expand(-1, -1, before, -1, -1) if held is None else held, x]
        if last and after:
            parts.append(x[:, :, -1:].expand(-1, -1, after, -1, -1))
        x = torch.cat(parts, dim=2)
        del parts
        held = None if last else x[:, :, max(0, x.shape[2] - reach) :].clone()
        made = [_conv(layer.conv, x)] if x.shape[2] > reach else []
        del x
        if made:
            yield made.pop(), last


def _conv(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """``layer(x)``; on a CPU by oneDNN, which torch passes over for small work on one thread, though it is faster."""
    plain = type(layer) is Conv3d and x.device.type == "cpu" and x.dtype == torch.float32
    if not plain or not torch.backends.mkldnn.is_available():
        made: torch.Tensor = layer(x)
        return made
    padding = layer.padding
    if layer.padding_mode != "zeros":
        x = pad(x, layer._reversed_padding_repeated_twice, mode=layer.padding_mode)
        padding = (0, 0, 0)
    return torch.mkldnn_convolution(x, layer.weight, layer.bias, padding, layer.stride, layer.dilation, layer.groups)


def _residual(block: Any, chunks: Chunks, temb: torch.Tensor | None, steps: Steps, noise: Iterator[torch.Tensor]) -> Chunks:
    """A residual block. Its noise is taken now: the chunks themselves are asked for from the last block backwards."""
    added = [
        None if scale is None else scale[:, None] * next(noise) for scale in (block.per_channel_scale1, block.per_channel_scale2)
    ]
    shifts: tuple[torch.Tensor | None, ...] = (None, None, None, None)
    if block.scale_shift_table is not None:
        assert temb is not None, "the decoder is told a timestep"
        table = temb.unflatten(1, (4, -1)) + block.scale_shift_table[None, ..., None, None, None]
        shifts = table.unbind(dim=1)
    return _around(block, chunks, shifts, added, steps)


def _around(
    block: Any, chunks: Chunks, shifts: tuple[torch.Tensor | None, ...], added: list[torch.Tensor | None], steps: Steps
) -> Chunks:
    """What goes around the convolutions waits for what comes late out of them."""
    shift_1, scale_1, shift_2, scale_2 = shifts
    waiting = _Queue()

    def entering() -> Chunks:
        for x, last in _split(chunks, block.conv1.conv.out_channels, steps):
            waiting.put(x)
            made = [_activated(block, block.norm1(x), scale_1, shift_1)]
            del x
            yield made.pop(), last

    def between() -> Chunks:
        for x, last in _convolved(block.conv1, entering(), steps.causal):
            if added[0] is not None:
                x.add_(added[0])
            made = [_activated(block, block.norm2(x), scale_2, shift_2)]
            del x
            yield made.pop(), last

    for x, last in _convolved(block.conv2, between(), steps.causal):
        if added[1] is not None:
            x.add_(added[1])
        made = [x.add_(_shortcut(block, waiting.take(x.shape[2])))]
        del x
        yield made.pop(), last


def _shortcut(block: Any, x: torch.Tensor) -> torch.Tensor:
    if block.norm3 is not None:
        x = block.norm3(x.movedim(1, -1)).movedim(-1, 1)
    return x if block.conv_shortcut is None else block.conv_shortcut(x)


def _activated(block: Any, x: torch.Tensor, scale: torch.Tensor | None, shift: torch.Tensor | None) -> torch.Tensor:
    if scale is not None and shift is not None:
        x = x.mul_(1 + scale).add_(shift)
    made: torch.Tensor = silu(x, inplace=True) if type(block.nonlinearity) is SiLU else block.nonlinearity(x)
    return made


def _upsampled(layer: Any, chunks: Chunks, steps: Steps) -> Chunks:
    """Channels become frames, rows and columns; the very first frames of a doubled time are dropped, as the model does."""
    around = _Queue()
    drop = layer.stride[0] - 1

    def entering() -> Chunks:
        for x, last in chunks:
            if layer.residual:
                around.put(x)
            yield x, last

    for x, last in _convolved(layer.conv, entering(), steps.causal):
        x = _spread(x, layer.stride)
        if layer.residual:
            aside = _spread(around.take(x.shape[2] // layer.stride[0]), layer.stride)
            x.unflatten(1, (-1, aside.shape[1])).add_(aside[:, None])
            del aside
        made = [x[:, :, drop:]]
        drop = 0
        del x
        yield made.pop(), last


def _spread(x: torch.Tensor, stride: tuple[int, int, int]) -> torch.Tensor:
    """``[B, c*t*h*w, F, H, W] -> [B, c, F*t, H*h, W*w]``."""
    x = x.unflatten(1, (-1, *stride))
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _finished(decoder: Any, chunks: Chunks, timestep: torch.Tensor | None) -> Chunks:
    """The last norm, the timestep's shift and scale, and the activation."""
    scale = shift = None
    for x, last in chunks:
        x = decoder.norm_out(x)
        if decoder.time_embedder is not None:
            if scale is None:
                table = _embedded(decoder.time_embedder, timestep, x)
                assert table is not None, "the decoder is told a timestep"
                shift, scale = (table.unflatten(1, (2, -1)) + decoder.scale_shift_table[None, ..., None, None, None]).unbind(
                    dim=1
                )
            x = x * (1 + scale) + shift
        made = [silu(x, inplace=True)]
        del x
        yield made.pop(), last


def _embedded(embedder: Any, timestep: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor | None:
    """What ``embedder`` makes of a timestep, ``[B, n, 1, 1, 1]``; a block without one passes the timestep on."""
    if embedder is None:
        return timestep
    assert timestep is not None, "the decoder is told a timestep"
    made = embedder(
        timestep=timestep.flatten(), resolution=None, aspect_ratio=None, batch_size=like.shape[0], hidden_dtype=like.dtype
    )
    return made.view(like.shape[0], -1, 1, 1, 1)


def _unpatched(x: torch.Tensor, side: int, frames: int) -> torch.Tensor:
    x = x.unflatten(1, (-1, frames, side, side))
    return x.permute(0, 1, 5, 2, 6, 4, 7, 3).flatten(6, 7).flatten(4, 5).flatten(2, 3)


class _Queue:
    """Frames that wait, first in, first out."""

    def __init__(self) -> None:
        self._held: list[torch.Tensor] = []

    def put(self, x: torch.Tensor) -> None:
        self._held.append(x)

    def take(self, count: int) -> torch.Tensor:
        """The first ``count`` frames that wait; what is left does not keep them alive."""
        taken: list[torch.Tensor] = []
        while count > 0:
            first = self._held.pop(0)
            taken.append(first[:, :, :count])
            if first.shape[2] > count:
                self._held.insert(0, first[:, :, count:].clone())
            count -= taken[-1].shape[2]
        return taken[0] if len(taken) == 1 else torch.cat(taken, dim=2)
