"""Load an LTX-2-class model from a local diffusers folder or a hub id, its files checked first."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import LTX2Pipeline
from safetensors import safe_open

from pipelines.contract import ModelNotFound
from pipelines.models.manifest import checked, digest, name_of, verify
from pipelines.models.single_file import read_single
from pipelines.optimize.offload import keep_away, rest_to
from pipelines.optimize.plan import QUANTIZED_FILE, Offload, Plan, name_of_plan, name_of_quantized, prepare, prepare_text, settle
from pipelines.registry import ModelSpec

_log = logging.getLogger(__name__)
ADAPTER_FILE = "pytorch_lora_weights.safetensors"
_TEXT = ("tokenizer", "text_encoder", "connectors")
_REST = ("scheduler", "transformer", "vae", "audio_vae", "vocoder")
_TEXT_AT_ONCE_BYTES = 256 * 1024**2
"""Up to this size the text's parts are loaded with the others: later they would keep the first clip waiting for nothing."""


_AS_IT_IS = Plan()
_DTypes = torch.dtype | dict[str, torch.dtype]
"""That of all parts, or of some by name and of the others as ``default``."""


@dataclass(frozen=True)
class TextParts:
    """What makes a conditioning of words."""

    tokenizer: Any
    text_encoder: Any
    connectors: Any


@dataclass(frozen=True)
class Reader:
    """What reads texts, on a device of its own."""

    text: TextParts
    device: torch.device

    @property
    def max_prompt_tokens(self) -> int:
        """As of ``LTX2Model``."""
        return _max_prompt_tokens(self.text)


@dataclass(frozen=True)
class LTX2Model:
    """The loaded parts of one model on one device; ``sha256`` names exactly these weights, ``text_sha256`` the text's parts."""

    spec: ModelSpec
    sha256: str
    text_sha256: str
    device: torch.device
    dtype: torch.dtype
    load_text: Callable[[], TextParts]
    transformer: Any
    vae: Any
    audio_vae: Any
    vocoder: Any
    scheduler: Any

    @cached_property
    def text(self) -> TextParts:
        """The parts that read texts, loaded when a text is first met that is not kept: they can be half of a model."""
        return self.load_text()

    @property
    def sample_rate(self) -> int:
        """Samples a second that the vocoder writes."""
        return int(self.vocoder.config.output_sampling_rate)

    @property
    def max_prompt_tokens(self) -> int:
        """Length that prompts are padded to; LTX-2 was trained at 1024, small encoders say less."""
        return _max_prompt_tokens(self.text)


def load_reader(spec: ModelSpec, device: torch.device, *, plan: Plan = _AS_IT_IS) -> Reader:
    """The parts of ``spec`` that read texts, alone, prepared as ``plan`` says. Raises ``ModelNotFound``."""
    dtype = torch.float32 if device.type == "cpu" else getattr(torch, spec.dtype)
    return Reader(_text_of(spec, device, dtype, plan), device)


def load(
    spec: ModelSpec, device: torch.device, *, plan: Plan = _AS_IT_IS, text_at_once_bytes: int = _TEXT_AT_ONCE_BYTES
) -> LTX2Model:
    """Load ``spec`` onto ``device`` in its dtype (CPU: float32, the only one that is fast there), prepared as ``plan`` says.

    A text encoder of more than ``text_at_once_bytes`` is left until it is needed. Raises ``ModelNotFound`` when files are absent
    or damaged, ``InvalidRequest`` for a plan that cannot work here.
    """
    sha256 = fingerprint(spec)
    dtype = torch.float32 if device.type == "cpu" else getattr(torch, spec.dtype)
    pipeline = _parts(spec, _as_filed(spec, dtype, plan, ["transformer"]) if plan.offload.whole else dtype, _REST)
    if spec.adapter:
        _fuse(pipeline.transformer, Path(spec.adapter))
    prepare(pipeline.transformer, plan)
    # Of a hub id: its snapshot, named by the commit.
    folder = Path(spec.source) if spec.is_local else Path(pipeline.vae.config._name_or_path).parent
    revision = None if spec.is_local else folder.name

    text_sha256 = name_of_quantized(_text_fingerprint(spec, folder), plan.text_quantization)
    names = _Texts(name_of_plan(sha256, plan), text_sha256, partial(_text_of, spec, device, dtype, plan, revision))
    model = _model(pipeline, spec, names, device, plan)
    settle(model.transformer, plan)
    if plan.offload.whole:
        keep_away(model.transformer, device, dtype, plan.files)
    if spec.is_local and sum(file.stat().st_size for file in _text_files(folder)) <= text_at_once_bytes:
        _ = model.text
    return model


