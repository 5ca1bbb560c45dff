"""Decoders run in the memory there is: steps through time, and tiles of the picture where one frame alone is too large.

Time is streamed and so has no seam (``streaming``). Tiles are equal; each is decoded with cells around it whose pixels are
thrown away: as many as the decoder's convolutions reach where that is affordable (the result is the whole one's), else fewer,
and then neighbours fade into each other over part of what they share. Sound is decoded in chunks, causal convolutions as far
back as they see.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

import torch

from pipelines.optimize.streaming import Steps, Window, crop_noise, draw_noise, stream

MIB = 1024**2
_AT_ONCE = 6
"""Activations around a residual block that are held together."""
_HELD_FRAMES = 3
"""A streamed convolution keeps two frames of what it reads, and one that waits to be added."""
_FASTEST_BYTES = 8 * MIB
"""Larger steps of a CPU leave its caches."""
_LARGEST_BYTES = 256 * MIB
_COST_OF_EXACT = 2.0
"""So many times the cells may be decoded for tiles without any seam."""
_SHORTEST_MARGIN = 4
_WORTH_SHARING = 1.2
"""So much faster has a picture to be that is decoded in tiles by several ranks."""
_USABLE = 0.85
"""Of the free memory; the rest is for the frames and for what an allocator loses."""


@dataclass(frozen=True)
class Layer:
    """A convolution of a decoder: its channels, and how many frames and rows it works on for each latent one."""

    inputs: int
    outputs: int
    frames: int
    side: int


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in cells: its own ``start..stop`` within what is decoded for it, ``first..last``."""

    first: int
    start: int
    stop: int
    last: int


@dataclass(frozen=True)
class Plan:
    """How a clip is decoded: the tiles along both axes, over how many cells they fade, the largest activation of a step."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    fade: int
    step_bytes: int

    @property
    def is_exact(self) -> bool:
        """Whether the result is that of the whole decoded at once."""
        return self.fade == 0

    @property
    def tiles(self) -> list[tuple[Span, Span]]:
        """Rows and columns of each, in the order in which they are laid."""
        return [(row, column) for row in self.rows for column in self.columns]

    def speedup(self, ranks: int) -> float:
        """The cells of the whole to those of the busiest of ``ranks`` that take turns with the tiles."""
        cells = [(row.last - row.first) * (column.last - column.first) for row, column in self.tiles]
        return self.rows[-1].stop * self.columns[-1].stop / max(sum(cells[rank::ranks]) for rank in range(ranks))


@dataclass(frozen=True)
class Part:
    """Pixels ``[B, 3, F, H, W]`` and where they belong; ``rise`` says for rows and columns how much they count, 0..1."""

    pixels: torch.Tensor
    frame: int
    top: int
    left: int
    rise: tuple[torch.Tensor, torch.Tensor] | None


def layers(decoder: Any) -> list[Layer]:
    """The convolutions of an LTX-2 video decoder in their order."""
    found, frames, side = [_layer(decoder.conv_in, 1, 1)], 1, 1
    for block in (decoder.mid_block, *decoder.up_blocks):
        if (first := getattr(block, "conv_in", None)) is not None:
            found += [_layer(conv, frames, side) for conv in (first.conv1, first.conv2)]
        for upsampler in getattr(block, "upsamplers", None) or ():
            found.append(_layer(upsampler.conv, frames, side))
            frames, side = frames * upsampler.stride[0], side * upsampler.stride[1]
        found += [_layer(conv, frames, side) for resnet in block.resnets for conv in (resnet.conv1, resnet.conv2)]
    return [*found, _layer(decoder.conv_out, frames, side)]


def reach(decoder: Any) -> int:
    """Latent cells beside a pixel's own that it depends on, in height and width."""
    return ceil(sum(1 / layer.side for layer in layers(decoder)))


def whole_bytes(decoder: Any, latents: torch.Tensor) -> int:
    """What decoding all at once takes beyond the weights, about."""
    return _AT_ONCE * largest_bytes(decoder, latents)


def largest_bytes(decoder: Any, latents: torch.Tensor) -> int:
    """The largest activation of decoding all at once."""
    cells = latents.numel() // latents.shape[1] * latents.element_size()
    return max(max(layer.inputs, layer.outputs) * layer.frames * layer.side**2 for layer in layers(decoder)) * cells


