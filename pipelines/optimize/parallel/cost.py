"""Which layout is the fastest for a clip: arithmetic of the busiest rank, bytes over the link, memory of each rank.

A step takes as long as its busiest rank computes and then as long as its bytes take: exchanges are not hidden behind arithmetic.
So no layout is ever predicted to be faster than its number of ranks. ``benchmarks/parallel.py`` holds the predictions against
published tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.guidance import Branch
from pipelines.optimize.parallel.branches import Shares, share_out
from pipelines.optimize.parallel.layout import Layout, shares
from pipelines.optimize.parallel.traffic import Call, Shape, call_bytes, calls_of


@dataclass(frozen=True)
class Machine:
    """What a rank does in a second. A ``shared`` link, such as PCIe, carries the bytes of all ranks together."""

    flops: float
    link_bytes: float
    shared: bool = False
    memory_bytes: float = float("inf")


# Sustained, not peak: HunyuanVideo on one H100 in xDiT's table, and what its and TensorRT-LLM's exchanges took over NVLink.
NVLINK = Machine(flops=370e12, link_bytes=200e9)
PCIE = Machine(flops=110e12, link_bytes=17e9, shared=True)


@dataclass(frozen=True)
class Weights:
    """Bytes that every rank holds, and those of them that tensor parallelism splits."""

    total: float = 0.0
    feed_forward: float = 0.0


@dataclass(frozen=True)
class Cost:
    """Of one step: seconds of arithmetic and of exchanges, bytes that all ranks send, bytes that each holds."""

    compute_s: float
    link_s: float
    sent_bytes: float
    held_bytes: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.compute_s + self.link_s


@dataclass(frozen=True)
class Choice:
    """A layout, what it costs, how many times faster than one rank it is, and why it was chosen."""

    layout: Layout
    cost: Cost
    speedup: float
    why: str


def call_flops(layout: Layout, shape: Shape, call: Call) -> float:
    """Floating-point operations of the busiest rank in one call."""
    text, total = shape.text_tokens, 0.0
    video, audio = (shares(stream.tokens, layout.sequence)[0] for stream in (shape.video, shape.audio))
    wide, narrow = shape.video.width, shape.audio.width
    for stream, mine, width in ((shape.video, video, wide), (shape.audio, audio, narrow)):
        own = 8 * mine * width**2 * call.blocks + 4 * mine * stream.tokens * width * call.attending
        read = 4 * (mine + text) * width**2 + 4 * mine * text * width
        total += own + call.blocks * (read + 16 * mine * width**2 / layout.tensor)
    met = 8 * video * wide * narrow + 8 * audio * narrow**2 + 8 * video * shape.audio.tokens * narrow
    return call.batch * (total + call.blocks * met * call.meets)


def cost_of(layout: Layout, shape: Shape, shared: Shares, machine: Machine, weights: Weights) -> Cost:
    """Of one step whose branches are ``shared`` out so."""
    calls = [list(calls_of(mine, shape)) for mine in shared]
    compute = max(sum(call_flops(layout, shape, call) for call in each) for each in calls) / machine.flops
    sent = [sum(call_bytes(layout, shape, call) for call in each) for each in calls]
    ranks = layout.sequence * layout.tensor
    link = sum(sent) / machine.link_bytes if machine.shared else max(sent) / ranks / machine.link_bytes
    return Cost(compute, link, sum(sent), held_bytes(layout, shape, shared, weights))


def held_bytes(layout: Layout, shape: Shape, shared: Shares, weights: Weights) -> float:
    """Bytes of the fullest rank: its weights, and what a block holds of its tokens (14 widths, as in ``optimize.memory``)."""
    batch = max(call.batch for mine in shared for call in calls_of(mine, shape))
    parts = [shares(stream.tokens, layout.sequence)[0] * stream.width for stream in (shape.video, shape.audio)]
    kept = weights.total - weights.feed_forward * (1 - 1 / layout.tensor)
    return kept + 14 * batch * shape.element_bytes * sum(parts)


def layouts_of(size: int, shape: Shape, branches: int, tensors: Sequence[int] = (1,)) -> Iterator[Layout]:
    """Every layout of ``size`` ranks that the model and the clip's tokens allow."""
    least = min(stream.tokens for stream in (shape.video, shape.audio) if stream.width)
    for tensor in (each for each in tensors if size % each == 0):
        for branch in (each for each in range(1, branches + 1) if size // tensor % each == 0):
            rest = size // tensor // branch
            for ulysses in (each for each in range(1, rest + 1) if rest % each == 0):
                if shape.heads % ulysses == 0 and shape.video_heads % ulysses == 0 and rest <= least:
                    yield Layout(branch, rest // ulysses, ulysses, tensor)


@dataclass(frozen=True)
class Task:
    """What is to be shared out: a clip's shape, its guidance branches, the machine and the weights."""

    shape: Shape
    branches: frozenset[Branch]
    machine: Machine
    weights: Weights = Weights()

    def cost(self, layout: Layout) -> Cost:
        """Of one step under ``layout``."""
        prefix = self.shape.perturbed_from / self.shape.blocks
        return cost_of(layout, self.shape, share_out(self.branches, layout.branches, prefix), self.machine, self.weights)


def choose(task: Task, size: int, tensors: Sequence[int] = (1,)) -> Choice:
    """The fastest layout that fits, of up to ``size`` ranks, as more need not be faster; if none fits, the smallest."""
    found = {
        layout: task.cost(layout)
        for count in range(1, size + 1)
        for layout in layouts_of(count, task.shape, len(task.branches), tensors)
    }
    alone = task.cost(Layout()).seconds
    fitting = {layout: cost for layout, cost in found.items() if cost.held_bytes <= task.machine.memory_bytes}
    if not fitting:
        layout = min(found, key=lambda each: found[each].held_bytes)
        why = f"{layout}, because nothing fits and it holds least, {found[layout].held_bytes / 1e9:.1f} GB each"
        return Choice(layout, found[layout], alone / found[layout].seconds, why)
    ranked = sorted(fitting, key=lambda each: (round(fitting[each].seconds, 9), each.size, each.ring))
    layout, cost = ranked[0], fitting[ranked[0]]
    why = f"{layout} on {layout.size} rank{'s' * (layout.size > 1)}, because a step takes {cost.seconds:.3g} s"
    if len(ranked) > 1:
        why += f" and {fitting[ranked[1]].seconds:.3g} s with {ranked[1]}"
    why += f"; each holds {cost.held_bytes / 1e9:.1f} GB and all send {cost.sent_bytes / 1e9:.2f} GB a step"
    return Choice(layout, cost, alone / cost.seconds, why)
