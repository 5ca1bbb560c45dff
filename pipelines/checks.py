"""Whether a model can do what a complete request asks; the refusals name the nearest setting that it can do. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.contract import ClipRequest, EditRequest, GenerationRequest, InvalidRequest, Modality, Quantization
from pipelines.prompting.timeline import marks_of, timeline_of

if TYPE_CHECKING:
    from pipelines.registry import ModelSpec


def check(request: ClipRequest, spec: ModelSpec) -> None:
    """Raises ``InvalidRequest`` where ``spec`` cannot do what the complete ``request`` asks."""
    _check_stages(request, spec)
    if not isinstance(request, EditRequest):  # an edit has its source's shape, whatever that is
        _check_grid(request, spec)
    _check_settings(request, spec)
    if isinstance(request, GenerationRequest):
        _check_ends(request, spec)
        _check_references(request, spec)
    if spec.call is not None and not isinstance(request, EditRequest):
        _check_call(request, spec)


def _check_ends(request: GenerationRequest, spec: ModelSpec) -> None:
    """Frames that come together in one latent frame cannot be both what the clip begins with and what it comes to."""
    assert request.num_frames is not None
    least = spec.nearest_num_frames(spec.frame_multiple + spec.frame_offset)
    if request.last_frame and request.num_frames < least:
        raise InvalidRequest(
            f"last_frame needs a clip of at least {least} frames to come to it, and num_frames is {request.num_frames}.",
            field="last_frame",
        )


def _check_stages(request: ClipRequest, spec: ModelSpec) -> None:
    if request.stages in ((1,) if isinstance(request, EditRequest) else spec.stages):
        return
    reason = "edits are made in one" if isinstance(request, EditRequest) else f"{spec.title} has no latent upsampler"
    raise InvalidRequest(f"stages is {request.stages}, but {reason}: use 1.", field="stages")


def _check_grid(request: ClipRequest, spec: ModelSpec) -> None:
    assert request.num_frames is not None and request.frame_rate is not None
    for name in ("height", "width"):
        pixels, stages = getattr(request, name), request.stages
        side = spec.nearest_side(pixels, stages)
        if pixels != side:
            raise InvalidRequest(
                f"{name} is {pixels}; {spec.title} works in multiples of {stages * spec.pixel_multiple} from "
                f"{stages * spec.min_side} to {spec.max_side} pixels{' in two stages' if stages == 2 else ''}: use {side}.",
                field=name,
            )
    if spec.sizes and (request.height, request.width) not in spec.sizes:
        assert request.height and request.width
        height, width = spec.nearest_size(request.height, request.width)
        raise InvalidRequest(
            f"height is {request.height} and width {request.width}; {spec.title} makes clips of certain sizes only: "
            f"use {height} and {width}.",
            field="height",
        )
    if request.num_frames != spec.nearest_num_frames(request.num_frames):
        raise InvalidRequest(
            f"num_frames is {request.num_frames}; {spec.title} makes {spec.frame_multiple}k+{spec.frame_offset} frames from "
            f"{spec.nearest_num_frames(1)} to {spec.max_frames}: use {spec.nearest_num_frames(request.num_frames)}.",
            field="num_frames",
        )
    low, high = spec.frame_rates
    if not low <= request.frame_rate <= high:
        nearest = min(max(request.frame_rate, low), high)
        raise InvalidRequest(
            f"frame_rate is {request.frame_rate:g}; {spec.title} plays {low:g}{f' to {high:g}' if high > low else ''} frames a "
            f"second: use {nearest:g}.",
            field="frame_rate",
        )


def _check_settings(request: ClipRequest, spec: ModelSpec) -> None:
    timeline_of(request.prompt, None if isinstance(request, EditRequest) else request.duration_s)
    if request.upscale not in spec.upscale_factors:
        raise InvalidRequest(f"upscale is {request.upscale}, but {spec.title} has no upscaler: use 1.", field="upscale")
    if spec.held_as and request.quantization not in (Quantization.AUTO, Quantization.NONE, spec.held_as.quantization):
        raise InvalidRequest(
            f"quantization is {request.quantization}, but {spec.title} holds its weights in {spec.held_as.quantization.value} "
            "already: use none, or the model that it was made of.",
            field="quantization",
        )
    for name in ("stg_scale", "audio_stg_scale"):
        if getattr(request, name) > 0 and not spec.stg_blocks:
            raise InvalidRequest(f"{name} is above 0, but {spec.title} has no perturbed attention: use 0.", field=name)


def _check_roles(request: GenerationRequest, spec: ModelSpec) -> None:
    """That a character is there and what says how it moves; what replaces somebody in a film takes the film's other clips too."""
    roles, clips = spec.references.roles, len(request.clips())
    if not 0 < clips < len(request.references):
        raise InvalidRequest(
            f"references needs an image and a clip for {spec.title}: the character, and the {roles[0]} that it takes on.",
            field="references",
        )
    if 2 < clips < len(roles):
        raise InvalidRequest(f"references has a {roles[2]} but no {roles[3]}: add that clip behind it.", field="references")


def _check_references(request: GenerationRequest, spec: ModelSpec) -> None:
    if spec.references.roles:
        _check_roles(request, spec)
    if spec.references.are_needed and not request.references:
        raise InvalidRequest(f"references is missing; {spec.title} works from images: add one.", field="references")
    if not request.references:
        return
    limits, clips = spec.references, len(request.clips())
    for name, count, most in (("image", len(request.references) - clips, limits.images), ("clip", clips, limits.clips)):
        if count > most:
            raise InvalidRequest(
                f"references has {_counted(count, name)}; {spec.title} takes {_counted(most, name)}.", field="references"
            )
    if limits.need_lora and not request.loras:
        raise InvalidRequest(
            f"references is set, but {spec.title} follows references only with a LoRA that was trained to (an IC-LoRA): add one.",
            field="references",
        )


def _counted(count: int, name: str) -> str:
    return f"{count or 'no'} {name}{'' if count == 1 else 's'}"


def _check_call(request: ClipRequest, spec: ModelSpec) -> None:
    assert spec.call is not None
    if not spec.call.has_audio and request.modality is not Modality.VIDEO:
        raise InvalidRequest(f"modality is {request.modality}, but {spec.title} makes no sound: use video.", field="modality")
    if not spec.call.has_video and request.modality is not Modality.AUDIO:
        raise InvalidRequest(f"modality is {request.modality}, but {spec.title} makes no picture: use audio.", field="modality")
    if not spec.call.text and not getattr(request, "first_frame", None):
        raise InvalidRequest(f"first_frame is missing; {spec.title} begins with a picture: add one.", field="first_frame")
    if marks_of(request.prompt):
        raise InvalidRequest(
            f"prompt says when things happen, which {spec.title} cannot follow: leave the times out.", field="prompt"
        )
    for name, about in type(request).model_fields.items():
        idle = getattr(spec.defaults, name, about.default)
        if not spec.takes(name) and name != "modality" and getattr(request, name) not in (None, idle):
            raise InvalidRequest(f"{name} is set, but {spec.title} has no use for it: leave it out.", field=name)
