"""How well a reading agrees with labels. Standard library only."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet


def f1(labelled: Sequence[AbstractSet[Hashable]], found: Sequence[AbstractSet[Hashable]]) -> float:
    """Micro-averaged F1 over prompts, 0 to 1: what was found counts only where it is a label exactly, position included."""
    right = sum(len(label & read) for label, read in zip(labelled, found, strict=True))
    total = sum(len(label) + len(read) for label, read in zip(labelled, found, strict=True))
    return 2 * right / total if total else 1.0