def plan(
    decoder: Any, latents: torch.Tensor, budget_bytes: int, *, step_bytes: int = _LARGEST_BYTES, least_tiles: int = 1
) -> Plan:
    """Tiles and steps for latents ``[B, C, F, H, W]`` that take about ``budget_bytes``; no activation above ``step_bytes``.

    The fewest tiles that fit, ``least_tiles`` at least, with the widest margins; where not even single cells do, those.
    """
    height, width = latents.shape[-2:]
    far = reach(decoder)
    most = min(step_bytes, _FASTEST_BYTES if latents.device.type == "cpu" else _LARGEST_BYTES)
    rows = columns = 1
    while True:
        widest = min(far, max(_SHORTEST_MARGIN, _margin(height, width, rows, columns)))
        for margin in range(widest, min(widest, _SHORTEST_MARGIN) - 1, -1):
            made = (_spans(height, rows, margin), _spans(width, columns, margin))
            window = [max(span.last - span.first for span in spans) for spans in made]
            held, frame = streamed_bytes(decoder, latents, *window)
            left = (budget_bytes - held) // _AT_ONCE
            if left >= frame:
                break
        if (left >= frame and rows * columns >= least_tiles) or (rows, columns) == (height, width):
            cut = rows * columns > 1 and margin < far
            return Plan(*made, margin // 2 if cut else 0, max(frame, min(most, left)))
        if height / rows >= width / columns:
            rows += 1
        else:
            columns += 1


def plan_if_needed(decoder: Any, latents: torch.Tensor, step_bytes: int, free_bytes: int | None, ranks: int = 1) -> Plan | None:
    """How to decode what at once would make an activation above ``step_bytes`` or not fit what is free; else ``None``.

    Several ``ranks`` get tiles of their own where that is so much faster that it pays.
    """
    budget = sys.maxsize if free_bytes is None else int(_USABLE * free_bytes)
    if ranks > 1:
        shared = plan(decoder, latents, budget, step_bytes=step_bytes, least_tiles=ranks)
        if shared.speedup(ranks) >= _WORTH_SHARING:
            return shared
    if largest_bytes(decoder, latents) <= step_bytes and whole_bytes(decoder, latents) <= budget:
        return None
    return plan(decoder, latents, budget, step_bytes=step_bytes)


def streamed_bytes(decoder: Any, latents: torch.Tensor, height: int, width: int) -> tuple[int, int]:
    """What streaming a tile of so many cells keeps all the time, and the largest activation of its shortest step."""
    cells = latents.shape[0] * height * width * latents.element_size()
    found = layers(decoder)
    held = sum(_HELD_FRAMES * layer.inputs * layer.side**2 for layer in found) * cells
    return held, max(max(layer.inputs, layer.outputs) * layer.side**2 for layer in found) * cells


@torch.inference_mode()
def decode(vae: Any, latents_BCFHW: torch.Tensor, timestep: torch.Tensor | None, tiles: Plan) -> Iterator[Part]:
    """What ``vae.decode(latents, timestep)`` gives untiled, in parts; ``put`` lays them into a picture in this order."""
    height, width = latents_BCFHW.shape[-2:]
    noise = draw_noise(vae.decoder, height, width, latents_BCFHW)
    for index in range(len(tiles.tiles)):
        yield from decode_tile(vae, Decoding(latents_BCFHW, timestep, tiles, noise), index)


@dataclass(frozen=True)
class Decoding:
    """What is decoded, how, and with which noise (``draw_noise``)."""

    latents_BCFHW: torch.Tensor
    timestep: torch.Tensor | None
    plan: Plan
    noise: tuple[torch.Tensor, ...]


@torch.inference_mode()
def decode_tile(vae: Any, work: Decoding, index: int) -> Iterator[Part]:
    """The parts of one tile of ``work.plan.tiles``."""
    decoder, scale, tiles = vae.decoder, vae.spatial_compression_ratio, work.plan
    height, width = work.latents_BCFHW.shape[-2:]
    row, column = tiles.tiles[index]
    window = Window(row.first, row.last, column.first, column.last, height, width)
    steps = Steps(tiles.step_bytes, bool(decoder.is_causal), crop_noise(work.noise, window))
    cut = work.latents_BCFHW[..., row.first : row.last, column.first : column.last]
    top, left, rise = corner(vae, work, index)
    *_, tall, wide = tile_shape(vae, work, index)
    frame = 0
    for pixels in stream(decoder, cut, work.timestep, steps):
        above, before = top - scale * row.first, left - scale * column.first
        yield Part(pixels[..., above : above + tall, before : before + wide], frame, top, left, rise)
        frame += pixels.shape[2]


def corner(vae: Any, work: Decoding, index: int) -> tuple[int, int, tuple[torch.Tensor, torch.Tensor] | None]:
    """The pixel of the picture where a tile's kept pixels begin, and how these rise."""
    row, column = work.plan.tiles[index]
    height, width = work.latents_BCFHW.shape[-2:]
    scale, fade = vae.spatial_compression_ratio, work.plan.fade
    rise = None if work.plan.is_exact else (_rise(row, fade, scale), _rise(column, fade, scale))
    return _kept(row, height, fade, scale)[0], _kept(column, width, fade, scale)[0], rise


def tile_shape(vae: Any, work: Decoding, index: int) -> tuple[int, ...]:
    """Of the pixels ``[B, 3, F, H, W]`` that all parts of a tile hold together."""
    batch, _, frames, height, width = work.latents_BCFHW.shape
    row, column = work.plan.tiles[index]
    scale, fade = vae.spatial_compression_ratio, work.plan.fade
    (top, down), (left, right) = _kept(row, height, fade, scale), _kept(column, width, fade, scale)
    return batch, 3, (frames - 1) * vae.temporal_compression_ratio + 1, down - top, right - left


def put(part: Part, picture: torch.Tensor, finish: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Lay ``finish(part.pixels)`` into ``picture``, both ``[B, 3, F, H, W]``; whole numbers are rounded."""
    made = finish(part.pixels)
    frames, height, width = made.shape[2:]
    place = picture[:, :, part.frame : part.frame + frames, part.top : part.top + height, part.left : part.left + width]
    if part.rise is not None:
        rows, columns = (each[:size].to(made) for each, size in zip(part.rise, (height, width), strict=True))
        weight = rows[:, None] * columns
        made = torch.where(weight < 1, torch.lerp(place.to(made), made, weight), made)  # nothing may lie there yet
    place.copy_(made if picture.is_floating_point() else made.round_())


def audio_reach(decoder: Any) -> int | None:
    """Latent frames before its own that a frame of an LTX-2 audio decoder depends on; ``None`` if it also looks ahead."""
    convolutions: list[float] = [2, 4, 4]
    if decoder.causality_axis != "height" or decoder.norm_type != "pixel" or decoder.attn_resolutions:
        return None
    if not isinstance(decoder.mid.attn_1, torch.nn.Identity):
        return None
    scale = 1
    for level in reversed(range(len(decoder.up))):
        convolutions += [4 / scale] * len(decoder.up[level].block)
        if level:
            scale *= 2
            convolutions.append(2 / scale)
    return ceil(sum(convolutions) + 2 / scale)


@torch.inference_mode()
def decode_mel(vae: Any, latents_BCLM: torch.Tensor, chunk: int) -> torch.Tensor:
    """``vae.decode(latents)``, ``chunk`` latent frames at once with all that they depend on before them."""
    before, ratio = audio_reach(vae.decoder), vae.temporal_compression_ratio
    if before is None or latents_BCLM.shape[2] <= before + chunk:
        whole: torch.Tensor = vae.decode(latents_BCLM, return_dict=False)[0]
        return whole
    parts = []
    for start in range(0, latents_BCLM.shape[2], chunk):
        first = max(0, start - before)
        made = vae.decode(latents_BCLM[:, :, first : start + chunk], return_dict=False)[0]
        # The first latent frame makes one spectrum, each later one `ratio` of them.
        parts.append(made[:, :, max(0, ratio * (start - first) - (ratio - 1)) :])
    return torch.cat(parts, dim=2)


def _layer(conv: Any, frames: int, side: int) -> Layer:
    return Layer(conv.in_channels, conv.out_channels, frames, side)


def _margin(height: int, width: int, rows: int, columns: int) -> int:
    """The most cells around tiles that cost no more than ``_COST_OF_EXACT`` times the picture."""
    found = 0
    while found < max(height, width):
        spans = (_spans(size, count, found + 1) for size, count in ((height, rows), (width, columns)))
        down, across = (sum(span.last - span.first for span in each) for each in spans)
        if down * across > _COST_OF_EXACT * height * width:
            break
        found += 1
    return found


def _spans(size: int, count: int, margin: int) -> tuple[Span, ...]:
    """``count`` tiles as equal as cells allow, with a margin of cells where the picture goes on."""
    edges = [round(size * number / count) for number in range(count + 1)]
    return tuple(Span(max(0, start - margin), start, stop, min(size, stop + margin)) for start, stop in pairwise(edges))


def _kept(span: Span, size: int, fade: int, scale: int) -> tuple[int, int]:
    """Pixels of a tile that are used: its own, and those that fade."""
    return scale * max(0, span.start - fade), scale * min(size, span.stop + fade)


def _rise(span: Span, fade: int, scale: int) -> torch.Tensor:
    """How much each kept pixel of an axis counts against the tile before: from 0 to 1 around the border, then 1."""
    begin = max(0, span.start - fade)
    wide = scale * (span.start - begin)
    length = scale * (span.last - begin)
    if wide == 0:
        return torch.ones(length)
    return ((torch.arange(length) + 0.5) / (2 * wide)).clamp(max=1)
