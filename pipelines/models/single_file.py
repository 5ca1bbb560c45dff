"""The transformer of a model whose weights are one safetensors or GGUF file; its architecture is that of the model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import ConfigMixin, GGUFQuantizationConfig
from safetensors import SafetensorError, safe_open

from pipelines.checkpoints.header import Damaged
from pipelines.checkpoints.transformer import SingleFile, read_transformer
from pipelines.contract import ModelNotFound
from pipelines.registry import ModelSpec


class _Config(ConfigMixin):
    """Reads the configuration of any network."""

    config_name = "config.json"


def read_single(spec: ModelSpec, dtype: torch.dtype) -> Any:
    """The network with the weights of ``spec.transformer``, computing in ``dtype``; what GGUF packs stays packed.

    Names and shapes are compared with the architecture before a weight is read. Raises ``ModelNotFound``.
    """
    file = Path(spec.transformer)
    try:
        found = read_transformer(file)
        kind, shapes = _architecture(spec)
        found.check(shapes, f"{spec.title}'s base")
        weights = _unpacked(found) if found.format == "gguf" else _read(found)
    except (Damaged, SafetensorError, OSError) as error:
        raise ModelNotFound(f"{spec.title}: {file.name} cannot be used: {error}.", field="model") from error
    exact = {name: each.float() for name, each in weights.items() if found.format != "gguf" and _is_kept_exact(kind, name)}
    network = kind.from_single_file(
        weights,
        config=spec.source,
        subfolder="transformer",
        local_files_only=spec.is_local,
        torch_dtype=dtype,
        quantization_config=None if found.bits is None else GGUFQuantizationConfig(compute_dtype=dtype),
    )
    for name, parameter in network.named_parameters():
        if name in exact:  # as in a folder's network; diffusers heeds it here in float16 and with packed weights only
            parameter.data = exact[name]
    return network


def _is_kept_exact(kind: Any, name: str) -> bool:
    """Whether a network keeps a weight in float32 whatever it computes in."""
    return any(part in name.split(".") for part in kind._keep_in_fp32_modules or ())


def _architecture(spec: ModelSpec) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """The class that the base's configuration names, and the shape of every tensor that it asks for; nothing is allocated."""
    try:
        config = _Config.load_config(spec.source, subfolder="transformer", local_files_only=spec.is_local)
    except (OSError, ValueError) as error:
        raise ModelNotFound(
            f"{spec.title}: the model that lends the other parts ({spec.source}) is not on this machine; install it.",
            field="model",
        ) from error
    kind = getattr(diffusers, str(config.get("_class_name")), None)
    if kind is None:
        raise ModelNotFound(f"{spec.title}: the transformer of its base is of a class that is not known here.", field="model")
    with torch.device("meta"):
        network = kind.from_config(config)
    return kind, {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _read(found: SingleFile) -> dict[str, torch.Tensor]:
    with safe_open(str(found.path), framework="pt") as file:
        return {name: file.get_tensor(source) for name, source in found.sources.items()}


def _unpacked(found: SingleFile) -> dict[str, torch.Tensor]:
    """GGUF's tensors: those of linear layers as they are packed, all others as plain numbers."""
    from diffusers.models.model_loading_utils import load_gguf_checkpoint
    from diffusers.quantizers.gguf.utils import GGUFParameter, dequantize_gguf_tensor

    held = load_gguf_checkpoint(str(found.path))
    weights = {}
    for name, source in found.sources.items():
        tensor = held.pop(source)
        is_plain = not isinstance(tensor, GGUFParameter) or found.is_packed(name)
        weights[name] = tensor if is_plain else dequantize_gguf_tensor(tensor)
    return weights
