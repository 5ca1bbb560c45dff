"""Batches drawn beside the training step that uses the one before, and still exactly repeatable."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np

Batch = TypeVar("Batch")


class Ahead(Generic[Batch]):
    """Draws the next batch in a thread of its own; rendering then costs a step nothing while a core is free.

    ``rng`` always stands where the next ``take`` begins, not where the thread already is, so that a checkpoint which stores
    it continues with the same batches.
    """

    def __init__(self, rng: np.random.Generator, draw: Callable[[np.random.Generator], Batch]) -> None:
        self._rng, self._draw = rng, draw
        self._thread = ThreadPoolExecutor(1, "batches")
        self._next: Future[tuple[Batch, np.random.Generator]] | None = None

    def take(self) -> Batch:
        """The next batch; the one after it is begun."""
        batch, after = (self._next or self._begin()).result()
        self._rng.bit_generator.state = after.bit_generator.state
        self._next = self._begin()
        return batch

    def _begin(self) -> Future[tuple[Batch, np.random.Generator]]:
        copy = np.random.default_rng()
        copy.bit_generator.state = self._rng.bit_generator.state
        return self._thread.submit(lambda: (self._draw(copy), copy))
