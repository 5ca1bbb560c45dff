"""What ranks send each other: one primitive, an exchange of unequal parts, so that every byte that leaves a rank is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import torch
import torch.distributed as dist

from pipelines.optimize.parallel.layout import Layout, Place, shares


class Link:
    """A few ranks that talk to each other; this rank is number ``index`` of ``size``."""

    def __init__(self, ranks: Sequence[int], rank: int, group: dist.ProcessGroup | None) -> None:
        self.size = len(ranks)
        self.index = ranks.index(rank)
        self.sent_bytes = 0
        self._group = group

    def exchange(self, parts: Sequence[torch.Tensor], shapes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """``parts[i]`` goes to number i, what comes from number i has ``shapes[i]``; all of one dtype, sizes may be 0."""
        if self.size == 1:
            return [parts[0]]
        sizes_out, sizes_in = [part.numel() for part in parts], [prod(shape) for shape in shapes]
        sent = torch.cat([part.reshape(-1) for part in parts])
        got = sent.new_empty(sum(sizes_in))
        dist.all_to_all_single(got, sent, sizes_in, sizes_out, group=self._group)
        self.sent_bytes += (sum(sizes_out) - sizes_out[self.index]) * sent.element_size()
        return [piece.view(*shape) for piece, shape in zip(got.split(sizes_in), shapes, strict=True)]

    def gather(self, x: torch.Tensor, count: int, dim: int) -> torch.Tensor:
        """All ranks' parts of an axis that has ``count`` in all, on every rank."""
        made = self.exchange([x] * self.size, [_resized(x, dim, share) for share in shares(count, self.size)])
        return torch.cat(made, dim=dim)

    def gather_first(self, x: torch.Tensor, count: int, dim: int) -> torch.Tensor:
        """The same on number 0 only; others get an empty axis."""
        nothing = x.narrow(dim, 0, 0)
        sizes = [share if self.index == 0 else 0 for share in shares(count, self.size)]
        parts = [x if number == 0 else nothing for number in range(self.size)]
        return torch.cat(self.exchange(parts, [_resized(x, dim, size) for size in sizes]), dim=dim)

    def shift(self, x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """``x`` goes to the next number, what the number before sends has ``shape``."""
        after, before = (self.index + 1) % self.size, (self.index - 1) % self.size
        nothing = x.reshape(-1)[:0]
        parts = [x if number == after else nothing for number in range(self.size)]
        made = self.exchange(parts, [shape if number == before else (0,) for number in range(self.size)])
        return made[before]

    def total(self, x: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks, on every rank and the same on each: a part is summed by one rank, then all are gathered."""
        if self.size == 1:
            return x
        flat = x.reshape(-1)
        parts = flat.tensor_split(self.size)
        mine = torch.stack(self.exchange(parts, [parts[self.index].shape] * self.size)).sum(dim=0)
        return self.gather(mine, len(flat), 0).view_as(x)


@dataclass(frozen=True)
class Links:
    """The links of one rank under a layout; ``world`` holds all ranks that have a place in it."""

    layout: Layout
    place: Place
    world: Link
    sequence: Link
    ring: Link
    ulysses: Link
    tensor: Link

    @property
    def sent_bytes(self) -> int:
        """What this rank has sent over all of them."""
        return sum(link.sent_bytes for link in (self.world, self.sequence, self.ring, self.ulysses, self.tensor))


def connect(layout: Layout, rank: int) -> Links | None:
    """The links of ``rank``, ``None`` where the layout has no place for it.

    Every rank of the group calls this at the same time, as new groups need all of them.
    """
    everyone = range(layout.size)

    def link(along: Callable[[Place], list[Place]]) -> Link | None:
        mine: Link | None = None
        for ranks in sorted({tuple(layout.rank(place) for place in along(layout.place(each))) for each in everyone}):
            group = dist.new_group(list(ranks)) if len(ranks) > 1 else None
            if rank in ranks:
                mine = Link(ranks, rank, group)
        return mine

    found = dict(
        world=link(lambda _: [layout.place(each) for each in everyone]),
        sequence=link(lambda p: [replace(p, ring=r, ulysses=u) for r, u in product(range(layout.ring), range(layout.ulysses))]),
        ring=link(lambda p: [replace(p, ring=r) for r in range(layout.ring)]),
        ulysses=link(lambda p: [replace(p, ulysses=u) for u in range(layout.ulysses)]),
        tensor=link(lambda p: [replace(p, tensor=t) for t in range(layout.tensor)]),
    )
    links = {name: each for name, each in found.items() if each is not None}
    return Links(layout, layout.place(rank), **links) if links else None


def _resized(x: torch.Tensor, dim: int, size: int) -> list[int]:
    shape = list(x.shape)
    shape[dim] = size
    return shape
