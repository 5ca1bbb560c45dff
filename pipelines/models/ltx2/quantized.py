"""Parts of a model written as they were quantized and read back bit for bit, beside a copy of all the others."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from pipelines.contract import InvalidRequest, ModelNotFound, Quantization, StorageFull
from pipelines.models.ltx2.load import LTX2Model
from pipelines.models.manifest import digest
from pipelines.optimize.plan import QUANTIZED_FILE, RECORD_FILE, Plan, Record
from pipelines.optimize.quantize import quantize

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.pt", "*.gguf", "sha256.json", ".*")
_TOP = "part."
"""torchao's names need a dot; those of a network's own parameters have none."""


def save(model: LTX2Model, plan: Plan, out: Path) -> dict[str, str]:
    """Write ``model``, which was loaded with ``plan``, as a folder of its own; its manifest, sha256 by file.

    Raises ``InvalidRequest`` when ``out`` is there, ``StorageFull`` when the disk is; either way nothing is left behind.
    """
    if out.exists():
        raise InvalidRequest(f"out is {out}, which is there already; name another folder.", field="out")
    source = Path(model.spec.source)
    parts = {"transformer": model.transformer} if plan.quantization is not Quantization.NONE else {}
    if plan.text_quantization is not Quantization.NONE:
        parts |= {"text_encoder": model.text.text_encoder, "connectors": model.text.connectors}
    with _whole(out) as folder:
        for entry in source.iterdir():
            if entry.is_dir() and entry.name not in parts:
                shutil.copytree(entry, folder / entry.name)
            elif entry.is_dir():
                shutil.copytree(entry, folder / entry.name, ignore=shutil.ignore_patterns(*_WEIGHTS))
            elif entry.name not in ("sha256.json", RECORD_FILE):
                shutil.copy2(entry, folder / entry.name)
        for name, network in parts.items():
            _write(network, folder / name / QUANTIZED_FILE)
        Record(plan.quantization, plan.text_quantization, model.sha256).write(folder)
        files = sorted([*folder.rglob("*.safetensors"), folder / RECORD_FILE])
        manifest = {str(file.relative_to(folder)): digest(file) for file in files}
        (folder / "sha256.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return manifest


def read(folder: Path, part: str, quantization: Quantization) -> nn.Module:
    """The part of that name as it was written. Raises ``ModelNotFound`` when its files do not fit together."""
    library, kind = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))[part]
    network = _unfilled(getattr(importlib.import_module(_MODULES.get(library, library)), kind), folder / part)
    from torchao.prototype.safetensors.safetensors_support import unflatten_tensor_state_dict

    try:
        with safe_open(str(folder / part / QUANTIZED_FILE), framework="pt") as file:
            # Cloned, so that they are aligned as any others: kernels sum in another order where they are not.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            state, left = unflatten_tensor_state_dict(tensors, file.metadata())
        if quantization in (Quantization.INT16, Quantization.INT4, Quantization.BF16):
            quantize(network, quantization)
        network.load_state_dict({name.removeprefix(_TOP): tensor for name, tensor in state.items()}, assign=True)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0][:200]
        raise ModelNotFound(
            f"model {folder}: {part}/{QUANTIZED_FILE} does not fit its configuration ({first}); quantize the model again.",
            field="model",
        ) from error
    if left:
        raise ModelNotFound(f"model {folder}: {part}/{QUANTIZED_FILE} is incomplete; quantize the model again.", field="model")
    return network.eval().requires_grad_(False)


_MODULES = {"ltx2": "diffusers.pipelines.ltx2"}
"""``model_index.json`` names parts that only a pipeline has by its folder within diffusers."""


def _unfilled(kind: Any, folder: Path) -> nn.Module:
    """The network that the folder's configuration describes; its weights say nothing yet."""
    if hasattr(kind, "config_class") and kind.config_class is not None:
        network = kind(kind.config_class.from_pretrained(folder, local_files_only=True))
    else:
        network = kind.from_config(kind.load_config(folder, local_files_only=True))
    assert isinstance(network, nn.Module)
    return network


@torch.no_grad()
def _write(network: nn.Module, file: Path) -> None:
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict

    state = {_TOP + name: tensor.detach() for name, tensor in network.state_dict().items()}
    tensors, metadata = flatten_tensor_state_dict(state)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(file), metadata)


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder that becomes ``out`` when all of it is written, and is gone otherwise."""
    half = out.with_name(f"{out.name}.part")
    try:
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        yield half
        half.rename(out)
    except (OSError, SafetensorError) as error:
        remedy = StorageFull.remedy(error) if isinstance(error, OSError) else "free some space"
        raise StorageFull(f"out is {out}, which could not be written ({error}): {remedy}.", field="out") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
