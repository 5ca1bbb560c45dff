"""Rendering on all cores that training leaves free: an accelerator would otherwise wait for its pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from typing import TypeVar

Task = TypeVar("Task")
Made = TypeVar("Made")

_KEPT = 2  # for the training process itself


def spread(function: Callable[[Task], Made], tasks: Sequence[Task], workers: int | None = None) -> list[Made]:
    """``function`` of each task, in order, by child processes where at least two cores are free, else right here.

    What is made is the same either way. ``function`` and tasks have to be picklable.
    """
    if workers is None:
        workers = (os.cpu_count() or 1) - _KEPT
    if workers < 2 or len(tasks) < 2:
        return [function(task) for task in tasks]
    return list(_pool(workers).map(function, tasks, chunksize=math.ceil(len(tasks) / workers)))


@lru_cache(maxsize=2)
def _pool(workers: int) -> ProcessPoolExecutor:
    """Spawned, not forked: a forked child would inherit torch's threads as they stand."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
