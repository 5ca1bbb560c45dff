"""Tensors in a safetensors file that tells when it is not what was written: whole or not at all, its hash inside.

Format: 8 bytes of length, a JSON header, raw tensors (https://github.com/huggingface/safetensors); the header's metadata
holds a seal, the sha256 of everything else in it and of the tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_LARGEST_HEADER = 1024**2


class Damaged(Exception):
    """A file is not what was written; the message says how."""


def write_sealed(path: Path, tensors: Mapping[str, torch.Tensor], says: Mapping[str, str]) -> int:
    """Write ``tensors`` and what the file ``says`` of itself; returns its size in bytes.

    The file appears complete or not at all. Raises ``OSError`` where the disk does not take it, leaving nothing behind.
    """
    from safetensors.torch import save

    ours = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    plain = save(ours, metadata=dict(says))
    body = save(ours, metadata={**says, "seal": _seal(*_parts(plain))})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(body)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(body)


def read_sealed(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and what the file says of itself. Raises ``Damaged``, or ``OSError`` where it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    body = path.read_bytes()
    header, content = _parts(body)
    seal = header.get("__metadata__", {}).get("seal")
    if _seal(header, content) != seal:
        raise Damaged("its hash differs")
    try:
        tensors = load(body)
    except (SafetensorError, ValueError) as error:
        raise Damaged(str(error)) from error
    return tensors, {name: text for name, text in header["__metadata__"].items() if name != "seal"}


def _parts(body: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header, and the bytes behind it. Raises ``Damaged``."""
    if len(body) < 8:
        raise Damaged("it is cut off")
    length = struct.unpack("<Q", body[:8])[0]
    if length > min(_LARGEST_HEADER, len(body) - 8):
        raise Damaged("it is cut off or no safetensors file")
    try:
        header = json.loads(body[8 : 8 + length])
    except ValueError as error:
        raise Damaged("its header cannot be read") from error
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise Damaged("its header cannot be read")
    return header, memoryview(body)[8 + length :]


def _seal(header: Mapping[str, Any], content: memoryview) -> str:
    """The sha256 of names, types, shapes, places, what the file says, and the numbers."""
    says = {name: text for name, text in header.get("__metadata__", {}).items() if name != "seal"}
    found = hashlib.sha256(json.dumps({**header, "__metadata__": says}, sort_keys=True).encode())
    found.update(content)
    return found.hexdigest()
