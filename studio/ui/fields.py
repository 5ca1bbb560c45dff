"""A field of the request as a Gradio component: its title is the label, its docstring the explanation."""

from __future__ import annotations

import types
import typing
from enum import StrEnum
from typing import Any

import gradio as gr
from pydantic.fields import FieldInfo

from pipelines.contract import GenerationRequest, InvalidRequest

_FIELDS = GenerationRequest.model_fields
_OFTEN_VARIED = ("seed", "prompt", "num_inference_steps", "guidance_scale", "audio_guidance_scale", "effort")
_NOT_VARIED = ("kind", "model", "loras", "original_prompt", "first_frame", "last_frame", "references", "sigmas")
"""Of styles the weights are varied; another model has other settings altogether."""


def advanced_fields() -> tuple[str, ...]:
    """Names of the settings that stay folded away, in the order of the request."""
    return tuple(name for name, field in _FIELDS.items() if _is_advanced(field))


def title_of(name: str) -> str:
    """The field's name as people read it."""
    return str(_FIELDS[name].title or name.replace("_", " ").capitalize())


def explanation_of(name: str) -> str:
    """What the field does, in plain words and without markup."""
    return (_FIELDS[name].description or "").replace("``", "")


def component_for(name: str, **options: Any) -> gr.components.Component:
    """The input for the request's field ``name``: its choices, a number box, or a text box for words and lists."""
    common: dict[str, Any] = {
        "label": title_of(name),
        "info": explanation_of(name),
        "elem_id": f"field-{name}",
        "interactive": True,
        **options,
    }
    kind = _plain_type(_FIELDS[name])
    if labelled := choices_of(name):
        return gr.Radio(labelled, **common)
    if kind is int:
        return gr.Number(precision=0, step=1, **common)
    if kind is float:
        return gr.Number(step=0.1, **common)
    return gr.Textbox(lines=2 if name in ("negative_prompt", "lyrics") else 1, **common)


def varied_fields() -> list[dict[str, Any]]:
    """The settings that a grid can vary, the usual ones first: each its ``field``, ``title``, ``kind`` and ``choices``."""
    names = dict.fromkeys((*_OFTEN_VARIED, *_FIELDS))
    return [
        {"field": name, "title": title_of(name), "kind": _varied_kind(name), "choices": choices_of(name)}
        for name in names
        if name not in _NOT_VARIED
    ]


def _varied_kind(name: str) -> str:
    """How values of a field are given: some of its ``choices``, ``numbers`` or ``texts``."""
    if choices_of(name):
        return "choices"
    return "numbers" if _plain_type(_FIELDS[name]) in (int, float) else "texts"


def choices_of(name: str) -> list[tuple[str, Any]]:
    """What a person can choose from, as (words, value); empty for a field that takes more than a few values."""
    field = _FIELDS[name]
    values = next(filter(None, map(_values, _options(field))), ())
    extra = field.json_schema_extra
    labels: Any = extra.get("labels") if isinstance(extra, dict) else None
    return list(zip(labels or map(str, values), values, strict=True))


def shown(name: str, value: Any) -> Any:
    """``value`` of the request's field as its component shows it."""
    if _plain_type(_FIELDS[name]) is tuple:
        return ", ".join(f"{number:g}" for number in value or ())
    return value


def read(name: str, value: Any) -> Any:
    """What a person entered, as the request takes it; ``None`` where the field was left empty.

    Raises ``InvalidRequest`` for a list that is not made of numbers.
    """
    if _plain_type(_FIELDS[name]) is not tuple:
        return value
    parts = str(value or "").replace(";", ",").split(",")
    try:
        return tuple(float(part) for part in parts if part.strip()) or None
    except ValueError:
        raise InvalidRequest(
            f"{name} holds something that is not a number; write it as 1.0, 0.75, 0.5, 0.25.", field=name
        ) from None


def _values(part: Any) -> tuple[Any, ...]:
    """The values of a ``Literal`` or an enumeration; empty for any other type."""
    if isinstance(part, type) and issubclass(part, StrEnum):
        return tuple(member.value for member in part)
    return typing.get_args(part) if typing.get_origin(part) is typing.Literal else ()


def _is_advanced(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("advanced"))


def _plain_type(field: FieldInfo) -> type:
    """The type behind ``X``, ``X | None`` and ``tuple[X, ...]``."""
    annotation = next(part for part in _options(field) if part is not type(None))
    return typing.get_origin(annotation) or annotation


def _options(field: FieldInfo) -> tuple[Any, ...]:
    """The members of a union, or the one type there is."""
    annotation: Any = field.annotation
    return typing.get_args(annotation) if typing.get_origin(annotation) in (types.UnionType, typing.Union) else (annotation,)
