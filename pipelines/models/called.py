"""Load a model that diffusers' own pipeline runs, from a local folder or a hub id, its files checked first."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from pipelines.contract import InvalidRequest, ModelNotFound
from pipelines.family import Call
from pipelines.models.ltx2.load import absent, fingerprint
from pipelines.models.prompt_cleaning import repair
from pipelines.models.single_file import read_single
from pipelines.optimize.memory import is_shortage
from pipelines.optimize.offload import is_scarce
from pipelines.optimize.plan import Offload, Plan, name_of_plan
from pipelines.optimize.quantize import quantize, weights_bytes
from pipelines.registry import ModelSpec

_log = logging.getLogger(__name__)
_AS_IT_IS = Plan()
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_TEXT = ("text_encoder", "text_encoder_2")
_NETWORKS = ("transformer", "transformer_2", "transformer_ref")
_READ_APART = (*_TEXT, "image_encoder")
"""Parts by transformers, which tells what their files lack to those who ask."""
_ROOM = 0.85
"""Of a GPU's free memory, what a whole model may take; with more, each part comes there only while it works."""


@dataclass(frozen=True)
class CalledModel:
    """A loaded pipeline on one device; ``sha256`` names exactly these weights."""

    spec: ModelSpec
    sha256: str
    device: torch.device
    pipeline: Any

    @property
    def sample_rate(self) -> int:
        """Samples a second of its sound; 0 where it has none."""
        if self.spec.is_for_sound:
            return int(self.pipeline.vae.config.sampling_rate)
        return int(getattr(self.pipeline, "audio_sample_rate", 0))

    def pipeline_for(self, image: bool) -> Any:
        """The pipeline that begins with a first frame, or with words alone."""
        return self._from_image if image else self.pipeline

    @cached_property
    def _from_image(self) -> Any:
        """The same parts in the class that begins with a first frame."""
        call = self.spec.call
        assert call is not None and (call.image or call.fills)
        if call.image == call.text or not call.text or call.fills:
            return self.pipeline
        kind = pipeline_class(call.image)
        known = {**self.pipeline.config, **self.pipeline.components}
        return kind(**{name: known[name] for name in inspect.signature(kind.__init__).parameters if name in known})


def load(spec: ModelSpec, device: torch.device, *, plan: Plan = _AS_IT_IS) -> CalledModel:
    """Load ``spec`` in its dtype (CPU: float32, the only one that is fast there), prepared as ``plan`` says.

    Raises ``ModelNotFound`` when files are absent or damaged, ``InvalidRequest`` for a plan that cannot work here.
    """
    assert spec.call is not None
    sha256 = name_of_plan(fingerprint(spec), plan)
    own = torch.float32 if device.type == "cpu" else getattr(torch, spec.dtype)
    kind = pipeline_class(spec.call.text or spec.call.image)
    try:
        if spec.transformer and (kind.load_config(spec.source, local_files_only=spec.is_local).get("transformer_2") or [None])[0]:
            raise ModelNotFound(
                f"{spec.title}: its base has two transformers, and one file is but one; name another.", field="model"
            )
        given = {"transformer": read_single(spec, own)} if spec.transformer else {}
        pipeline = assembled(kind, spec.source, spec.call, dtypes_of(spec.call, own), spec.is_local, given)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if is_shortage(error):
            raise
        _log.warning("%s could not be loaded: %s", spec.source, error)
        raise ModelNotFound(absent(spec), field="model") from error
    for names, mode in ((_NETWORKS, plan.quantization), (_TEXT, plan.text_quantization)):
        for name in names:
            if getattr(pipeline, name, None) is not None:
                quantize(getattr(pipeline, name), mode)
    for network in _networks(pipeline).values():
        network.eval().requires_grad_(False)
    return CalledModel(spec, sha256, device, _placed(pipeline, device, plan.offload))


