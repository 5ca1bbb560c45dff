"""Models of other makers that a person has: where one lies, whether its files are whole, whether it fits. No torch at import.

Nothing is downloaded here: a hub id names what was fetched to this machine before.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.contract import InvalidRequest, ModelNotFound, OutOfMemory, StudioError
from pipelines.metrics.catalogue import JUDGES
from pipelines.models.manifest import is_whole
from pipelines.optimize.gauge import free_bytes
from pipelines.optimize.memory import is_shortage

_log = logging.getLogger(__name__)
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# What Python says of files that are damaged and of models of another kind, where transformers lets it through.
_BROKEN = (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, RuntimeError, MemoryError)
_WORK_SHARE, _WORK_BYTES = 0.15, 256 * 1024**2
"""What running takes beside the weights: activations, the cache of what was read, the libraries."""


@dataclass(frozen=True)
class LocalModel:
    """One model on this disk: ``role`` is the setting that names it, ``name`` what the setting says."""

    role: str
    name: str
    folder: Path
    """Of ``config.json`` and the weights."""
    words: Path
    """Of the tokenizer."""
    config: Mapping[str, Any]
    weights_bytes: int

    @property
    def kind(self) -> str:
        """What transformers calls its architecture, such as ``gemma3`` or ``marian``."""
        return str(self.config.get("model_type", ""))

    @property
    def needed_bytes(self) -> int:
        """Memory that it takes to run, about."""
        return round((1 + _WORK_SHARE) * self.weights_bytes) + _WORK_BYTES

    @property
    def shown(self) -> str:
        """How people are told of it: a hub id whole, of a folder only its own name."""
        return self.name if _HUB_ID.fullmatch(self.name) else title_of(self.name)

    def refused(self, fault: str) -> ModelNotFound:
        """The failure that says in one sentence what is wrong with it."""
        return ModelNotFound(f"{self.role} {self.shown} {fault}.", field=self.role)


def title_of(name: str) -> str:
    """What people are told of a model's name: never where its folder lies."""
    return name.rstrip("/").rpartition("/")[2] or name


def located(name: str, role: str) -> LocalModel:
    """The model that the setting ``role`` names: a folder, or a hub id that was fetched to this machine.

    Of a folder in diffusers layout the part is taken that writes prompts: ``prompt_enhancer`` (LTX-2.5) or ``text_encoder``.
    Raises ``ModelNotFound`` where it is not here or files are missing or cut off; weights are not read.
    """
    folder = _folder_of(name, role)
    folder, words = _parts(folder)
    if words.name == "processor" and not (words / "tokenizer_config.json").is_file():
        words = folder
    bare = LocalModel(role, name, folder, words, {}, 0)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError:
        raise bare.refused("has no config.json: name the folder of a model for transformers") from None
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise bare.refused("is damaged (config.json is no JSON object): fetch it again")
    return LocalModel(role, name, folder, words, config, _weights_bytes(bare))


def judge_named(name: str) -> LocalModel:
    """As ``located``, for a CLIP or SigLIP model; any other is refused with ``ModelNotFound``."""
    model = located(name, "text_image_model")
    if model.kind not in JUDGES:
        raise model.refused(f"is of the kind {model.kind or 'unknown'!r}: choose a CLIP or SigLIP model")
    return model


