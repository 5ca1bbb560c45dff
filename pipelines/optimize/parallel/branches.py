"""The branches of a guided step on ranks of their own: number 0 keeps the latents, the others evaluate what they are given."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import torch

from pipelines.guidance import Branch
from pipelines.models.ltx2.latents import Canvas
from pipelines.optimize.blocks import Both
from pipelines.optimize.parallel.link import Links
from pipelines.optimize.parallel.sequence import sequence_parallel
from pipelines.passes import Latents, Passes

Shares = tuple[frozenset[Branch], ...]
"""What each rank of the branches evaluates."""


@lru_cache
def share_out(wanted: frozenset[Branch], ranks: int, prefix: float) -> Shares:
    """The fastest way to share ``wanted`` out to ``ranks``: that whose busiest rank has least to do.

    ``prefix`` is the share of the blocks that the perturbed branch need not compute where the positive one is.
    """
    branches = sorted(wanted, key=lambda branch: branch.value != "positive")
    ways = (
        tuple(frozenset(b for b, owner in zip(branches, owners, strict=True) if owner == rank) for rank in range(ranks))
        for owners in product(range(min(ranks, len(branches))), repeat=len(branches))
    )
    return min(ways, key=lambda way: (busiest(way, prefix), sum(load(mine, prefix) for mine in way)))


def load(mine: frozenset[Branch], prefix: float) -> float:
    """Evaluations that these branches cost one rank."""
    return len(mine) - prefix * ({Branch.POSITIVE, Branch.PERTURBED} <= mine)


def busiest(shares: Shares, prefix: float) -> float:
    """Evaluations of the rank that has most to do, which all others wait for."""
    return max(load(mine, prefix) for mine in shares)


def prefix_of(passes: Passes) -> float:
    """The share of the blocks before the first that STG perturbs."""
    return min(passes.steering.guidance.stg_blocks, default=0) / len(passes.model.transformer.transformer_blocks)


@torch.inference_mode()
def step(links: Links, passes: Passes, shares: Shares, now: Latents | None, timestep: torch.Tensor) -> dict[Branch, Both]:
    """One evaluation by the whole group, called by every rank at the same time; rank 0 gives ``now`` and gets the velocities."""
    now = _spread(links, passes, now)
    mine = shares[links.place.branch]
    with sequence_parallel(passes.model.transformer, links):
        found = Passes.evaluate(passes, now, timestep, mine) if mine else {}
    return _collect(links, passes, shares, found)


def _spread(links: Links, passes: Passes, now: Latents | None) -> Latents:
    """Everybody's copy of rank 0's latents."""
    shapes, device = _shapes(passes), passes.model.device
    flat = torch.empty(0, device=device) if now is None else torch.cat([now.video_BND.flatten(), now.audio_BND.flatten()])
    size = sum(shape[1] * shape[2] for shape in shapes)
    world = links.world
    parts = [flat if number else flat[:0] for number in range(world.size)] if now is not None else [flat] * world.size
    got = world.exchange(parts, [(size if number == 0 and world.index else 0,) for number in range(world.size)])
    whole = got[0] if now is None else flat
    video, audio = whole.split([shape[1] * shape[2] for shape in shapes])
    return Latents(video.view(shapes[0]), audio.view(shapes[1]))


def _collect(links: Links, passes: Passes, shares: Shares, found: dict[Branch, Both]) -> dict[Branch, Both]:
    """All velocities on rank 0, from the first rank of each branch; nothing on the others."""
    world, shapes, leaders = links.world, _shapes(passes), links.layout.leaders()
    size = sum(shape[1] * shape[2] for shape in shapes)
    leads = leaders[links.place.branch] == world.index
    made = [x.flatten() for branch in sorted(found, key=str) for x in found[branch]] if leads else []
    flat = torch.cat(made) if made else torch.empty(0, device=passes.model.device)
    owned = {rank: sorted(shares[number], key=str) for number, rank in enumerate(leaders)}
    parts = [flat if number == 0 else flat[:0] for number in range(world.size)]
    sizes = [size * len(owned.get(number, ())) if world.index == 0 else 0 for number in range(world.size)]
    got = world.exchange(parts, [(each,) for each in sizes])
    if world.index:
        return {}
    velocities: dict[Branch, Both] = {}
    for rank, branches in owned.items():
        for branch, each in zip(branches, got[rank].split(size) if branches else (), strict=True):
            video, audio = each.split([shape[1] * shape[2] for shape in shapes])
            velocities[branch] = video.view(shapes[0]), audio.view(shapes[1])
    return velocities


def _shapes(passes: Passes) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Of packed latents of picture and sound."""
    canvas: Canvas = passes.canvas
    config = passes.model.transformer.config
    video = (1, canvas.video_tokens, config.in_channels)
    return video, (1, canvas.audio_frames, config.audio_in_channels)
