"""The header of a file of weights, trusted only after every number in it was checked against the file. Allocates no weights.

Formats: safetensors (8 bytes of length, a JSON header, raw tensors; https://github.com/huggingface/safetensors) here, GGUF in
``gguf_header``. Which it is says the file's content, never its name.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

LARGEST_HEADER = 64 * 1024**2
MOST_TENSORS = 20_000
_LARGEST_NUMBER = 2**48
_WIDTHS = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
_ZIP, _PICKLE = b"PK", b"\x80"


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies in its file: bytes ``start`` to ``end``; ``shape`` counts numbers, however they are packed."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file says it holds; its tensors fill the file. ``format`` is safetensors or gguf."""

    format: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


class Damaged(ValueError):
    """What is wrong with a file, in words that follow its name."""


@dataclass(frozen=True)
class Limits:
    """What is read of a safetensors file: the bytes of its header, and the types of its tensors."""

    header_bytes: int = LARGEST_HEADER
    types: frozenset[str] = frozenset(_WIDTHS)


_ANY = Limits()


def read_header(path: Path, limits: Limits = _ANY) -> Header:
    """The checked header of ``path``. Raises ``Damaged`` for anything else than a whole safetensors or GGUF file."""
    from pipelines.checkpoints.gguf_header import MAGIC, read_gguf

    try:
        with path.open("rb") as stream:
            begin = stream.read(9)
            if begin.startswith(MAGIC):
                return read_gguf(stream)
            return _read_safetensors(stream, begin, limits)
    except OSError as error:
        raise Damaged(f"it cannot be read ({error.strerror or error})") from None


def _read_safetensors(stream: BinaryIO, begin: bytes, limits: Limits) -> Header:
    size = os.fstat(stream.fileno()).st_size
    # The length of a safetensors header may begin with a pickle's bytes (1 of 32 does), but then a brace follows.
    if begin.startswith((_ZIP, _PICKLE)) and not begins_as_safetensors(begin):
        raise Damaged("it is a pickle, which can run code; save it as safetensors")
    if len(begin) < 8:
        raise Damaged("it is cut off before its header")
    (length,) = struct.unpack("<Q", begin[:8])
    stream.seek(8)
    if length > limits.header_bytes:
        raise Damaged("it does not begin as a safetensors file does, or its header is too large")
    text = stream.read(min(length, size))
    if len(text) < length:
        raise Damaged("it is cut off within its header")
    entries = _entries(text)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(part, str) for pair in metadata.items() for part in pair):
        raise Damaged("its metadata are not plain text")
    if not 0 < len(entries) <= MOST_TENSORS:
        raise Damaged(f"it holds {len(entries)} tensors; 1 to {MOST_TENSORS:,} are read")
    tensors = {name: _tensor(name, entry, 8 + length, limits.types) for name, entry in entries.items()}
    check_places(tensors, 8 + length, size)
    return Header("safetensors", tensors, metadata)


def begins_as_safetensors(begin: bytes) -> bool:
    """Whether a file's first nine bytes are a length that a header can have, and the brace that opens it."""
    return len(begin) >= 9 and begin[8:9] == b"{" and struct.unpack("<Q", begin[:8])[0] <= LARGEST_HEADER


def _entries(text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise Damaged("its header names the same thing twice")
        return found

    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=_no_constant)
    except Damaged:
        raise
    except (ValueError, RecursionError):
        raise Damaged("its header is not valid JSON") from None
    if not isinstance(entries, dict):
        raise Damaged("its header is not a JSON object")
    return entries


def _no_constant(name: str) -> float:
    raise Damaged(f"its header holds {name}")


def check_name(name: str) -> None:
    """Raises ``Damaged`` for a tensor's name that no trainer gives."""
    if ".." in name or "/" in name or "\\" in name or not name.isprintable() or not 0 < len(name) <= 300:
        raise Damaged(f"a tensor is named {shown(name)}, which no trainer does")


def _tensor(name: str, entry: Any, first: int, types: frozenset[str]) -> Tensor:
    check_name(name)
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Damaged(f"the entry of {shown(name)} is not dtype, shape and offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in types:
        raise Damaged(f"{shown(name)} is of the type {shown(str(dtype))}; use F32, F16 or BF16")
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if (
        not all(type(number) is int and 0 <= number < _LARGEST_NUMBER for number in numbers)
        or len(offsets) != 2
        or len(shape) > 5
    ):
        raise Damaged(f"shape or offsets of {shown(name)} are not whole numbers within bounds")
    start, end = offsets
    if end - start != math.prod(shape) * _WIDTHS[dtype]:
        raise Damaged(f"{shown(name)} takes {end - start} bytes, which its shape {shape} and type do not")
    return Tensor(dtype, tuple(shape), first + start, first + end)


def check_places(tensors: Mapping[str, Tensor], first: int, size: int, alignment: int = 1) -> None:
    """Tensors must fill a file of ``size`` bytes from ``first`` on, each beginning at the next multiple of ``alignment``.

    Raises ``Damaged``.
    """
    at = first
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != first + -(-(at - first) // alignment) * alignment:
            raise Damaged(f"the bytes of {shown(name)} overlap others or leave a gap")
        at = tensor.end
    if at > size:
        raise Damaged("it is cut off within its tensors")
    if size - at >= alignment:
        raise Damaged("it has bytes behind its tensors")


def shown(name: str) -> str:
    """A name from a file, safe and short enough for a sentence."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name)
    return repr(clean if len(clean) <= 80 else clean[:77] + "...")
