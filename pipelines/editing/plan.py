"""An edit worked out before anything is decoded: the finished clip's shape, what is imagined, and the stretch the model sees.

Standard library only: the page asks the same function for its notices before a job is queued.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pipelines.contract import InvalidRequest, Modality
from pipelines.edits import (
    Crop,
    Dub,
    Edit,
    Enlarge,
    Extend,
    Interpolate,
    Join,
    Keyframes,
    Loop,
    MatchColour,
    Mute,
    Region,
    ReplaceSound,
    Retake,
    ShiftSound,
    Speed,
    Trim,
    Visualise,
)
from pipelines.registry import ModelSpec

_MOST_SECONDS = 600.0
_LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Shape:
    """A clip's measures: pixels, frames, frames a second, seconds, and which streams it has."""

    height: int
    width: int
    num_frames: int
    frame_rate: float
    has_video: bool = True
    has_audio: bool = True

    @property
    def duration_s(self) -> float:
        """Seconds of the clip."""
        return self.num_frames / self.frame_rate

    @property
    def modality(self) -> Modality:
        """What the finished file holds."""
        if self.has_video:
            return Modality.VIDEO_AND_AUDIO if self.has_audio else Modality.VIDEO
        return Modality.AUDIO


@dataclass(frozen=True)
class Span:
    """Frames ``start`` to ``end`` (not included) that are imagined; empty where both are equal."""

    start: int
    end: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing lies in it."""
        return self.end <= self.start


NOTHING = Span(0, 0)


@dataclass(frozen=True)
class Window:
    """What the model sees: ``num_frames`` of its grid from ``start`` of the laid-out clip on, at its own size in pixels.

    It may reach past the clip's end; what lies there is imagined and thrown away.
    """

    start: int
    num_frames: int
    height: int
    width: int


@dataclass(frozen=True)
class EditPlan:
    """What becomes of an edit. ``video`` and ``audio`` are the imagined spans of the laid-out clip, in frames.

    ``window`` is ``None`` where no model is needed; ``notices`` tell a person what is done to the source to fit.
    """

    shape: Shape
    video: Span = NOTHING
    audio: Span = NOTHING
    window: Window | None = None
    notices: tuple[str, ...] = ()


def plan_edit(edit: Edit, source: Shape, spec: ModelSpec, other: Shape | None = None) -> EditPlan:
    """The plan of ``edit`` on ``source``; ``other`` is the second clip of those that have one.

    Raises ``InvalidRequest`` with one sentence where it cannot be done to this clip or by this model.
    """
    plan = _PLANS[type(edit)](edit, source, other)
    if plan.shape.duration_s > _MOST_SECONDS:
        raise _wrong(f"edit makes a clip of {plan.shape.duration_s:.0f} s; the longest is {_MOST_SECONDS:.0f} s")
    if max(plan.shape.height, plan.shape.width) > _LARGEST_SIDE:
        raise _wrong(f"edit makes {plan.shape.width}x{plan.shape.height} pixels; the most is {_LARGEST_SIDE} a side")
    if plan.video.is_empty and plan.audio.is_empty:
        return plan
    if spec.is_for_sound:
        return _dubbed_by(spec, edit, plan)
    return _with_window(_silently(plan, spec) if spec.is_silent and spec.edits else plan, spec)


def _dubbed_by(spec: ModelSpec, edit: Edit, plan: EditPlan) -> EditPlan:
    """A dub by a model for sound alone, which sees nothing of the clip."""
    if not isinstance(edit, Dub):
        raise _wrong(f"model is {spec.id}, and {spec.title} makes sound alone: use it to dub, or another model", "model")
    if plan.shape.duration_s > spec.longest_s:
        raise _wrong(f"the clip lasts {plan.shape.duration_s:.1f} s; {spec.title} makes at most {spec.longest_s:.0f} s", "source")
    notice = f"{spec.title} reads the words and the length; it does not see the picture."
    return replace(plan, notices=(*plan.notices, notice))


def _silently(plan: EditPlan, spec: ModelSpec) -> EditPlan:
    """The part of an edit that a model without sound can make."""
    if plan.video.is_empty:
        raise _wrong(f"model is {spec.id}, and {spec.title} makes no sound: choose another model for this edit", "model")
    if plan.audio.is_empty:
        return plan
    notice = f"{spec.title} makes no sound: only the picture is made anew."
    return replace(plan, audio=NOTHING, notices=(*plan.notices, notice))


def _with_window(plan: EditPlan, spec: ModelSpec) -> EditPlan:
    shape = plan.shape
    spans = [span for span in (plan.video, plan.audio) if not span.is_empty]
    first, last = min(span.start for span in spans), max(span.end for span in spans)
    longest = spec.nearest_num_frames(spec.max_frames)
    if last - first > longest:
        raise _wrong(
            f"edit imagines {(last - first) / shape.frame_rate:.1f} s; {spec.title} makes at most "
            f"{longest / shape.frame_rate:.1f} s at once: choose a shorter range"
        )
    low, high = spec.frame_rates
    if not low <= shape.frame_rate <= high:
        raise _wrong(f"the clip has {shape.frame_rate:g} frames a second; {spec.title} works at {low:g} to {high:g}")
    # As much around the imagined part as the model is at home with, the part in the middle.
    wanted = min(longest, max(spec.defaults.num_frames, last - first + 2 * spec.frame_multiple))
    frames = _on_grid(min(wanted, max(shape.num_frames, last - first)), spec, longest)
    start = max(0, min(first - (frames - (last - first)) // 2, shape.num_frames - frames))
    height, width = (_side(pixels, spec) for pixels in (shape.height, shape.width))
    notices = list(plan.notices)
    if (height, width) != (shape.height, shape.width):
        notices.append(
            f"{spec.title} sees the clip at {width}x{height}; the result is brought back to {shape.width}x{shape.height}."
        )
    return replace(plan, window=Window(start, frames, height, width), notices=tuple(notices))


def _on_grid(frames: int, spec: ModelSpec, longest: int) -> int:
    """The shortest frame count of the model that holds ``frames``."""
    return min(longest, math.ceil(max(0, frames - 1) / spec.frame_multiple) * spec.frame_multiple + 1)


def _side(pixels: int, spec: ModelSpec) -> int:
    return spec.nearest_side(min(pixels, spec.max_side))


def _range(edit: Any, source: Shape) -> Span:
    """The frames whose moment lies within the edit's range; one at least."""
    end_s = source.duration_s if edit.end_s is None else edit.end_s
    if edit.start_s >= source.duration_s:
        raise _wrong(f"start_s is {edit.start_s:g}; the clip lasts {source.duration_s:.2f} s", "start_s")
    if end_s > source.duration_s + 0.5 / source.frame_rate:
        raise _wrong(f"end_s is {end_s:g}; the clip lasts {source.duration_s:.2f} s", "end_s")
    start = min(round(edit.start_s * source.frame_rate), source.num_frames - 1)
    return Span(start, max(start + 1, min(round(end_s * source.frame_rate), source.num_frames)))


