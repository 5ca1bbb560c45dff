"""How much two LoRAs fight: whether they push the same layers the same way, against each other, or past each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.lora.file import LoraFile, tensor_of


@dataclass(frozen=True)
class Conflict:
    """``cosine`` of the two changes of all weights, -1..1: below 0 they undo each other, above 0 they add up to too much.

    ``overlap`` 0..1 is how much of what either changes lies where the other changes something too.
    """

    cosine: float
    overlap: float

    @property
    def level(self) -> str:
        """In a word: "none", "some" or "strong"."""
        worst = max(abs(self.cosine), self.overlap)
        return "strong" if worst >= 0.5 else "some" if worst >= 0.2 else "none"


def conflict(one: LoraFile, two: LoraFile) -> Conflict:
    """Compare two checked LoRAs without ever forming a full weight change.

    With ``D = up @ down``, ``<D1, D2> = trace((up2.T up1) (down1 down2.T))``. The overlap is that of the subspaces which the
    changes write to and read from, weighted by size: ``|P1 D2 Q1|^2 / |D2|^2`` with ``P`` and ``Q`` the projections on the
    columns of ``up`` and the rows of ``down``, the smaller of both ways.
    """
    inner = 0.0
    sizes = [0.0, 0.0]
    shared = [0.0, 0.0]
    for module in sorted(set(one.layers) | set(two.layers)):
        halves = [_halves(lora, module) for lora in (one, two)]
        for index, pair in enumerate(halves):
            if pair is not None:
                sizes[index] += _inner(pair, pair)
        first, second = halves
        if first is None or second is None:
            continue
        inner += _inner(first, second)
        shared[0] += _within(first, second)
        shared[1] += _within(second, first)
    if min(sizes) <= 0:
        return Conflict(0.0, 0.0)
    cosine = inner / float(np.sqrt(sizes[0] * sizes[1]))
    return Conflict(float(np.clip(cosine, -1, 1)), float(np.clip(min(shared[0] / sizes[0], shared[1] / sizes[1]), 0, 1)))


_Halves = tuple[np.ndarray, np.ndarray]


def _halves(lora: LoraFile, module: str) -> _Halves | None:
    """``up`` ``[out, r]`` with its scale, and ``down`` ``[r, in]``."""
    layer = lora.layers.get(module)
    if layer is None:
        return None
    return layer.scale * tensor_of(lora.path, layer.up).astype(np.float64), tensor_of(lora.path, layer.down).astype(np.float64)


def _inner(one: _Halves, two: _Halves) -> float:
    return float(np.sum((two[0].T @ one[0]) * (two[1] @ one[1].T)))


def _within(one: _Halves, two: _Halves) -> float:
    """Squared size of the part of ``one``'s change that writes and reads where ``two`` does."""
    write, read = np.linalg.qr(two[0])[0], np.linalg.qr(two[1].T)[0]
    left, right = write.T @ one[0], one[1] @ read
    return float(np.sum((left.T @ left) * (right @ right.T)))
