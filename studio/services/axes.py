"""What a grid varies: its axes, the requests that they make, and the axes read back from a group of jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from pydantic import Field

from pipelines import contract
from pipelines.contract import GenerationRequest, InvalidRequest, StudioError, TooLarge, parse_generation

MOST_CELLS = 64
MOST_VALUES = 16
LORA = "lora:"
_FIXED = ("kind",)

Settings = dict[str, Any]
"""Values of settings by name; a LoRA's weight by the reference of the LoRA."""


class Axis(contract.Request):
    """One setting and the values that it takes."""

    field: str
    """A field of the request, such as ``seed``, ``prompt`` or ``guidance_scale``, or the reference of a LoRA that the
    request stacks (``lora:...``): its weight."""
    values: tuple[Any, ...] = Field(min_length=1)
    """At most 16, in the order in which they are shown."""


class GridRequest(contract.Request):
    """What to vary in one request."""

    request: Settings
    """A request to generate; what an axis varies may be left out. Without a seed all clips share one drawn seed."""
    axes: tuple[Axis, ...] = Field(min_length=1, max_length=2)
    """The first runs down, the second across."""


def requests_of(
    request: Mapping[str, Any], axes: Sequence[Axis], complete: Callable[[GenerationRequest], GenerationRequest]
) -> list[GenerationRequest]:
    """One request for each combination of the axes' values, the last axis fastest; each is one that ``complete`` takes.

    Raises ``InvalidRequest`` with the axis and the value, ``TooLarge``, or what ``complete`` raises.
    """
    _check_axes(request, axes)
    combinations = list(product(*(axis.values for axis in axes)))
    if len(combinations) > MOST_CELLS:
        raise TooLarge(f"axes make {len(combinations)} clips; use at most {MOST_CELLS}.", field="axes")
    for axis in axes:  # each value by itself first, so that the sentence can name the one that is wrong
        others = {each.field: each.values[0] for each in axes if each is not axis}
        for value in axis.values:
            _judged(request, {**others, axis.field: value}, complete, (axis.field,))
    names = tuple(axis.field for axis in axes)
    found = [_judged(request, dict(zip(names, values, strict=True)), complete, names) for values in combinations]
    for axis in axes:
        if len({_key(_read(each.model_dump(mode="json"), (axis.field,))) for each in found}) < len(axis.values):
            raise InvalidRequest(f"axes has a value of {axis.field} twice; give each value once.", field="axes")
    seed = complete(found[0]).seed  # one for all: a difference has to come from the axes
    return [each if each.seed is not None or "seed" in names else each.model_copy(update={"seed": seed}) for each in found]


def _check_axes(request: Mapping[str, Any], axes: Sequence[Axis]) -> None:
    names = [axis.field for axis in axes]
    stacked = _stacked(request)
    for axis in axes:
        name = axis.field
        if name.startswith(LORA):
            if name not in stacked:
                raise InvalidRequest(
                    f"axes varies the weight of {name[:17]}…, which is not among the loras of the request; add it there.",
                    field="axes",
                )
        elif name in _FIXED or name not in GenerationRequest.model_fields:
            raise InvalidRequest(f"axes names {name[:60]!r}, which is no setting; use one such as seed or prompt.", field="axes")
        if len(axis.values) > MOST_VALUES:
            raise TooLarge(f"axes has {len(axis.values)} values of {name}; use at most {MOST_VALUES}.", field="axes")
    if len(set(names)) < len(names):
        raise InvalidRequest("axes names the same setting twice; give each axis a setting of its own.", field="axes")
    if "num_inference_steps" in names and request.get("sigmas"):
        raise InvalidRequest("axes varies num_inference_steps, which sigmas overrule; leave out sigmas.", field="axes")


def _stacked(request: Mapping[str, Any]) -> list[Any]:
    uses = request.get("loras")
    return [use.get("lora") for use in uses if isinstance(use, Mapping)] if isinstance(uses, list | tuple) else []


def _judged(
    request: Mapping[str, Any],
    settings: Settings,
    complete: Callable[[GenerationRequest], GenerationRequest],
    blamed: tuple[str, ...],
) -> GenerationRequest:
    """The request with ``settings``, if it can be made; what is wrong with one of ``blamed`` is told with its value."""
    try:
        made = parse_generation(_with(request, settings))
        complete(made)
    except StudioError as error:
        field = error.field or ""
        name = next((each for each in blamed if field == each or (each.startswith(LORA) and field.startswith("loras"))), None)
        if name is None:
            raise
        value = json.dumps(settings[name], ensure_ascii=False, default=str)[:60]
        shown = f"{name[:17]}…" if name.startswith(LORA) else name
        raise InvalidRequest(f"axes: {shown} {value} cannot be made: {error.message}", field="axes") from error
    return made


def _with(request: Mapping[str, Any], settings: Settings) -> Settings:
    weights = {name: value for name, value in settings.items() if name.startswith(LORA)}
    body = {**request, **{name: value for name, value in settings.items() if name not in weights}}
    if "prompt" in settings:
        body.pop("original_prompt", None)  # it is what another prompt was enhanced from
    if weights:
        body["loras"] = [
            {**use, "weight": weights[use["lora"]]} if isinstance(use, Mapping) and use.get("lora") in weights else use
            for use in body["loras"]
        ]
    return body


def _read(submitted: Settings, names: Iterable[str]) -> Settings:
    weights = {use["lora"]: use["weight"] for use in submitted["loras"]}
    return {name: weights[name] if name.startswith(LORA) else submitted[name] for name in names}


def axes_of(group: Sequence[Settings]) -> list[Axis]:
    """What differs within a group of requests as they were handed in, in the order of ``requests_of``.

    A setting with one value is no axis.
    """
    first = group[0]
    names = [name for name in first if any(each[name] != first[name] for each in group)]
    plain = [[{**use, "weight": 0} for use in each["loras"]] for each in group]
    if "loras" in names and all(each == plain[0] for each in plain):  # only weights differ
        names.remove("loras")
        stack = [use["lora"] for use in first["loras"]]
        names += [name for name in stack if any(_read(each, (name,)) != _read(first, (name,)) for each in group)]
    if len(names) == 2 and _read(group[0], names[:1]) != _read(group[1], names[:1]):
        names.reverse()  # the last one is the fastest
    found = []
    for name in names:
        values = [_read(each, (name,))[name] for each in group]
        found.append(Axis(field=name, values=tuple({_key(value): value for value in values}.values())))
    return found


def cell_settings(submitted: Settings, axes: Sequence[Axis]) -> Settings:
    """The values that one request of a group takes on the axes."""
    return _read(submitted, [axis.field for axis in axes])


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
