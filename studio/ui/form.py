"""The form's values and the request, each made from the other; no Gradio, so that it is tested as plain functions."""

from __future__ import annotations

import math
import re
from typing import Any

from pipelines.contract import ClipRequest, GenerationRequest, InvalidRequest, Modality, parse_generation
from pipelines.registry import ModelCatalogue, ModelSpec
from studio.ui.fields import advanced_fields, read, shown

Values = dict[str, Any]

ADVANCED = advanced_fields()
NAMES = (
    *(
        "prompt",
        "original_prompt",
        "loras",
        "modality",
        "model",
        "size",
        "duration",
        "seed",
        "seed_lock",
        "first_frame",
        "last_frame",
        "references",
    ),
    *ADVANCED,
)
"""Everything that the form holds, in the order in which handlers take and give it."""

MODALITIES = (
    ("Picture + sound", Modality.VIDEO_AND_AUDIO.value),
    ("Picture only", Modality.VIDEO.value),
    ("Sound only", Modality.AUDIO.value),
)
_SIZE = re.compile(r"\s*(\d{1,5})\s*(?:x|×|\*|by|,|\s)\s*(\d{1,5})\s*", re.IGNORECASE)
_SHAPES = (("square", 1, 1), ("wide", 16, 9), ("tall", 9, 16), ("classic", 4, 3))


def defaults_of(spec: ModelSpec) -> Values:
    """The form as the model's makers recommend it, with an empty prompt."""
    request = GenerationRequest(prompt="-", model=spec.id)
    made_for_model = {name: value for name, value in vars(spec.defaults).items() if getattr(request, name) is None}
    values = _values(request.model_copy(update=made_for_model))
    return values | {"prompt": ""}


def values_of(request: ClipRequest, catalogue: ModelCatalogue) -> Values:
    """The form that makes ``request`` again, its seed locked. Raises ``ModelNotFound`` or ``InvalidRequest``."""
    return _values(catalogue.complete(request)) | {"seed_lock": request.seed is not None}


def request_of(values: Values, catalogue: ModelCatalogue) -> GenerationRequest:
    """The request that the form's values ask for. Raises ``StudioError`` with the field and the remedy."""
    return parse_generation(body_of(values, catalogue))


def body_of(values: Values, catalogue: ModelCatalogue) -> dict[str, Any]:
    """The fields of that request, not judged yet: a prompt may be missing. Raises ``StudioError`` for what cannot be read.

    What the model has no use for stays in the form, where it is hidden, for the next model that is chosen.
    """
    spec = catalogue.get(str(values["model"] or ""))
    height, width = _height_width(values["size"] if spec.takes("height") else None, spec)
    body: dict[str, Any] = {
        "prompt": values["prompt"] or "",
        "original_prompt": values["original_prompt"] or None,
        "loras": values["loras"] or [] if spec.takes("loras") else [],
        "model": spec.id,
        "modality": _only(spec) or values["modality"],
        **{name: values[name] or None if spec.takes(name) else None for name in ("first_frame", "last_frame")},
        "references": values["references"] or [] if spec.takes("references") else [],
        "height": height,
        "width": width,
        "seed": values["seed"] if values["seed_lock"] else None,
    }
    body |= {name: read(name, values[name]) for name in ADVANCED if values[name] is not None and spec.takes(name)}
    frame_rate = body.get("frame_rate") or spec.defaults.frame_rate
    if values["duration"] is not None:
        body["num_frames"] = spec.nearest_num_frames(round(float(values["duration"]) * frame_rate))
    return body


def _only(spec: ModelSpec) -> str | None:
    """The one thing that a model makes, where it makes no clips of both."""
    return Modality.VIDEO.value if spec.is_silent else Modality.AUDIO.value if spec.is_for_sound else None


def sizes_of(spec: ModelSpec) -> list[tuple[str, str]]:
    """Sizes that the model is at home in, as (what a person reads, value): its own first, then other shapes and a larger one."""
    own = spec.defaults
    area = own.height * own.width
    found: dict[str, str] = {}
    if spec.sizes:
        _offer(found, spec, (own.width, own.height), "")
        for _, wide, high in _SHAPES:
            height, width = spec.nearest_size(high, wide)
            _offer(found, spec, (width, height), "")
        return [(label, value) for value, label in found.items()]
    for name, wide, high in (("", own.width, own.height), *_SHAPES):
        unit = (area / (wide * high)) ** 0.5
        _offer(found, spec, (round(wide * unit), round(high * unit)), name)
    _offer(found, spec, (round(own.width * 1.5), round(own.height * 1.5)), "larger, slower")
    _offer(found, spec, (own.width * 2, own.height * 2), "large, much slower")
    return [(label, value) for value, label in found.items()]


def duration_grid(spec: ModelSpec, frame_rate: float) -> tuple[float, float, float]:
    """Shortest, longest and step of a duration in seconds, so that each step is a frame count of the model."""
    longest = spec.nearest_num_frames(spec.max_frames) / frame_rate
    # Rounded up: a slider at its end must not be past it by a rounding error; and long sliders add up that of every step.
    return (
        round(spec.nearest_num_frames(1) / frame_rate, 6),
        math.ceil(100 * longest) / 100,
        round(spec.frame_multiple / frame_rate, 6),
    )


def size_text(height: int | None, width: int | None) -> str:
    """A size as the form shows and reads it: width first, as everybody says it."""
    return f"{width} × {height}"


def _values(request: ClipRequest) -> Values:
    values: Values = {
        "prompt": request.prompt,
        "original_prompt": request.original_prompt or "",
        "loras": [use.model_dump(mode="json") for use in request.loras],
        "modality": request.modality.value,
        "model": request.model,
        "size": size_text(request.height, request.width),
        "duration": round(request.duration_s or 0, 4),
        "seed": request.seed,
        "seed_lock": request.seed is not None,
        "first_frame": request.first_frame if isinstance(request, GenerationRequest) else None,
        "last_frame": request.last_frame if isinstance(request, GenerationRequest) else None,
        "references": [*request.references] if isinstance(request, GenerationRequest) else [],
    }
    return values | {name: shown(name, getattr(request, name)) for name in ADVANCED}


def _height_width(size: object, spec: ModelSpec) -> tuple[int, int]:
    if size is None or not str(size).strip():
        return spec.defaults.height, spec.defaults.width
    found = _SIZE.fullmatch(str(size))
    if found is None:
        own = size_text(spec.defaults.height, spec.defaults.width)
        raise InvalidRequest(f"size is {str(size)[:40]!r}; write width and height in pixels, such as {own}.", field="size")
    return int(found[2]), int(found[1])


def _offer(found: dict[str, str], spec: ModelSpec, width_height: tuple[int, int], name: str) -> None:
    width, height = (spec.nearest_side(pixels) for pixels in width_height)
    value = size_text(height, width)
    if value in found:
        return
    shape = name or ("square" if width == height else "wide" if width > height else "tall")
    found[value] = f"{value}  ·  {shape}"
