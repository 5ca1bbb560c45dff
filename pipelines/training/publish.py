"""How a folder of weights is released: written whole beside its place, with the hash of every file, then put there at once."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

CARD = "README.md"


def publish(target: Path, fill: Callable[[Path], object]) -> dict[str, str]:
    """Let ``fill`` write a new folder and put it at ``target``; returns the manifest that it got as ``sha256.json``.

    A card (README.md) that ``target`` has is kept unless ``fill`` wrote one; cards are not in the manifest.
    """
    fresh = target.with_name(f".{target.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    fill(fresh)
    names = sorted(str(file.relative_to(fresh)) for file in fresh.rglob("*") if file.is_file() and file.name != CARD)
    manifest = {name: hashlib.sha256((fresh / name).read_bytes()).hexdigest() for name in names}
    (fresh / "sha256.json").write_text(json.dumps(manifest, indent=2) + "\n")
    if (target / CARD).exists() and not (fresh / CARD).exists():
        shutil.copy(target / CARD, fresh / CARD)
    put(fresh, target)
    return manifest


def put(fresh: Path, target: Path) -> None:
    """Move the folder ``fresh`` to ``target``; what was there is removed last, so that an end in between loses nothing."""
    former = target.with_name(f".{target.name}.former")
    shutil.rmtree(former, ignore_errors=True)
    if target.exists():
        target.replace(former)
    fresh.replace(target)
    shutil.rmtree(former, ignore_errors=True)