def _folder_of(name: str, role: str) -> Path:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if _HUB_ID.fullmatch(name):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(name, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            pass
        remedy = f"fetch it first with `hf download {name}`, or name a folder"
    else:
        remedy = "name a folder, or the hub id of a model that was fetched to this machine"
    shown = name[:200] if _HUB_ID.fullmatch(name) else title_of(name)[:200]
    raise ModelNotFound(f"{role} {shown} is not on this machine: {remedy}.", field=role)


def _parts(folder: Path) -> tuple[Path, Path]:
    """The folders of weights and tokenizer."""
    if not (folder / "model_index.json").is_file():
        return folder, folder
    model = next((folder / part for part in ("prompt_enhancer", "text_encoder") if (folder / part).is_dir()), folder)
    words = next((folder / part for part in ("processor", "tokenizer") if (folder / part).is_dir()), folder)
    return model, words


def _weights_bytes(model: LocalModel) -> int:
    folder = model.folder
    files = [folder / name for name in _WEIGHTS if (folder / name).is_file()][:1]
    for index in (folder / f"{name}.index.json" for name in _WEIGHTS):
        if not files and index.is_file():
            try:
                shards = {str(shard) for shard in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                raise model.refused(f"is damaged ({index.name} cannot be read): fetch it again") from None
            files = [folder / shard for shard in sorted(shards)]
    missing = [file.name for file in files if not file.is_file()]
    if not files or missing:
        raise model.refused(f"lacks {missing[0] if missing else 'its weights (model.safetensors)'}: fetch it again")
    for file in files:
        if file.suffix == ".safetensors" and not is_whole(file):
            raise model.refused(f"is damaged ({file.name} is cut off): fetch it again")
    return sum(file.stat().st_size for file in files)


def device_for(model: LocalModel, wanted: str) -> str:
    """Where it runs: ``wanted``, or by ``auto`` a GPU that has the room, else the CPU. Raises ``OutOfMemory``."""
    import torch

    if wanted == "auto":
        has_room = torch.cuda.is_available() and torch.cuda.mem_get_info()[0] >= model.needed_bytes
        wanted = "cuda" if has_room else "cpu"
    device = torch.device(wanted)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes() if device.type == "cpu" else None
    if free is not None and free < model.needed_bytes:
        raise _too_large(model, f"takes about {_gb(model.needed_bytes)} and {_gb(free)} are free")
    return wanted


def _too_large(model: LocalModel, why: str) -> OutOfMemory:
    words = f"{model.role} {model.shown} is too large for the memory here ({why}): choose a smaller one."
    return OutOfMemory(words, field=model.role)


def _gb(size: int) -> str:
    return f"{size / 1024**3:.3g} GB"


@contextmanager
def sound(model: LocalModel) -> Iterator[None]:
    """What loads or runs ``model``: its failures become one sentence each; what transformers said goes to the log.

    Raises ``OutOfMemory`` or ``ModelNotFound``.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        yield
    except StudioError:
        raise
    except ImportError as error:
        _log.warning("%s %s", model.role, model.name, exc_info=True)
        lacking = "sentencepiece and protobuf" if "sentencepiece" in str(error).lower() else (error.name or "a package")
        raise model.refused(f"needs {lacking}, which is not installed: install it with pip, or choose another model") from error
    except (*_BROKEN, SafetensorError, StrictDataclassError) as error:
        if is_shortage(error):
            raise _too_large(model, "it ran out while the model ran") from error
        _log.warning("%s %s", model.role, model.name, exc_info=True)
        raise model.refused(f"cannot be used ({_short(error)}): it is damaged or of another kind; choose another") from error


def _short(error: BaseException) -> str:
    """The first line of what a library said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".:")[:140]


def pretrained(auto: Any, model: LocalModel, device: str) -> Any:
    """The network of ``model`` through the transformers class ``auto``, in the dtype of its file, frozen on ``device``.

    Raises ``ModelNotFound`` where weights are missing, which transformers would fill with noise.
    """
    network, told = auto.from_pretrained(model.folder, local_files_only=True, dtype="auto", output_loading_info=True)
    if told["missing_keys"]:
        raise model.refused(f"lacks weights ({sorted(told['missing_keys'])[0]} and maybe more): fetch it again")
    return network.to(device).eval().requires_grad_(False)


def check_length(count: int, most: int | None, what: str) -> None:
    """Raises ``InvalidRequest`` where a prompt has more tokens than a model reads."""
    if most is not None and count > most:
        raise InvalidRequest(f"prompt is too long for the {what} ({count} tokens; it reads {most}): shorten it.", field="prompt")
