"""Models of the hub that the studio was not told of: their configurations are fetched and read, their weights only on demand.

What was learnt of one is kept in huggingface_hub's cache, so that the hub is asked once and not again at every start.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from pipelines.contract import ModelNotFound
from pipelines.family import INDEXES
from pipelines.models.fetch import NotFetched, listed
from pipelines.models.installed import cache_of, snapshot_of
from pipelines.registry import ModelSpec, spec_from_folder

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_CONFIGS = [*INDEXES, "*/*.json"]
_NOTE = "studio-model.json"


def spec_named(model_id: str, named: Path) -> ModelSpec:
    """That of a folder; of the hub where it is written like a hub id and nothing on this disk. Raises ``ModelNotFound``."""
    if _HUB_ID.fullmatch(str(named)) and not named.exists():
        return spec_from_hub(model_id, str(named))
    return spec_from_folder(model_id, named)


def spec_from_hub(model_id: str, source: str) -> ModelSpec:
    """A spec of the model that the hub calls ``source``, in diffusers layout, LTX-2-class or of a family.

    Raises ``ModelNotFound`` where neither the cache nor the hub has it, or where it is no such model.
    """
    note = cache_of(source) / _NOTE
    folder = snapshot_of(source)
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
        weights, licence = int(told["weights_bytes"]), str(told["licence"])
    except (OSError, ValueError, KeyError, TypeError):
        folder = None
    if folder is None:
        folder = _configs(model_id, source)
        spec = spec_from_folder(model_id, folder)
        weights, licence = _weights_bytes(model_id, source, spec), _licence(source)
        note.write_text(json.dumps({"weights_bytes": weights, "licence": licence}), encoding="utf-8")
    silent = ", without sound" if spec_from_folder(model_id, folder).is_silent else ""
    return spec_from_folder(
        model_id,
        folder,
        source=source,
        description=f"{source}, from the hub{silent}",
        licence=licence,
        dtype="bfloat16",
        download_bytes=weights,
        memory_bytes=weights,
    )


def _configs(model_id: str, source: str) -> Path:
    """The folder of its configurations, fetched just now. Raises ``ModelNotFound``."""
    from huggingface_hub import snapshot_download

    try:
        if not any(file.filename in INDEXES for file in listed(source, _CONFIGS)):
            raise NotFetched(f"{source} is not in diffusers layout: it has no {INDEXES[0]}.")
        return Path(snapshot_download(source, allow_patterns=_CONFIGS))
    except NotFetched as fault:
        raise ModelNotFound(f"model {model_id}: {fault}", field="model") from None
    except OSError as error:
        raise ModelNotFound(f"model {model_id}: {source} could not be looked up ({error}).", field="model") from None


def _weights_bytes(model_id: str, source: str, spec: ModelSpec) -> int:
    try:
        files = listed(source, list(spec.files))
    except NotFetched as fault:
        raise ModelNotFound(f"model {model_id}: {fault}", field="model") from None
    return sum(file.file_size or 0 for file in files if file.filename.endswith(".safetensors"))


def _licence(source: str) -> str:
    """What its page says; its page itself, where it says nothing."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        card = HfApi().model_info(source).card_data
    except (HfHubHTTPError, OSError):
        card = None
    named = None if card is None else card.get("license_name") or card.get("license")
    return str(named) if named else f"licence on https://huggingface.co/{source}"
