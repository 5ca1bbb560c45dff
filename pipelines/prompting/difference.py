"""What an enhancement changed, word by word and exactly. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

_SHARED = 0.5  # of the shorter text; two texts that share less are told as one put in the other's place
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Piece:
    """A run of characters that both texts have, or only one of them."""

    change: Literal["kept", "added", "removed"]
    text: str


def difference(before: str, after: str) -> tuple[Piece, ...]:
    """The pieces of both texts in order; kept and removed ones make ``before``, kept and added ones make ``after``.

    Words are compared whole (difflib's longest matching blocks). What was only written on to is told without a search.
    """
    if after.startswith(before):
        return _pieces([("kept", before), ("added", after[len(before) :])])
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    found: list[tuple[Literal["kept", "added", "removed"], str]] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(("kept", "".join(old[a:b])))
        else:
            found += [("removed", "".join(old[a:b])), ("added", "".join(new[c:d]))]
    if sum(len(text) for change, text in found if change == "kept" and not text.isspace()) < _SHARED * min(
        len(before), len(after)
    ):
        return _pieces([("removed", before), ("added", after)])  # another language shares letters by chance
    return _pieces(found)


def _pieces(found: Sequence[tuple[Literal["kept", "added", "removed"], str]]) -> tuple[Piece, ...]:
    return tuple(Piece(change, text) for change, text in found if text)