def from_pipeline(pipeline: LTX2Pipeline, spec: ModelSpec, *, sha256: str, device: torch.device) -> LTX2Model:
    """The parts of a complete diffusers pipeline as our value, moved to ``device`` and frozen for inference."""
    text = _placed(pipeline, device, pipeline.transformer.dtype, away=False)
    return _model(pipeline, spec, _Texts(sha256, sha256, lambda: text), device, _AS_IT_IS)


def _max_prompt_tokens(text: TextParts) -> int:
    return min(1024, int(text.tokenizer.model_max_length))


@dataclass(frozen=True)
class _Texts:
    """The names of a model and of its text's parts, and where those come from."""

    sha256: str
    text_sha256: str
    load: Callable[[], TextParts]


def _parts(spec: ModelSpec, dtype: _DTypes, wanted: tuple[str, ...], revision: str | None = None) -> LTX2Pipeline:
    """A pipeline with these parts only; diffusers loads no part that it is given as ``None``. Raises ``ModelNotFound``."""
    if spec.transformer:
        small = (
            {"transformer": read_single(spec, dtype if isinstance(dtype, torch.dtype) else dtype["default"])}
            if "transformer" in wanted
            else {}
        )
    else:
        small = {} if spec.held_as is None else _quantized(spec, wanted)
    others = {name: small.get(name) for name in inspect.signature(LTX2Pipeline).parameters if name not in wanted or name in small}
    try:
        return LTX2Pipeline.from_pretrained(spec.source, dtype=dtype, local_files_only=spec.is_local, revision=revision, **others)
    except (ImportError, RuntimeError) as error:
        library = _library(spec)
        if not library:
            raise
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ModelNotFound(
            f"{spec.title} was quantized by {library}, which cannot be used here ({reason}): install it, or use the model's "
            "unquantized files with a mode of the studio.",
            field="model",
        ) from error
    except (OSError, ValueError) as error:
        _log.warning("%s could not be loaded: %s", spec.source, error)
        raise ModelNotFound(absent(spec), field="model") from error


def _library(spec: ModelSpec) -> str:
    """The library that quantized the files of a local model, by their own word; empty where they are as they were trained."""
    file = Path(spec.source) / "transformer" / "config.json"
    if not file.is_file():
        return ""
    return str(json.loads(file.read_text(encoding="utf-8")).get("quantization_config", {}).get("quant_method", ""))


