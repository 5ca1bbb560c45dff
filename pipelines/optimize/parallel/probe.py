"""How fast the ranks of a group compute and talk, measured when they meet."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from pipelines.optimize.parallel.cost import Machine
from pipelines.optimize.parallel.link import Link

_PART_BYTES = {"cpu": 1 << 20, "cuda": 1 << 25}
_SIDE = {"cpu": 384, "cuda": 4096}
_SUSTAINED = 0.6
"""What a transformer is taken to sustain of the speed of one large product; only its ratio to the link decides anything."""
_TRIES = 3


def measured(link: Link, device: torch.device, dtype: torch.dtype) -> Machine:
    """What this rank does while all ranks of ``link`` do the same; every rank calls this at the same time."""
    part = torch.ones(_PART_BYTES[device.type] // dtype.itemsize, device=device, dtype=dtype)
    square = torch.ones(_SIDE[device.type], _SIDE[device.type], device=device, dtype=dtype)
    sent = part.numel() * dtype.itemsize * (link.size - 1)
    exchange_s = _quickest(lambda: link.exchange([part] * link.size, [part.shape] * link.size), device)
    product_s = _quickest(lambda: square @ square, device)
    memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else float("inf")
    return Machine(_SUSTAINED * 2 * len(square) ** 3 / product_s, max(1, sent) / exchange_s, memory_bytes=memory)


def _quickest(call: Callable[[], object], device: torch.device) -> float:
    seconds = []
    for _ in range(_TRIES):
        begin = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
