"""What of a catalogue's model lies on this machine, and whether its files are whole. No torch, no network.

A model of the hub is looked for where huggingface_hub keeps what it fetched; one that lacks files is "partly here", never "here".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.contract import ModelNotFound
from pipelines.family import INDEX
from pipelines.models.manifest import SAMPLE_BYTES, WHOLE_FILE_BYTES, is_whole, verify
from pipelines.registry import ModelSpec

_AT_ONCE = 16 * 1024**2
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Installed:
    """``state`` is here, partly here or absent; ``missing`` names what is lacking, in the model's folder."""

    state: str
    folder: Path | None = None
    on_disk_bytes: int = 0
    missing: tuple[str, ...] = ()


def installed(spec: ModelSpec) -> Installed:
    """Where the weights of ``spec`` lie and what they lack; reads names, sizes and headers only."""
    folder = snapshot_of(spec.source)
    if folder is None:
        return Installed("absent")
    single = Path(spec.transformer) if spec.transformer else None
    lacking = [single.name] if single and not single.is_file() else []
    missing = (*lacking, *(_missing(folder, spec) or _unfinished(spec.source, folder)))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    size += single.stat().st_size if single and not lacking else 0
    return Installed("partly here" if missing else "here", folder, size, missing)


@dataclass(frozen=True)
class Verified:
    """How many files of a model were compared with a published sha256, of how many only samples, and how many have none."""

    hashed: int
    sampled: int
    looked_at: int


def verifying(spec: ModelSpec) -> Generator[tuple[int, int], None, Verified]:
    """Compare the files with what was published, after each piece the bytes read so far and to be read in all.

    Raises ``ModelNotFound`` naming the first that is not as it was. Files of the hub's cache that are large are named by their
    sha256 there; the embedded model has a manifest.
    """
    found = installed(spec)
    if found.folder is None:
        raise ModelNotFound(f"model {spec.id} is not on this machine: fetch it with `hf download {spec.source}`.", field="model")
    if found.missing:
        raise ModelNotFound(f"model {spec.id} lacks {found.missing[0]}: fetch it again.", field="model")
    blobs = named_by_hash(found.folder)
    compared = {found.folder / name for name in spec.sha256}
    sizes = {file: _read_bytes(file, file in compared) for file in (*compared, *blobs)}
    done, total = 0, sum(sizes.values())
    yield done, total
    for name in spec.sha256:
        verify(spec.title, found.folder, {name: spec.sha256[name]})
        done += sizes[found.folder / name]
        yield done, total
    for file in blobs:
        hashed = hashlib.sha256()
        for block in blocks(file):
            hashed.update(block)
            done += len(block)
            yield done, total
        if hashed.hexdigest() != file.resolve().name:
            raise ModelNotFound(
                f"model {spec.id}: {file.relative_to(found.folder)} is damaged (its sha256 differs): fetch it again.",
                field="model",
            )
    sampled = sum(file.stat().st_size > WHOLE_FILE_BYTES for file in compared)
    compared |= set(blobs)
    every = sum(file.is_file() for file in found.folder.rglob("*")) + bool(spec.transformer)
    return Verified(len(compared) - sampled, sampled, every - len(compared))


def named_by_hash(folder: Path) -> list[Path]:
    """The files in a snapshot of the hub's cache that lie there under their own sha256: the large ones."""
    return [file for file in sorted(folder.rglob("*")) if file.is_symlink() and _SHA256.fullmatch(file.resolve().name)]


def blocks(file: Path) -> Iterator[bytes]:
    """What is in a file, a piece at a time."""
    with file.open("rb") as stream:
        while block := stream.read(_AT_ONCE):
            yield block


def _read_bytes(file: Path, by_manifest: bool) -> int:
    """How much of a file is read to compare it; nothing of one that is missing, which is refused by its name."""
    size = file.stat().st_size if file.is_file() else 0
    return 16 * SAMPLE_BYTES if by_manifest and size > WHOLE_FILE_BYTES else size


def snapshot_of(source: str) -> Path | None:
    """The folder of a model: itself, or what of a hub id was fetched; ``None`` where nothing was."""
    if Path(source).is_dir():
        return Path(source)
    # Not by snapshot_download: that says no where files lack which the model does not need, such as other formats of it.
    home = cache_of(source)
    try:
        commit = (home / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    folder = home / "snapshots" / commit
    return folder if commit and folder.is_dir() else None


def cache_of(source: str) -> Path:
    """Where huggingface_hub keeps what it fetched of a hub id."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    return Path(HF_HUB_CACHE) / repo_folder_name(repo_id=source, repo_type="model")


UNFINISHED_FILE = "studio-install.json"
"""Beside a hub id's snapshots while it is fetched: the names of all files that are to come, and ``UNCHECKED``."""
UNCHECKED = "the check of its files"
"""What a model lacks that was fetched and not compared with its published sha256 to the end."""


def _unfinished(source: str, folder: Path) -> list[str]:
    """Files that a download, stopped or still going on, has not brought yet; the note is left until its end."""
    try:
        names = json.loads((cache_of(source) / UNFINISHED_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in names if not (folder / name).is_file()]


def _missing(folder: Path, spec: ModelSpec) -> list[str]:
    """Parts that the folder's index names, or that the model needs of it, and that are absent or cut off."""
    name, parts = (INDEX, []) if spec.call is None else (spec.call.index, list(spec.call.folders))
    try:
        index = json.loads((folder / name).read_text(encoding="utf-8"))
        parts = parts or [part for part, kind in index.items() if isinstance(kind, list) and kind[0]]
    except (OSError, ValueError, AttributeError, IndexError):
        return [name]
    return [lacking for part in parts for lacking in _missing_of(folder, part)]


def _missing_of(folder: Path, part: str) -> list[str]:
    home = folder / part
    if not home.is_dir() or not any(home.iterdir()):
        return [part]
    if not (home / "config.json").is_file():  # a tokenizer or a scheduler: it has no weights
        return []
    names = {file.name for file in home.glob("*.safetensors")}
    for index in home.glob("*.safetensors.index.json"):
        try:
            names |= set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return [f"{part}/{index.name}"]
    if not names:
        return [f"{part}/*.safetensors"]
    return [f"{part}/{name}" for name in sorted(names) if not (home / name).is_file() or not is_whole(home / name)]
