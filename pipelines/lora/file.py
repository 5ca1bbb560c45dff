"""A LoRA file, read no further than it can be trusted: header first, then names and shapes, then numbers. Torch-free.

Format: safetensors (8 bytes of length, a JSON header, raw tensors), as https://github.com/huggingface/safetensors defines it.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.contract import InvalidRequest
from pipelines.lora.layouts import Name, UnknownName, read_name, shown

_LARGEST_FILE = 4 * 1024**3
_LARGEST_HEADER = 8 * 1024**2
_MOST_TENSORS = 20_000
_LARGEST_RANK = 1024
_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_AT_ONCE = 4 * 1024**2
_TRIGGER_KEYS = ("trigger_words", "modelspec.trigger_phrase", "ss_trigger_words")


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies in its file: bytes ``start`` to ``end``."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Layer:
    """What is added to one linear layer: ``up @ down`` times ``scale``; ``down`` ``[r, in]``, ``up`` ``[out, r]``."""

    down: Tensor
    up: Tensor
    rank: int
    scale: float


@dataclass(frozen=True)
class LoraFile:
    """A checked LoRA: its layers by the model's module names, and what it says of itself."""

    path: Path
    sha256: str
    size_bytes: int
    layout: str
    layers: Mapping[str, Layer]
    metadata: Mapping[str, str]

    @property
    def ranks(self) -> tuple[int, ...]:
        """Every rank that occurs, rising."""
        return tuple(sorted({layer.rank for layer in self.layers.values()}))

    @property
    def trigger_words(self) -> tuple[str, ...]:
        """The words that call it up, where its trainer wrote them down."""
        text = next((self.metadata[key] for key in _TRIGGER_KEYS if self.metadata.get(key)), "")
        return tuple(word.strip() for word in text.split(",") if word.strip())


def read_lora(path: Path, modules: Mapping[str, tuple[int, int]]) -> LoraFile:
    """Check a file against a model's linear layers, ``modules``: name to ``(out, in)``.

    Raises ``InvalidRequest`` with the reason where it is anything but a whole, finite LoRA for that model.
    """
    try:
        header, metadata = _header(path)
        layers, layout = _layers(header, modules, path)
        digest = _digest(path, header)
    except (UnknownName, _Damaged) as error:
        raise InvalidRequest(f"{shown(path.name)[1:-1]} is not a LoRA for this model: {error}.", field="lora") from None
    return LoraFile(path, digest, path.stat().st_size, layout, layers, metadata)


class _Damaged(ValueError):
    """What is wrong with the file, in words."""


def _header(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    size = path.stat().st_size
    if size > _LARGEST_FILE:
        raise _Damaged(f"it has {size / 1e9:.1f} GB, and the most is {_LARGEST_FILE / 1e9:.1f} GB")
    with path.open("rb") as stream:
        begin = stream.read(8)
        if begin[:2] == b"PK" or begin[:1] == b"\x80":
            raise _Damaged("it is a pickle, which can run code; save it as safetensors")
        if len(begin) < 8:
            raise _Damaged("it is cut off before its header")
        (length,) = struct.unpack("<Q", begin)
        if length > _LARGEST_HEADER:
            raise _Damaged("it does not begin as a safetensors file does, or its header is too large")
        text = stream.read(length)
    if len(text) < length:
        raise _Damaged("it is cut off within its header")
    entries = _entries(text)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(part, str) for pair in metadata.items() for part in pair):
        raise _Damaged("its metadata are not plain text")
    if not 0 < len(entries) <= _MOST_TENSORS:
        raise _Damaged(f"it holds {len(entries)} tensors; a LoRA has 1 to {_MOST_TENSORS:,}")
    tensors = {name: _tensor(name, entry, 8 + length) for name, entry in entries.items()}
    _check_places(tensors, 8 + length, size)
    return tensors, metadata


