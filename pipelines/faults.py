"""A fault that pydantic found in a request, as one sentence for a person: the field, what is wrong, and the remedy."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError


def told(error: ValidationError) -> tuple[str, str]:
    """The first fault of a report, and the field that it is about."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "request"
    return _sentence(_spoken(first["loc"]), first), field


def _spoken(place: tuple[int | str, ...]) -> str:
    """The field as a person would call it: an operation's own settings by their name, of a stack of LoRAs which one it is."""
    match place:
        case ("edit", _, *own):
            return ".".join(map(str, own)) or "edit"
        case ("loras", int(index), name):
            return f"{name} of LoRA {index + 1}"
        case _:
            return ".".join(map(str, place)) or "request"


def _number(value: float) -> str:
    return f"{int(value)}" if float(value).is_integer() else f"{value:g}"


def _sentence(field: str, fault: Any) -> str:  # noqa: C901 - one case for each kind of fault
    context = fault.get("ctx", {})
    value = repr(fault.get("input"))
    shown = value if len(value) <= 60 else value[:57] + "..."
    match fault["type"]:
        case "extra_forbidden":
            return f"{field} is not a field of this request; remove it or check its spelling."
        case "string_too_long":
            return f"{field} is longer than {context['max_length']:,} characters; shorten it."
        case "too_long":
            return f"{field} has more than {context['max_length']} entries; take some out."
        case "string_too_short":
            return f"{field} is empty: say what to see and hear." if field == "prompt" else f"{field} is empty; fill it in."
        case "greater_than_equal":
            return f"{field} is {shown}, below the least that is possible: use {_number(context['ge'])} or more."
        case "less_than_equal":
            return f"{field} is {shown}, above the most that is possible: use {_number(context['le'])} or less."
        case "greater_than":
            return f"{field} is {shown}; use more than {_number(context['gt'])}."
        case "less_than":
            return f"{field} is {shown}; use less than {_number(context['lt'])}."
        case "finite_number":
            return f"{field} is {shown}; use an ordinary finite number."
        case "enum" | "literal_error":
            return f"{field} is {shown}; use one of {context['expected']}."
        case "int_parsing" | "int_from_float" | "int_type":
            return f"{field} is {shown}; write a whole number."
        case "float_parsing" | "float_type":
            return f"{field} is {shown}; write a number."
        case "missing":
            return f"{field} is missing; add it."
        case "value_error":
            return f"{field} {context['error']}."
        case _:
            return f"{field} is {shown}: {fault['msg'][:1].lower()}{fault['msg'][1:]}."
