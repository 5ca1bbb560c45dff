"""A model of the owner's whose transformer is a single file and whose other parts are those of a complete model."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipelines.checkpoints.header import Damaged
from pipelines.checkpoints.transformer import LTX2, WAN, SingleFile, read_transformer, shapes_in
from pipelines.contract import ModelNotFound, Quantization
from pipelines.family import INDEX
from pipelines.optimize.plan import Record
from pipelines.registry import ModelSpec

_WAN_PIPELINES = ("WanPipeline", "WanImageToVideoPipeline", "WanVACEPipeline", "SkyReelsV2")
"""Of these, ``WanAnimatePipeline``'s transformer has parts that files name otherwise."""


def spec_from_file(model_id: str, named: str, models: Mapping[str, ModelSpec]) -> ModelSpec:
    """The model that ``FILE@BASE`` names; ``BASE`` is the id of one of ``models``, which lends all but its transformer.

    Of the file the header is read. Raises ``ModelNotFound`` where it is no whole transformer or does not fit.
    """
    path, separator, lender = named.rpartition("@")
    if not separator:
        path, lender = named, ""
    file = Path(path).expanduser()
    if not file.is_file():
        raise ModelNotFound(f"model {model_id}: {path} is no folder and no file; name one that exists.", field="model")
    if not lender:
        raise ModelNotFound(
            f"model {model_id}: {file.name} is one file; name the model that lends its other parts, as in {path}@ltx-2.3.",
            field="model",
        )
    base = models.get(lender)
    if base is None:
        near = difflib.get_close_matches(lender, models, n=1, cutoff=0.0)
        raise ModelNotFound(f"model {model_id}: {lender!r} is no model to lend parts; did you mean {near[0]!r}?", field="model")
    if reason := why_no_lender(base):
        raise ModelNotFound(f"model {model_id}: {base.id} {reason} and cannot lend its other parts; name another.", field="model")
    try:
        found = read_transformer(file)
        if found.family != family_of(base):
            raise Damaged(f"it holds a transformer of {found.family}, which {base.title} is not")
        if base.is_local:
            found.check(shapes_in(Path(base.source)), base.title)
    except Damaged as error:
        raise ModelNotFound(f"model {model_id}: {file.name} cannot be used: {error}.", field="model") from None
    return _spec(model_id, file.absolute(), found, base)


def family_of(spec: ModelSpec) -> str | None:
    """Whose single files a model can be given; ``None`` for other families."""
    if spec.call is None:
        return LTX2.family
    return WAN.family if (spec.call.text or spec.call.image).startswith(_WAN_PIPELINES) else None


def _has_two(base: ModelSpec) -> bool:
    """Whether a model has one transformer for strong noise and one for weak; of one that is not here that is not known yet."""
    from pipelines.models.installed import snapshot_of

    try:
        index = json.loads(((snapshot_of(base.source) or Path()) / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool((index.get("transformer_2") or [None])[0])


def why_no_lender(base: ModelSpec) -> str:
    """Why a model cannot lend its other parts to a single file, as what follows its id; empty where it can."""
    reason = ""
    if base.adapter:
        reason = "is a model with an adapter of its own"
    elif base.transformer:
        reason = "has a single file itself"
    elif base.held_as is not None:
        reason = "holds quantized weights"
    elif family_of(base) is None:
        reason = "is of a family whose single files cannot be read"
    elif _has_two(base):
        reason = "has two transformers, of which one file is but one,"
    return reason


def _spec(model_id: str, file: Path, found: SingleFile, base: ModelSpec) -> ModelSpec:
    size = file.stat().st_size
    packed = {4: Quantization.INT4, 8: Quantization.INT8}.get(found.bits or 0)
    return replace(
        base,
        id=model_id,
        title=model_id,
        description=f"The transformer in {file.name} with the other parts of {base.title}.",
        licence="see where the file is from",
        transformer=str(file),
        download_bytes=size,
        sha256={name: digest for name, digest in base.sha256.items() if not name.startswith("transformer/")},
        examples=(),
        held_as=None if packed is None else Record(packed, Quantization.NONE, ""),
    )