def _retake(edit: Retake, source: Shape, other: Shape | None) -> EditPlan:
    span = _range(edit, source)
    video = span if edit.part != "audio" and source.has_video else NOTHING
    audio = span if edit.part != "video" and source.has_audio else NOTHING
    if video.is_empty and audio.is_empty:
        raise _wrong(f"part is {edit.part!r}, which this clip does not have", "part")
    return EditPlan(source, video, audio)


def _region(edit: Region, source: Shape, other: Shape | None) -> EditPlan:
    _needs(source, video=True)
    return EditPlan(source, _range(edit, source))


def _keyframes(edit: Keyframes, source: Shape, other: Shape | None) -> EditPlan:
    _needs(source, video=True)
    last = max(each.frame for each in edit.keyframes)
    if last >= source.num_frames:
        raise _wrong(f"keyframe {last} lies after the clip's last frame, {source.num_frames - 1}", "keyframes")
    return EditPlan(source, Span(0, source.num_frames))


def _extend(edit: Extend, source: Shape, other: Shape | None) -> EditPlan:
    added = max(1, round(edit.seconds * source.frame_rate))
    shape = replace(source, num_frames=source.num_frames + added)
    new = Span(source.num_frames, shape.num_frames) if edit.direction == "forward" else Span(0, added)
    return EditPlan(shape, new if source.has_video else NOTHING, new if source.has_audio else NOTHING)


def _join(edit: Join, source: Shape, other: Shape | None) -> EditPlan:
    assert other is not None
    if source.has_video != other.has_video:
        raise _wrong("other has a picture and this clip has none, or the other way round; join two of a kind", "other")
    between = round(edit.transition_s * source.frame_rate)
    follows = max(1, round(other.duration_s * source.frame_rate))
    has_audio = source.has_audio or other.has_audio
    shape = replace(source, num_frames=source.num_frames + between + follows, has_audio=has_audio)
    new = Span(source.num_frames, source.num_frames + between)
    notices = []
    if (other.height, other.width) != (source.height, source.width):
        notices.append(f"The second clip is scaled and cut from {other.width}x{other.height} to {source.width}x{source.height}.")
    if other.frame_rate != source.frame_rate:
        notices.append(f"The second clip is brought from {other.frame_rate:g} to {source.frame_rate:g} frames a second.")
    return EditPlan(shape, new if shape.has_video else NOTHING, new if has_audio else NOTHING, notices=tuple(notices))


def _loop(edit: Loop, source: Shape, other: Shape | None) -> EditPlan:
    """Laid out with its seam in the middle: the second half first."""
    half = max(1, round(edit.seam_s * source.frame_rate / 2))
    if 2 * half >= source.num_frames - 1:
        raise _wrong(f"seam_s is {edit.seam_s:g}; the clip lasts only {source.duration_s:.2f} s", "seam_s")
    seam = source.num_frames - source.num_frames // 2
    new = Span(seam - half, seam + half)
    return EditPlan(source, new if source.has_video else NOTHING, new if source.has_audio else NOTHING)