def assembled(
    kind: Any, source: str, call: Call, dtypes: Mapping[str, torch.dtype], is_local: bool, given: Mapping[str, Any] = _NOTHING
) -> Any:
    """``kind.from_pretrained``, its parts whole and of the classes that ``call`` names; those ``given`` are not loaded.

    What a file lacks, transformers would fill with noise and diffusers leave empty. Raises ``OSError`` or ``ValueError``, and
    what torch and safetensors raise of damaged files.
    """
    index = kind.load_config(source, local_files_only=is_local)
    found: dict[str, Any] = dict.fromkeys(call.parts) | dict(given)
    for name in _READ_APART:
        library, part = index.get(name) or ("", "")
        if library == "transformers":
            options = {"subfolder": name, "local_files_only": is_local, "output_loading_info": True}
            found[name], told = getattr(transformers, part).from_pretrained(
                source, dtype=dtypes.get(name, dtypes["default"]), **options
            )
            if told["missing_keys"]:
                raise OSError(f"{name} lacks {min(told['missing_keys'])}")
    pipeline = kind.from_pretrained(source, dtype=dict(dtypes), local_files_only=is_local, **found)
    for name, part in call.parts.items():
        words = getattr(transformers, part).from_pretrained(source, subfolder=name, local_files_only=is_local)
        pipeline.register_modules(**{name: words})
    for name, network in _networks(pipeline).items():
        empty = [each for each, weight in network.named_parameters() if weight.is_meta]
        if empty:
            raise OSError(f"{name} lacks {min(empty)}")
    return pipeline


def _networks(pipeline: Any) -> dict[str, torch.nn.Module]:
    return {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}


def dtypes_of(call: Call, own: torch.dtype) -> dict[str, torch.dtype]:
    """In which dtype each part is loaded."""
    return {"default": own, **dict.fromkeys(call.float32, torch.float32)}


def pipeline_class(name: str) -> Any:
    """The class of that name in diffusers, or ``module:class``."""
    module, _, own = name.rpartition(":")
    kind = getattr(importlib.import_module(module or "diffusers"), own)
    repair(kind)
    return kind


def _placed(pipeline: Any, device: torch.device, offload: Offload) -> Any:
    """On ``device``, as a whole or, where a GPU has no room for that, a part at a time or layer by layer."""
    if device.type != "cuda":
        return pipeline.to(device)
    networks = _networks(pipeline)
    sizes, room = [weights_bytes(each) for each in networks.values()], _ROOM * torch.cuda.mem_get_info(device)[0]
    layers = (offload.whole or max(sizes) > room) and hasattr(pipeline, "enable_group_offload")
    if layers:
        stay = [name for name in networks if name not in (*_NETWORKS, *_READ_APART)]
        scarce = is_scarce(sum(sizes))
        pipeline.enable_group_offload(
            device, offload_type="leaf_level", use_stream=True, low_cpu_mem_usage=scarce, exclude_modules=stay
        )
    elif offload is not Offload.NONE or sum(sizes) > room:
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
    return pipeline


def adjusted(pipeline: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The call's own ``arguments``; those with a dotted name become settings of a part, which is made anew with them."""
    own = {}
    for name, value in arguments.items():
        part, dot, setting = name.partition(".")
        if dot:
            setattr(pipeline, part, getattr(pipeline, part).new(**{setting: value}))
        else:
            own[name] = value
    return own


def check_texts(model: CalledModel, arguments: Mapping[str, Any]) -> None:
    """Raises ``InvalidRequest`` where a text is longer than its encoder reads; the pipeline would cut it without a word."""
    assert model.spec.call is not None
    call = model.spec.call
    words = getattr(model.pipeline.tokenizer, "tokenizer", model.pipeline.tokenizer)
    longest = dict.fromkeys(("prompt", "negative_prompt"), call.prompt_tokens)
    longest |= {"lyrics": call.lyrics_tokens} if call.takes("lyrics") else {}
    for name, most in longest.items():
        count = len(words(arguments.get(name) or "")["input_ids"])
        if count > most:
            raise InvalidRequest(
                f"{name} is too long for {model.spec.title} ({count} tokens; it reads {most}): shorten it.", field=name
            )


@contextmanager
def tiled(pipeline: Any, is_wanted: bool) -> Iterator[None]:
    """What the VAE can decode in tiles so decoded while the context lasts, where that ``is_wanted``: it takes less memory."""
    if not is_wanted or not hasattr(pipeline.vae, "enable_tiling"):
        yield
        return
    pipeline.vae.enable_tiling()
    try:
        yield
    finally:
        pipeline.vae.disable_tiling()