def _quantized(spec: ModelSpec, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Those of the wanted parts that the model's folder holds quantized."""
    from pipelines.models.ltx2.quantized import read

    assert spec.held_as is not None
    folder, held = Path(spec.source), spec.held_as
    return {
        name: read(folder, name, held.text_quantization if name in _TEXT else held.quantization)
        for name in wanted
        if (folder / name / QUANTIZED_FILE).is_file()
    }


def _text_of(spec: ModelSpec, device: torch.device, dtype: torch.dtype, plan: Plan, revision: str | None = None) -> TextParts:
    away = plan.offload is not Offload.NONE
    parts = _parts(spec, _as_filed(spec, dtype, plan, _TEXT[1:]) if away else dtype, _TEXT, revision)
    if away and plan.files is not None:
        _unround(parts.text_encoder)
    prepare_text(parts.text_encoder, parts.connectors, plan)
    text = _placed(parts, device, dtype, away=away)
    for network in (text.text_encoder, text.connectors) if away else ():
        keep_away(network, device, dtype, plan.files)
    return text


def _as_filed(spec: ModelSpec, dtype: torch.dtype, plan: Plan, parts: Iterable[str]) -> dict[str, torch.dtype]:
    """How to read a model for some of whose ``parts`` memory is scarce: in the dtype of their files, often half as wide.

    They become ``dtype`` a block at a time.
    """
    if plan.files is None or spec.adapter or spec.transformer or spec.held_as is not None:
        return {"default": dtype}
    filed = getattr(torch, spec.dtype)
    file = next(iter(Path(spec.source, "transformer").glob("*.safetensors")), None)
    if file is not None:
        with safe_open(file, "pt") as weights:
            filed = weights.get_tensor(next(iter(weights.keys()))).dtype
    return {"default": dtype, **dict.fromkeys(parts, filed)}


def _unround(text_encoder: Any) -> None:
    """Numbers that transformers computes and rounds to the files' dtype, such as the scale of a table of words, as they are."""
    with init_empty_weights(include_buffers=False):
        exact = dict(type(text_encoder)(text_encoder.config).named_buffers())
    for name, buffer in text_encoder.named_buffers():
        if name in exact and name not in text_encoder.state_dict():
            buffer.data = exact[name]


def _placed(pipeline: LTX2Pipeline, device: torch.device, dtype: torch.dtype, *, away: bool) -> TextParts:
    return TextParts(pipeline.tokenizer, *(_put(getattr(pipeline, name), device, dtype, away=away) for name in _TEXT[1:]))


def _put(network: Any, device: torch.device, dtype: torch.dtype, *, away: bool) -> Any:
    """A network on ``device``, for inference; of one that is kept ``away`` what belongs to no block."""
    network.eval().requires_grad_(False)
    if away:
        rest_to(network, device, dtype)
    else:
        network.to(device)
    return network


def _model(pipeline: LTX2Pipeline, spec: ModelSpec, texts: _Texts, device: torch.device, plan: Plan) -> LTX2Model:
    transformer = pipeline.transformer
    if transformer.config.patch_size != 1 or transformer.config.patch_size_t != 1:
        raise ModelNotFound(
            f"{spec.title} packs its latents in patches, which no LTX-2 release does; it cannot be run.", field="model"
        )
    _remember_signatures(transformer)
    dtype, away = pipeline.vae.dtype, {"transformer"} if plan.offload.whole else set()
    parts = {name: _put(getattr(pipeline, name), device, dtype, away=name in away) for name in _REST[1:]}
    return LTX2Model(
        spec=spec,
        sha256=texts.sha256,
        text_sha256=texts.text_sha256,
        device=device,
        dtype=transformer.dtype,
        load_text=texts.load,
        scheduler=pipeline.scheduler,
        **parts,
    )


def _fuse(transformer: Any, adapter: Path) -> None:
    """Add a distilled model's adapter to its base for good: it then costs nothing.

    Raises ``ModelNotFound`` where nothing of it fits.
    """
    transformer.load_lora_adapter(str(adapter), weight_name=ADAPTER_FILE, prefix="transformer", use_safetensors=True)
    if not getattr(transformer, "peft_config", None):
        raise ModelNotFound(f"{adapter} changes nothing of the model that it belongs to; install the model again.", field="model")
    transformer.fuse_lora()
    transformer.unload_lora()


def _remember_signatures(transformer: Any) -> None:
    """Each attention asks its processor for its signature on every call: 5 % of a small model's time, unless it is stored."""
    for kind in {type(processor) for processor in transformer.attn_processors.values()}:
        call: Any = kind.__call__
        call.__signature__ = inspect.signature(call)


def fingerprint(spec: ModelSpec) -> str:
    """A hash that names the weights; for a folder with a manifest every file is checked against it.

    Without a manifest, files up to 1 GiB are hashed whole and larger ones by size and sixteen samples of 1 MiB; a
    hub id stands for itself; an adapter is named with its base. Raises ``ModelNotFound`` naming the damaged file.
    """
    folder = Path(spec.source)
    if not spec.is_local:
        base = hashlib.sha256(spec.source.encode()).hexdigest()
    elif spec.sha256:
        base = verify(spec.title, folder, spec.sha256)
    else:
        own = (file for file in folder.rglob("*.safetensors") if not spec.transformer or file.parent.name != "transformer")
        base = name_of({str(file.relative_to(folder)): digest(file) for file in own})
    if spec.transformer:
        return name_of({"base": base, "transformer": digest(Path(spec.transformer))})
    if not spec.adapter:
        return base
    return name_of({"base": base, "adapter": checked(spec.title, Path(spec.adapter)).sha256})


def _text_files(folder: Path) -> list[Path]:
    """Everything that a text's numbers depend on: the words' table, the encoder and the connectors, weights and settings."""
    return sorted(file for name in _TEXT for file in (folder / name).rglob("*") if file.is_file())


def _text_fingerprint(spec: ModelSpec, folder: Path) -> str:
    """A hash that names the parts that read texts; models that differ elsewhere share it, such as a model and its student."""
    if not spec.is_local:
        return name_of({spec.source: folder.name})
    return name_of({str(file.relative_to(folder)): digest(file) for file in _text_files(folder)})


def absent(spec: ModelSpec) -> str:
    """What people are told of a model that could not be loaded."""
    if spec.is_local:
        return f"{spec.title}: {spec.source} could not be loaded; install the model again (the log says what was wrong with it)."
    size = f"{spec.download_bytes / 1e9:.0f} GB" if spec.download_bytes else "unknown size"
    return (
        f"{spec.title} ({spec.source}, {size}) is not on this machine and could not be fetched; "
        "connect to the Hugging Face hub once, or name a local copy in STUDIO_MODELS."
    )
