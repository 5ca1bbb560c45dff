"""Tiles of a picture decoded by all ranks in turns; rank 0 gets their pixels, in the decoder's own precision."""

from __future__ import annotations

from typing import Any

import torch

from pipelines.optimize.parallel.link import Link
from pipelines.optimize.tiling import Decoding, Part, corner, decode_tile, tile_shape


@torch.inference_mode()
def decode_turn(link: Link, vae: Any, work: Decoding, first: int) -> list[Part]:
    """Each rank decodes one tile, number ``first`` and those after it; all tiles on rank 0, in their order.

    Every rank calls this at the same time. All ranks but 0 send ``3 F H W`` numbers of the kept pixels of their tiles.
    """
    turn = [index for index in range(first, first + link.size) if index < len(work.plan.tiles)]
    nothing = work.latents_BCFHW.flatten()[:0]
    mine = list(decode_tile(vae, work, turn[link.index])) if link.index < len(turn) else []
    pixels = torch.cat([part.pixels for part in mine], dim=2).contiguous() if mine else nothing
    shapes = [tile_shape(vae, work, turn[rank]) if rank < len(turn) else (0,) for rank in range(link.size)]
    made = link.exchange([pixels] + [nothing] * (link.size - 1), shapes if link.index == 0 else [(0,)] * link.size)
    if link.index:
        return []
    return [Part(each, 0, *corner(vae, work, index)) for each, index in zip(made, turn, strict=False)]
