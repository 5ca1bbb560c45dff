"""A model of the owner's whose transformer is a single file and whose other parts are those of a complete model."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipelines.checkpoints.header import Damaged
from pipelines.checkpoints.transformer import SingleFile, read_transformer, shapes_in
from pipelines.contract import ModelNotFound, Quantization
from pipelines.optimize.plan import Record
from pipelines.registry import ModelSpec


def spec_from_file(model_id: str, named: str, models: Mapping[str, ModelSpec]) -> ModelSpec:
    """The model that ``FILE@BASE`` names; ``BASE`` is the id of one of ``models``, which lends all but its transformer.

    Of the file the header is read. Raises ``ModelNotFound`` where it is no whole LTX-2-class transformer or does not fit.
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
    _check_lender(model_id, base)
    try:
        found = read_transformer(file)
        if base.is_local:
            found.check(shapes_in(Path(base.source)), base.title)
    except Damaged as error:
        raise ModelNotFound(f"model {model_id}: {file.name} cannot be used: {error}.", field="model") from None
    return _spec(model_id, file.absolute(), found, base)


def _check_lender(model_id: str, base: ModelSpec) -> None:
    reason = ""
    if base.adapter:
        reason = "is a model with an adapter of its own"
    elif base.transformer:
        reason = "has a single file itself"
    elif base.held_as is not None:
        reason = "holds quantized weights"
    elif base.loader != "pipelines.models.ltx2.load:load":
        reason = "is not of LTX-2's class"
    if reason:
        raise ModelNotFound(f"model {model_id}: {base.id} {reason} and cannot lend its other parts; name another.", field="model")


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
