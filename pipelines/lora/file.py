"""A LoRA file, read no further than it can be trusted: header first, then names and shapes, then numbers. Torch-free.

Format: safetensors (8 bytes of length, a JSON header, raw tensors), as https://github.com/huggingface/safetensors defines it.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.checkpoints.header import Damaged, Limits, Tensor, read_header, shown
from pipelines.contract import InvalidRequest
from pipelines.lora.layouts import Name, UnknownName, read_name

_LARGEST_FILE = 4 * 1024**3
_LARGEST_RANK = 1024
_LIMITS = Limits(8 * 1024**2, frozenset({"F64", "F32", "F16", "BF16"}))
_AT_ONCE = 4 * 1024**2
_SCALE_KEY, _LARGEST_SCALE = "reference_downscale_factor", 8
_TRIGGER_KEYS = ("trigger_words", "modelspec.trigger_phrase", "ss_trigger_words")


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
    with _refusing(path):
        header, metadata = _header(path)
        layers, layout = _layers(header, modules, path)
        digest = _digest(path, header)
    return LoraFile(path, digest, path.stat().st_size, layout, layers, metadata)


def check_layers(path: Path, modules: Mapping[str, tuple[int, int]]) -> None:
    """As ``read_lora``, by the header alone: the numbers are not looked at."""
    with _refusing(path):
        _layers(_header(path)[0], modules, path)


def reference_scale(path: Path) -> int:
    """How many times smaller than the clip the references were that the LoRA was trained with; 1 where it does not say.

    Source: Lightricks' IC-LoRAs, which say so in their metadata.
    """
    with _refusing(path):
        told = _header(path)[1].get(_SCALE_KEY, "1")
        if not told.isdecimal() or not 1 <= int(told) <= _LARGEST_SCALE:
            raise Damaged(f"its {_SCALE_KEY} is {shown(told)}")
        return int(told)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except (UnknownName, Damaged) as error:
        raise InvalidRequest(f"{shown(path.name)[1:-1]} is not a LoRA for this model: {error}.", field="lora") from None


def _header(path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, str]]:
    size = path.stat().st_size
    if size > _LARGEST_FILE:
        raise Damaged(f"it has {size / 1e9:.1f} GB, and the most is {_LARGEST_FILE / 1e9:.1f} GB")
    header = read_header(path, _LIMITS)
    if header.format != "safetensors":
        raise Damaged(f"it is a {header.format.upper()} file; save it as safetensors")
    return header.tensors, header.metadata


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
            raise Damaged(f"the layer {shown(name.module)} is there twice, under different names")
        roles[name.role] = tensor
    if unknown is not None:
        raise unknown
    return {module: _layer(module, roles, modules[module], path) for module, roles in parts.items()}, max(
        layouts, key=layouts.__getitem__
    )


def _layer(module: str, roles: Mapping[str, Tensor], of_model: tuple[int, int], path: Path) -> Layer:
    if "down" not in roles or "up" not in roles:
        raise Damaged(f"the layer {shown(module)} has only one half of its LoRA")
    down, up = roles["down"], roles["up"]
    if len(down.shape) != 2 or len(up.shape) != 2 or down.shape[0] != up.shape[1]:
        raise Damaged(f"the halves of {shown(module)} do not fit each other: {list(down.shape)} and {list(up.shape)}")
    rank = down.shape[0]
    if (up.shape[0], down.shape[1]) != of_model:
        raise Damaged(f"{shown(module)} is made for {up.shape[0]}x{down.shape[1]}; this model has {of_model[0]}x{of_model[1]}")
    if not 0 < rank <= min(_LARGEST_RANK, *of_model):
        raise Damaged(f"the rank of {shown(module)} is {rank}, which is no low rank for this layer")
    if "alpha" not in roles:
        return Layer(down, up, rank, 1.0)
    if math.prod(roles["alpha"].shape) != 1:
        raise Damaged(f"alpha of {shown(module)} is not one number")
    alpha = float(tensor_of(path, roles["alpha"]).reshape(-1)[0])
    if not math.isfinite(alpha):
        raise Damaged(f"alpha of {shown(module)} is not finite")
    return Layer(down, up, rank, alpha / rank)


def _digest(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """The file's SHA-256, every number looked at on the way. Raises ``Damaged`` for one that is not finite."""
    for name, tensor in tensors.items():
        for part in _pieces(path, tensor):
            if not np.isfinite(part).all():
                raise Damaged(f"{shown(name)} holds numbers that are not finite")
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