def _entries(text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise _Damaged("its header names the same thing twice")
        return found

    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=_no_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise _Damaged("its header is not valid JSON") from None
    if not isinstance(entries, dict):
        raise _Damaged("its header is not a JSON object")
    return entries


def _no_constant(name: str) -> float:
    raise _Damaged(f"its header holds {name}")


def _tensor(name: str, entry: Any, base: int) -> Tensor:
    if ".." in name or "/" in name or "\\" in name or not name.isprintable() or len(name) > 300:
        raise _Damaged(f"a tensor is named {shown(name)}, which no trainer does")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _Damaged(f"the entry of {shown(name)} is not dtype, shape and offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _WIDTHS:
        raise _Damaged(f"{shown(name)} is of the type {shown(str(dtype))}; use F32, F16 or BF16")
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if not all(type(number) is int and 0 <= number < 2**48 for number in numbers) or len(offsets) != 2 or len(shape) > 5:
        raise _Damaged(f"shape or offsets of {shown(name)} are not whole numbers within bounds")
    start, end = offsets
    if end - start != math.prod(shape) * _WIDTHS[dtype]:
        raise _Damaged(f"{shown(name)} takes {end - start} bytes, which its shape {shape} and type do not")
    return Tensor(dtype, tuple(shape), base + start, base + end)


def _check_places(tensors: Mapping[str, Tensor], base: int, size: int) -> None:
    """Tensors must fill the rest of the file without gap or overlap."""
    at = base
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != at:
            raise _Damaged(f"the bytes of {shown(name)} overlap others or leave a gap")
        at = tensor.end
    if at > size:
        raise _Damaged("it is cut off within its tensors")
    if at < size:
        raise _Damaged("it has bytes behind its tensors")


def _layers(tensors: Mapping[str, Tensor], modules: Mapping[str, tuple[int, int]], path: Path) -> tuple[dict[str, Layer], str]:
    parts: dict[str, dict[str, Tensor]] = {}
    layouts: dict[str, int] = {}
    unknown: UnknownName | None = None
    for tensor_name, tensor in tensors.items():
        try:
            name: Name = read_name(tensor_name, modules)
        except UnknownName as error:
            unknown = unknown or error
            continue
        layouts[name.layout] = layouts.get(name.layout, 0) + 1
        roles = parts.setdefault(name.module, {})
        if name.role in roles:
            raise _Damaged(f"the layer {shown(name.module)} is there twice, under different names")
        roles[name.role] = tensor
    if unknown is not None:
        raise unknown
    return {module: _layer(module, roles, modules[module], path) for module, roles in parts.items()}, max(
        layouts, key=layouts.__getitem__
    )


def _layer(module: str, roles: Mapping[str, Tensor], of_model: tuple[int, int], path: Path) -> Layer:
    if "down" not in roles or "up" not in roles:
        raise _Damaged(f"the layer {shown(module)} has only one half of its LoRA")
    down, up = roles["down"], roles["up"]
    if len(down.shape) != 2 or len(up.shape) != 2 or down.shape[0] != up.shape[1]:
        raise _Damaged(f"the halves of {shown(module)} do not fit each other: {list(down.shape)} and {list(up.shape)}")
    rank = down.shape[0]
    if (up.shape[0], down.shape[1]) != of_model:
        raise _Damaged(f"{shown(module)} is made for {up.shape[0]}x{down.shape[1]}; this model has {of_model[0]}x{of_model[1]}")
    if not 0 < rank <= min(_LARGEST_RANK, *of_model):
        raise _Damaged(f"the rank of {shown(module)} is {rank}, which is no low rank for this layer")
    if "alpha" not in roles:
        return Layer(down, up, rank, 1.0)
    if math.prod(roles["alpha"].shape) != 1:
        raise _Damaged(f"alpha of {shown(module)} is not one number")
    alpha = float(tensor_of(path, roles["alpha"]).reshape(-1)[0])
    if not math.isfinite(alpha):
        raise _Damaged(f"alpha of {shown(module)} is not finite")
    return Layer(down, up, rank, alpha / rank)


def _digest(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """The file's SHA-256, every number looked at on the way. Raises ``_Damaged`` for one that is not finite."""
    for name, tensor in tensors.items():
        for part in _pieces(path, tensor):
            if not np.isfinite(part).all():
                raise _Damaged(f"{shown(name)} holds numbers that are not finite")
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_AT_ONCE):
            found.update(block)
    return found.hexdigest()


def _pieces(path: Path, tensor: Tensor) -> Iterator[np.ndarray]:
    with path.open("rb") as stream:
        stream.seek(tensor.start)
        left = tensor.end - tensor.start
        while left:
            block = stream.read(min(left, _AT_ONCE))
            if not block:
                return
            left -= len(block)
            yield _numbers(block, tensor.dtype)


def _numbers(block: bytes, dtype: str) -> np.ndarray:
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(block, "<u2").astype("<u4") << 16).view("<f4")
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
    return np.frombuffer(block, kinds[dtype])


def tensor_of(path: Path, tensor: Tensor) -> np.ndarray:
    """A tensor's numbers in float32, in its shape."""
    with path.open("rb") as stream:
        stream.seek(tensor.start)
        numbers = _numbers(stream.read(tensor.end - tensor.start), tensor.dtype)
    return numbers.astype(np.float32).reshape(tensor.shape)


def linear_layers(folder: Path) -> dict[str, tuple[int, int]]:
    """Name and ``(out, in)`` of every linear layer of the transformer in a diffusers folder, from its files' headers alone.

    Raises ``InvalidRequest`` where there is none.
    """
    found: dict[str, tuple[int, int]] = {}
    for path in sorted((folder / "transformer").glob("*.safetensors")):
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            entries = json.loads(stream.read(length))
        for name, entry in entries.items():
            if name.endswith(".weight") and len(entry["shape"]) == 2:
                found[name.removesuffix(".weight")] = (entry["shape"][0], entry["shape"][1])
    if not found:
        raise InvalidRequest(
            f"{folder} has no transformer on this machine; LoRAs can be checked for installed models only.", field="model"
        )
    return found
