"""The LoRAs that come with the studio, as ``loras/catalog.json`` lists them. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from pipelines.models.manifest import name_of_denoiser
from pipelines.registry import ModelSpec

LORAS_FOLDER = Path(__file__).parent.parent.parent / "loras"
CATALOGUE_FILE = LORAS_FOLDER / "catalog.json"


@dataclass(frozen=True)
class ShippedLora:
    """One of them: its file, what it is, and the hashes of the base that it was trained on: all of it, and what has to stay."""

    path: Path
    preview: Path
    sha256: str
    name: str
    kind: str
    description: str
    base: str
    base_sha256: str
    denoiser_sha256: str
    trigger_words: tuple[str, ...]
    layers: int
    ranks: tuple[int, ...]
    strength: float
    prompt: str

    @property
    def reference(self) -> str:
        """What ``lora`` of a ``LoraUse`` takes."""
        return f"lora:{self.sha256}"

    def fitting(self, models: Iterable[ModelSpec]) -> tuple[str, ...]:
        """Ids of the installed models that make latents with the weights it was trained on."""
        local = (spec for spec in models if spec.is_local and spec.sha256)
        return tuple(spec.id for spec in local if name_of_denoiser(spec.sha256) == self.denoiser_sha256)


@cache
def shipped(folder: Path = LORAS_FOLDER) -> Mapping[str, ShippedLora]:
    """Every shipped LoRA by its reference; none where the folder has no catalogue."""
    listed = folder / CATALOGUE_FILE.name
    if not listed.is_file():
        return MappingProxyType({})
    plain = ("sha256", "name", "kind", "description", "base", "base_sha256", "denoiser_sha256", "layers", "strength", "prompt")
    found = [
        ShippedLora(
            path=folder / entry["file"],
            preview=folder / entry["preview"],
            trigger_words=tuple(entry["trigger_words"]),
            ranks=tuple(entry["ranks"]),
            **{name: entry[name] for name in plain},
        )
        for entry in json.loads(listed.read_text(encoding="utf-8"))["loras"]
    ]
    return MappingProxyType({each.reference: each for each in found})