def _dub(edit: Dub, source: Shape, other: Shape | None) -> EditPlan:
    _needs(source, video=True)
    return EditPlan(replace(source, has_audio=True), audio=Span(0, source.num_frames))


def _visualise(edit: Visualise, source: Shape, other: Shape | None) -> EditPlan:
    _needs(source, audio=True)
    return EditPlan(replace(source, has_video=True), video=Span(0, source.num_frames))


def _interpolate(edit: Interpolate, source: Shape, other: Shape | None) -> EditPlan:
    """Between ``n`` frames lie ``n - 1`` gaps; the last frame stays for its whole time."""
    _needs(source, video=True)
    return EditPlan(replace(source, num_frames=source.num_frames * edit.factor, frame_rate=source.frame_rate * edit.factor))


def _enlarge(edit: Enlarge, source: Shape, other: Shape | None) -> EditPlan:
    _needs(source, video=True)
    return EditPlan(replace(source, height=source.height * edit.factor, width=source.width * edit.factor))


def _speed(edit: Speed, source: Shape, other: Shape | None) -> EditPlan:
    return EditPlan(replace(source, num_frames=max(1, round(source.num_frames / edit.factor))))


def _trim(edit: Trim, source: Shape, other: Shape | None) -> EditPlan:
    span = _range(edit, source)
    return EditPlan(replace(source, num_frames=span.end - span.start))


def _crop(edit: Crop, source: Shape, other: Shape | None) -> EditPlan:
    _needs(source, video=True)
    if edit.left + edit.width > source.width or edit.top + edit.height > source.height:
        raise _wrong(
            f"crop reaches column {edit.left + edit.width} and row {edit.top + edit.height}; "
            f"the picture has {source.width}x{source.height} pixels",
            "crop",
        )
    if edit.width % 2 or edit.height % 2:
        raise _wrong(f"crop is {edit.width}x{edit.height}; use even numbers, which video files need", "crop")
    return EditPlan(replace(source, height=edit.height, width=edit.width))


def _match_colour(edit: MatchColour, source: Shape, other: Shape | None) -> EditPlan:
    _needs(source, video=True)
    span = _range(edit, source)
    if span == Span(0, source.num_frames):
        raise _wrong("the range is the whole clip, so no frame is left to match it to; choose a part of it", "start_s")
    return EditPlan(source)


def imagined_frames(edit: Edit, plan: EditPlan) -> Span | None:
    """Which frames of the finished clip were made anew between kept ones; ``None`` where there are no two such parts.

    They run over the clip's end where ``start`` is the larger, as in a loop. A plain cut is meant to jump, so it is none.
    """
    count = plan.shape.num_frames
    match edit:
        case Loop():
            half = (plan.video.end - plan.video.start) // 2
            span = plan.video if plan.video.is_empty else Span(count - half, half)
        case MatchColour():
            span = _range(edit, plan.shape)
        case Retake() | Region() | Extend() | Join():
            span = plan.video
        case _:
            return None
    return None if span.start == span.end or span == Span(0, count) else span


def _mute(edit: Mute, source: Shape, other: Shape | None) -> EditPlan:
    _needs(source, video=True)
    return EditPlan(replace(source, has_audio=False))


def _replace_sound(edit: ReplaceSound, source: Shape, other: Shape | None) -> EditPlan:
    assert other is not None
    _needs(source, video=True)
    if not other.has_audio:
        raise _wrong("other has no sound; choose a clip with sound", "other")
    return EditPlan(replace(source, has_audio=True))


def _shift_sound(edit: ShiftSound, source: Shape, other: Shape | None) -> EditPlan:
    _needs(source, audio=True)
    return EditPlan(source)


_PLANS: dict[type, Callable[[Any, Shape, Shape | None], EditPlan]] = {
    Retake: _retake,
    Region: _region,
    Keyframes: _keyframes,
    Extend: _extend,
    Join: _join,
    Loop: _loop,
    Dub: _dub,
    Visualise: _visualise,
    Interpolate: _interpolate,
    Enlarge: _enlarge,
    Speed: _speed,
    Trim: _trim,
    Crop: _crop,
    MatchColour: _match_colour,
    Mute: _mute,
    ReplaceSound: _replace_sound,
    ShiftSound: _shift_sound,
}


def _needs(source: Shape, *, video: bool = False, audio: bool = False) -> None:
    if video and not source.has_video:
        raise _wrong("source has no picture; choose a clip with one", "source")
    if audio and not source.has_audio:
        raise _wrong("source has no sound; choose a clip with sound", "source")


def _wrong(message: str, field: str = "edit") -> InvalidRequest:
    return InvalidRequest(f"{message}.", field=field)
