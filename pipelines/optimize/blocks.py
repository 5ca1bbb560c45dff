"""Watch or replace what a transformer's blocks do during one call, without touching the model's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch

Both = tuple[torch.Tensor, torch.Tensor]
"""Hidden states of picture and sound, each ``[B, N, width]``."""


class Director(Protocol):
    """Decides what becomes of each block of one transformer call."""

    def run(self, index: int, block: Callable[..., Both], **states: Any) -> Both:
        """Both streams after block ``index``, whose arguments are ``states``."""


@contextmanager
def directed(transformer: Any, director: Director) -> Iterator[None]:
    """Every block of ``transformer`` goes through ``director`` for as long as the context lasts."""
    own = [(block, block.forward, "forward" in vars(block)) for block in transformer.transformer_blocks]
    for index, (block, forward, _) in enumerate(own):
        block.forward = partial(director.run, index, forward)
    try:
        yield
    finally:
        for block, forward, was_put_on in own:
            if was_put_on:
                block.forward = forward
            else:
                del block.forward  # the class's own shows again


@dataclass
class Recorder:
    """Notes what goes into block ``at``: those ``rows`` of the batch that go on from there in another call."""

    at: int
    rows: Sequence[int]
    seen: Both | None = None

    def run(self, index: int, block: Callable[..., Both], **states: Any) -> Both:
        """The block as it is."""
        if index == self.at:
            rows = list(self.rows)
            self.seen = states["hidden_states"][rows], states["audio_hidden_states"][rows]
        return block(**states)


@dataclass(frozen=True)
class Resumer:
    """Begins at block ``at`` with ``begin``: the blocks before it would have made just that."""

    at: int
    begin: Both

    def run(self, index: int, block: Callable[..., Both], **states: Any) -> Both:
        """Nothing before ``at``, the block as it is from there on."""
        if index < self.at:
            return states["hidden_states"], states["audio_hidden_states"]
        if index == self.at:
            states |= {"hidden_states": self.begin[0], "audio_hidden_states": self.begin[1]}
        return block(**states)
