"""Models of the hub that the studio was not told of: their configurations are fetched and read, their weights only on demand.

What was learnt of one is kept in a folder of the studio's own, so that the hub is asked once and not again at every start, also
where the weights come and go. A model that lies in huggingface_hub's cache is read there, and nobody is asked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from pipelines.checkpoints.header import Damaged, read_header
from pipelines.contract import ModelNotFound
from pipelines.family import INDEXES
from pipelines.models.fetch import NotFetched, listed
from pipelines.models.installed import snapshot_of
from pipelines.registry import ModelSpec, spec_from_folder

_CONFIGS = [*INDEXES, "*/config.json", "*/scheduler_config.json"]
_NOTE = "studio-model.json"
_LICENCE = "licence on https://huggingface.co/{}"
_ELEMENT = 2
"""Bytes of a weight as ``ModelSpec.memory_bytes`` counts."""
Answer = TypeVar("Answer")


def spec_named(model_id: str, named: Path, learnt: Path | None = None) -> ModelSpec:
    """The spec of a folder; of the hub's model where it is written as a hub id and nothing on this disk.

    ``learnt`` is where configurations of the hub are kept; ``None`` forgets them. Raises ``ModelNotFound``.
    """
    source = named.as_posix()
    if named.exists() or source.count("/") != 1 or not _is_hub_id(source):
        return spec_from_folder(model_id, named)
    return spec_from_hub(model_id, source, None if learnt is None else learnt / source.replace("/", "--"))


def spec_from_hub(model_id: str, source: str, home: Path | None = None) -> ModelSpec:
    """A spec of the model that the hub calls ``source``, in diffusers layout, LTX-2-class or of a family.

    Its configurations are kept in ``home``. Raises ``ModelNotFound`` where neither this machine nor the hub has it, or where it
    is no such model.
    """
    folder = snapshot_of(source)
    if folder is not None and any(folder.rglob("*.safetensors")):
        with suppress(ModelNotFound):  # half of it: its configurations are there, or are asked for again
            return _spec(model_id, source, folder, _size_of(folder), _LICENCE.format(source))
    if home is None:
        with TemporaryDirectory(prefix="studio-hub-") as passing:
            return spec_from_hub(model_id, source, Path(passing))
    return _spec(model_id, source, home, *(_noted(home) or _asked(model_id, source, home)))


def _is_hub_id(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def _spec(model_id: str, source: str, folder: Path, weights: tuple[int, int], licence: str) -> ModelSpec:
    read = spec_from_folder(model_id, folder)
    on_disk, in_memory = weights
    return replace(
        read,
        source=source,
        description=f"{source}, from the hub{', without sound' if read.is_silent else ''}",
        licence=licence,
        dtype="bfloat16",
        download_bytes=on_disk,
        memory_bytes=in_memory,
    )


def _size_of(folder: Path) -> tuple[int, int]:
    """Bytes of the weights in a folder as they lie, and with two bytes for each."""
    files = [file for file in folder.rglob("*.safetensors") if file.exists()]
    numbers = 0
    for file in files:
        with suppress(Damaged):  # it is "partly here", and what it lacks is told elsewhere
            numbers += sum(math.prod(tensor.shape) for tensor in read_header(file).tensors.values())
    return sum(file.stat().st_size for file in files), _ELEMENT * numbers


def _noted(home: Path) -> tuple[tuple[int, int], str] | None:
    """What was learnt before of the size and licence of the model whose configurations lie in ``home``."""
    try:
        told = json.loads((home / _NOTE).read_text(encoding="utf-8"))
        return (int(told["weights_bytes"]), int(told["weights_bytes"])), str(told["licence"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _asked(model_id: str, source: str, home: Path) -> tuple[tuple[int, int], str]:
    """Fetch the configurations into ``home``, and say what the hub tells of size and licence. Raises ``ModelNotFound``."""
    from huggingface_hub import snapshot_download

    def configs() -> None:
        if not any(file.filename in INDEXES for file in listed(source, _CONFIGS)):
            raise NotFetched(f"{source} is not in diffusers layout: it has no {INDEXES[0]}.")
        snapshot_download(source, allow_patterns=_CONFIGS, local_dir=home)

    _answer(model_id, source, configs)
    patterns = list(spec_from_folder(model_id, home).files)
    files = _answer(model_id, source, lambda: listed(source, patterns))
    weights = sum(file.file_size or 0 for file in files if file.filename.endswith(".safetensors"))
    licence = _licence(source)
    with suppress(OSError):  # a disk that is full or read-only costs a question at the next start
        (home / _NOTE).write_text(json.dumps({"weights_bytes": weights, "licence": licence}), encoding="utf-8")
    return (weights, weights), licence


def _answer(model_id: str, source: str, question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except NotFetched as fault:
        raise ModelNotFound(f"model {model_id}: {source} is no folder here, and {fault}", field="model") from None
    except OSError as error:
        raise ModelNotFound(f"model {model_id}: {source} could not be looked up on the hub ({error}).", field="model") from None


def _licence(source: str) -> str:
    """What its page says; where to find it, where the page says nothing that a program can read."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        card = HfApi().model_info(source).card_data
    except (HfHubHTTPError, OSError):
        card = None
    named = None if card is None else card.get("license_name") or card.get("license")
    return str(named) if named else _LICENCE.format(source)
