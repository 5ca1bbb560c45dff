"""Files of weights and their hashes: whether what lies in a folder is what was released."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.contract import ModelNotFound

WHOLE_FILE_BYTES = 1024**3
"""Files up to this are hashed whole, larger ones by samples."""
SAMPLE_BYTES = 1024**2
_DENOISER = frozenset({"tokenizer", "text_encoder", "connectors", "transformer"})


def verify(title: str, folder: Path, manifest: Mapping[str, str]) -> str:
    """A hash that names exactly these weights. Raises ``ModelNotFound`` naming the file that is not as released."""
    for name, expected in manifest.items():
        file = folder / name
        if not file.is_file():
            raise ModelNotFound(f"{title}: {name} is missing from {folder}; install the model again.", field="model")
        if digest(file) != expected:
            raise ModelNotFound(f"{title}: {name} is damaged (its sha256 differs); install the model again.", field="model")
    return name_of(manifest)


def name_of(manifest: Mapping[str, str]) -> str:
    """One hash of all files' hashes."""
    lines = [f"{name} {found}" for name, found in sorted(manifest.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def name_of_denoiser(manifest: Mapping[str, str]) -> str:
    """One hash of what makes latents of a prompt: LoRAs fit as long as that stays, whatever draws the latents."""
    return name_of({name: found for name, found in manifest.items() if name.split("/")[0] in _DENOISER})


def digest(file: Path) -> str:
    """The sha256 of a file up to 1 GiB; of a larger one, that of its size and sixteen samples of 1 MiB."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        if size <= WHOLE_FILE_BYTES:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        found = hashlib.sha256(str(size).encode())
        for part in range(16):
            stream.seek(part * (size - SAMPLE_BYTES) // 15)
            found.update(stream.read(SAMPLE_BYTES))
        return found.hexdigest()


def is_whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        begin = stream.read(8)
        length = struct.unpack("<Q", begin)[0] if len(begin) == 8 else size
        if length > size - 8:
            return False
        try:
            ends = [entry["data_offsets"][1] for name, entry in json.loads(stream.read(length)).items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return False
    return bool(8 + length + max(ends, default=0) == size)


@dataclass(frozen=True)
class Weights:
    """A folder of weights that was checked, and the hash that names them."""

    folder: Path
    sha256: str


def checked(title: str, folder: Path) -> Weights:
    """The weights in ``folder``, verified against its ``sha256.json``. Raises ``ModelNotFound`` if they are not as released."""
    try:
        manifest = json.loads((folder / "sha256.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelNotFound(
            f"{title}: sha256.json is missing from {folder} or damaged; install the model again.", field="model"
        ) from None
    return Weights(folder, verify(title, folder, manifest))
