"""Which of the kept things leaves when room is needed: least frequently used, with dynamic ageing.

Arlitt, Cherkasova, Dilley, Friedrich and Jin, "Evaluating content management techniques for Web proxy caches" (2000). A
thing is worth its uses plus the clock at its latest one; the clock rises to the worth of whatever left last, so that fame
fades. This is GreedyDual-Size-Frequency where the price of making a thing again is proportional to its size, as it is for
texts: both grow with the model's width and the number of tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class _Kept:
    size_bytes: int
    uses: int
    worth: float
    turn: int


@dataclass
class Ageing:
    """Names of things with their sizes; says who has to go for all of them to fit in ``limit_bytes``."""

    limit_bytes: int
    size_bytes: int = 0
    _clock: float = 0.0
    _turn: int = 0
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._kept))

    def use(self, name: str, size_bytes: int) -> None:
        """Note a use of ``name``, which is new or was kept."""
        uses = self._kept[name].uses + 1 if name in self._kept else 1
        self.forget(name)
        self._turn += 1
        self._kept[name] = _Kept(size_bytes, uses, self._clock + uses, self._turn)
        self.size_bytes += size_bytes

    def forget(self, name: str) -> None:
        """``name`` is gone."""
        if (gone := self._kept.pop(name, None)) is not None:
            self.size_bytes -= gone.size_bytes

    def overflow(self) -> list[str]:
        """The least worthy, and of those the longest unused, until the rest fits; they are forgotten here.

        What was used last stays, unless it alone is larger than the limit.
        """
        leaving = []
        while self.size_bytes > self.limit_bytes:
            name = min(self._kept, key=self._rank)
            self._clock = max(self._clock, self._kept[name].worth)
            self.forget(name)
            leaving.append(name)
        return leaving

    def _rank(self, name: str) -> tuple[bool, float, int]:
        kept = self._kept[name]
        return (kept.turn == self._turn, kept.worth, kept.turn)
