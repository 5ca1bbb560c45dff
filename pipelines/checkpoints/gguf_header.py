"""The header of a GGUF file, read with bounds: the format's own reader maps whatever a header claims.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian. Sizes of blocks come from the
``gguf`` package.
"""

from __future__ import annotations

import math
import os
import struct
from importlib.util import find_spec
from typing import BinaryIO

from pipelines.checkpoints.header import LARGEST_HEADER, MOST_TENSORS, Damaged, Header, Tensor, check_name, check_places, shown

MAGIC = b"GGUF"
_MOST_PAIRS, _LARGEST_SIDE = 4096, 2**40
_MOST_DIMENSIONS = 5  # llama.cpp has 4; files of video models keep the kernels of their 3-D convolutions as they are
_LONGEST_KEPT = 2000
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class _Cursor:
    """Reads a file's first bytes and no further than a header may go."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = min(size, LARGEST_HEADER) - stream.tell()
        self._is_capped = size > LARGEST_HEADER

    @property
    def at(self) -> int:
        """How many bytes of the file were read."""
        return self._stream.tell()

    def take(self, count: int) -> bytes:
        if count > self._left:
            raise Damaged("its header is too large" if self._is_capped else "it is cut off within its header")
        self._left -= count
        return self._stream.read(count)

    def number(self, kind: str) -> int | float | bool:
        found: int | float | bool = struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]
        return found

    def count(self, kind: str = "Q") -> int:
        return int(self.number(kind))

    def text(self) -> str:
        try:
            return self.take(self.count()).decode("utf-8")
        except UnicodeDecodeError:
            raise Damaged("its header holds text that is not UTF-8") from None


def read_gguf(stream: BinaryIO) -> Header:
    """The header of the GGUF file that ``stream`` is at the beginning of. Raises ``Damaged``."""
    if find_spec("gguf") is None:
        raise Damaged("it is a GGUF file, and the package that reads those is not installed: run pip install gguf")
    size = os.fstat(stream.fileno()).st_size
    stream.seek(len(MAGIC))
    cursor = _Cursor(stream, size)
    version = cursor.count("I")
    if version not in (2, 3):
        raise Damaged(f"it is GGUF of version {version}; 2 and 3, little-endian, are read")
    tensors, pairs = cursor.count(), cursor.count()
    if not 0 < tensors <= MOST_TENSORS or pairs > _MOST_PAIRS:
        raise Damaged(f"it claims {tensors} tensors and {pairs} notes; 1 to {MOST_TENSORS:,} and up to {_MOST_PAIRS:,} are read")
    metadata = dict(_pair(cursor) for _ in range(pairs))
    entries = [_entry(cursor) for _ in range(tensors)]
    alignment = int(metadata.get("general.alignment", "32")) if metadata.get("general.alignment", "32").isdigit() else 0
    if not 8 <= alignment <= 65536 or alignment & (alignment - 1):
        raise Damaged("its alignment is no power of two from 8 to 65,536")
    first = -(-cursor.at // alignment) * alignment
    found = {name: Tensor(dtype, shape, first + start, first + start + held) for name, dtype, shape, start, held in entries}
    if len(found) < len(entries):
        raise Damaged("its header names the same thing twice")
    check_places(found, first, size, alignment)
    return Header("gguf", found, metadata)


def _pair(cursor: _Cursor) -> tuple[str, str]:
    key = cursor.text()
    value = _value(cursor, cursor.count("I"))
    return key, value[:_LONGEST_KEPT]


def _value(cursor: _Cursor, kind: int) -> str:
    """A note's value as text; of a list only its length is kept."""
    if kind in _SCALARS:
        return str(cursor.number(_SCALARS[kind]))
    if kind == _STRING:
        return cursor.text()
    if kind != _ARRAY:
        raise Damaged(f"its header holds a note of the unknown type {kind}")
    element, length = cursor.count("I"), cursor.count()
    if element == _STRING:
        for _ in range(length):
            cursor.take(cursor.count())
    elif element in _SCALARS:
        cursor.take(length * struct.calcsize(f"<{_SCALARS[element]}"))
    else:
        raise Damaged(f"its header holds a list of the type {element}, which is not read")
    return f"{length} entries"


def _entry(cursor: _Cursor) -> tuple[str, str, tuple[int, ...], int, int]:
    """Name, type, shape (slowest side first, as torch has it), offset and bytes of a tensor."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    name = cursor.text()
    check_name(name)
    dimensions = cursor.count("I")
    if dimensions > _MOST_DIMENSIONS:
        raise Damaged(f"{shown(name)} has {dimensions} sides; up to {_MOST_DIMENSIONS} are read")
    sides = [cursor.count() for _ in range(dimensions)]
    kind, offset = cursor.count("I"), cursor.count()
    try:
        dtype = GGMLQuantizationType(kind)
        block, bytes_each = GGML_QUANT_SIZES[dtype]
    except (ValueError, KeyError):
        raise Damaged(f"{shown(name)} is of the type {kind}, which is not known") from None
    count = math.prod(sides)
    if any(not 0 < side < _LARGEST_SIDE for side in sides) or offset >= _LARGEST_SIDE * 256 or count % block:
        raise Damaged(f"shape or offset of {shown(name)} are not within bounds")
    if sides and sides[0] % block:
        raise Damaged(f"a row of {shown(name)} has {sides[0]} numbers, which {dtype.name} cannot pack")
    return name, dtype.name, tuple(reversed(sides)), offset, count // block * bytes_each
