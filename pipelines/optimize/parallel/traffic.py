"""How many bytes a group sends for one step: the formula that the counted bytes equal.

Of a stream with ``n`` tokens of width ``w`` and ``H`` heads, all ranks together send for each block of one call, times its
prompts, where the tokens lie on ``S = R * U`` ranks (ring, Ulysses) and the width on ``T``:

- self-attention: ``4 n w (U - 1) / U`` numbers by Ulysses, ``2 n w (R - 1)`` around the ring; for both streams;
- picture that hears sound: ``2 n w (S - 1)`` numbers of the sound's keys and values;
- sound that sees picture: ``n w (S - 1)`` numbers of its queries, and ``n (w + H) (S - 1)`` numbers in fp32 of what they find;
- feed-forward: ``2 n w (T - 1)`` numbers, for both streams.

Each call sends the outputs of all ranks but the first. Each step sends the latents in fp32 to all ranks but rank 0, and the
velocities of each branch back, unless it is rank 0's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipelines.guidance import Branch
from pipelines.optimize.parallel.branches import Shares
from pipelines.optimize.parallel.layout import Layout, shares

_FP32 = 4


@dataclass(frozen=True)
class Stream:
    """Tokens of one stream, its width, and the features of one of its latents."""

    tokens: int
    width: int
    features: int


@dataclass(frozen=True)
class Shape:
    """What a step's cost depends on: the clip's tokens and the transformer's widths."""

    video: Stream
    audio: Stream
    blocks: int
    heads: int
    video_heads: int
    element_bytes: int = 2
    text_tokens: int = 1024
    perturbed_from: int = 0
    """The first block that STG perturbs."""
    perturbed_blocks: int = 0

    @classmethod
    def of(cls, passes: Any) -> Shape:
        """Of a run's ``Passes``."""
        canvas, config = passes.canvas, passes.model.transformer.config
        perturbed = passes.steering.guidance.stg_blocks
        return cls(
            Stream(
                canvas.video_tokens,
                config.num_attention_heads * config.attention_head_dim,
                config.in_channels,
            ),
            Stream(
                canvas.audio_frames, config.audio_num_attention_heads * config.audio_attention_head_dim, config.audio_in_channels
            ),
            config.num_layers,
            config.audio_num_attention_heads,
            config.num_attention_heads,
            passes.model.dtype.itemsize,
            passes.steering.positive.mask_BS.shape[1],
            min(perturbed, default=0),
            len(set(perturbed)),
        )

    @property
    def latents(self) -> int:
        """Numbers of both streams' latents."""
        return sum(stream.tokens * stream.features for stream in (self.video, self.audio))


@dataclass(frozen=True)
class Call:
    """One transformer call: prompts at once, blocks that run, those of them with self-attention, whether the streams meet."""

    batch: int
    blocks: int
    attending: int
    meets: bool


def calls_of(mine: frozenset[Branch], shape: Shape) -> Iterable[Call]:
    """The calls of a rank that evaluates these branches, as ``Passes.evaluate`` makes them."""
    if prompts := len(mine & {Branch.NEGATIVE, Branch.POSITIVE}):
        yield Call(prompts, shape.blocks, shape.blocks, True)
    if Branch.PERTURBED in mine:
        ran = shape.blocks - shape.perturbed_from * (Branch.POSITIVE in mine)
        yield Call(1, ran, ran - shape.perturbed_blocks, True)
    if Branch.ISOLATED in mine:
        yield Call(1, shape.blocks, shape.blocks, False)


def call_bytes(layout: Layout, shape: Shape, call: Call) -> int:
    """What the ranks of one branch send each other for one call."""
    parts, video, audio = layout.sequence, shape.video, shape.audio
    wide = video.tokens * video.width + audio.tokens * audio.width
    sound = audio.tokens * audio.width
    exchanged = 4 * wide * (layout.ulysses - 1) // layout.ulysses + 2 * wide * (layout.ring - 1)
    met = 3 * sound * (parts - 1) * shape.element_bytes + audio.tokens * (audio.width + shape.heads) * (parts - 1) * _FP32
    summed = 2 * wide * (layout.tensor - 1)
    first = [shares(stream.tokens, parts)[0] for stream in (video, audio)]
    out = sum((s.tokens - kept) * s.features for s, kept in zip((video, audio), first, strict=True))
    along = shape.element_bytes * (call.attending * exchanged + out) + call.blocks * met * call.meets
    return call.batch * (along * layout.tensor + shape.element_bytes * call.blocks * summed)


def step_bytes(layout: Layout, shape: Shape, shared: Shares) -> int:
    """What the whole group sends for one step whose branches are ``shared`` out so."""
    calls = sum(call_bytes(layout, shape, call) for mine in shared for call in calls_of(mine, shape))
    abroad = sum(len(mine) for mine in shared[1:])
    return calls + _FP32 * shape.latents * (layout.size - 1 + abroad)
