"""A judged file made into a clip: decoded, brought to what the model can take, and written by the studio's own writer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipelines.clip_io import Origin, write_clip
from pipelines.contract import ImportRequest, Modality
from studio.importing.decoding import Decoder
from studio.importing.order import Order, Refusal
from studio.importing.picture import Film, Ticks, film_of
from studio.importing.probe import Found, check_length, opened
from studio.importing.sound import Track, track_of
from studio.importing.timeline import steady_rate, timeline_of

_WORTH_TELLING_S = 0.1
_WORTH_HOLDING_S = 0.5


@dataclass(frozen=True)
class Converted:
    """The complete request of a clip that was written, and what a person should know of how its file was changed."""

    request: ImportRequest
    notices: tuple[str, ...]


def convert(order: Order, found: Found) -> Converted:
    """Write the clip that ``order`` asks for. Raises ``Refusal``, or what ``write_clip`` raises."""
    film, track, shape, notices = _with_picture(order, found) if found.picture is not None else _sound_only(order, found)
    if film is None and track is None:
        raise Refusal("video has sound of which nothing can be decoded: it is damaged; choose another file.")
    streams = Modality.AUDIO if film is None else Modality.VIDEO if track is None else Modality.VIDEO_AND_AUDIO
    request = ImportRequest.model_validate({**order.request, **shape, "modality": streams, "upscale": 1})
    frames, sound = None if film is None else film.frames, None if track is None else track.sound
    write_clip(Path(order.target), frames, sound, Origin(request, "", order.code_version))
    told = [*(film.notices if film else ()), *notices, *(track.notices if track else ()), *_passed_over(found)]
    return Converted(request, tuple(told))


_Parts = tuple[Film | None, Track | None, dict[str, Any], list[str]]


def _with_picture(order: Order, found: Found) -> _Parts:
    """The picture sets the pace; sound that outlasts it keeps its last frame on the screen."""
    path = Path(order.source)
    with opened(path, found.demuxer) as container:
        stream = container.streams[found.picture]
        declared = stream.average_rate
        line = timeline_of(container, stream, order.room, order.max_seconds)
    track = _track(order, found, line.start_s)
    rate, is_uneven = steady_rate(line, declared, order.room)
    seconds = line.duration_s
    if track is not None and track.duration_s > seconds + _WORTH_HOLDING_S:
        seconds = track.duration_s
    check_length(seconds, order.max_seconds)
    ticks = Ticks(line, rate, max(1, round(seconds * rate)))
    with opened(path, found.demuxer) as container:
        film = film_of(Decoder(container, container.streams[found.picture]), ticks, found.aspect, order.room)
    height, width = film.frames.shape[1:3]
    shape = {"height": height, "width": width, "num_frames": ticks.count, "frame_rate": float(rate)}
    paces = _pace_notices(declared, rate, is_uneven=is_uneven)
    return film, track, shape, [*paces, *_length_notices(found, line.duration_s, track), *_cut_short(found, seconds)]


def _pace_notices(declared: Fraction | None, rate: Fraction, *, is_uneven: bool) -> list[str]:
    if is_uneven:
        return [f"Its frames came unevenly; there are {float(rate):.5g} a second throughout now."]
    if declared and abs(float(declared / rate) - 1) > 0.01:
        return [f"The frame rate was brought from {float(declared):.5g} to {float(rate):.5g} frames a second."]
    return []


def _length_notices(found: Found, picture_s: float, track: Track | None) -> list[str]:
    if track is None:
        return ["Nothing of its sound can be decoded; the clip is silent."] if found.sound is not None else []
    longer_s = track.duration_s - picture_s
    if longer_s > _WORTH_HOLDING_S:
        return [f"The last picture stays for the {longer_s:.1f} s that the sound lasts longer."]
    return [f"The sound ends {-longer_s:.1f} s before the picture; silence follows."] if longer_s < -_WORTH_TELLING_S else []


def _sound_only(order: Order, found: Found) -> _Parts:
    """As long in frames of the model's own rate as the sound lasts; its size is that of a picture made for it later."""
    track, room = _track(order, found, None), order.room
    seconds = track.duration_s if track else 0.0
    check_length(seconds, order.max_seconds)
    frames = max(1, math.ceil(round(seconds * room.frame_rate, 6)))
    shape = {"height": room.height, "width": room.width, "num_frames": frames, "frame_rate": room.frame_rate}
    return None, track, shape, _cut_short(found, seconds)


def _track(order: Order, found: Found, start_s: float | None) -> Track | None:
    if found.sound is None:
        return None
    with opened(Path(order.source), found.demuxer) as container:
        return track_of(Decoder(container, container.streams[found.sound]), start_s, order.max_seconds)


def _cut_short(found: Found, seconds: float) -> list[str]:
    if found.seconds is None or found.seconds <= seconds + _WORTH_HOLDING_S:
        return []
    return [f"The file is cut short: it says {found.seconds:.1f} s and ends after {seconds:.1f} s."]


def _passed_over(found: Found) -> list[str]:
    kinds = (("pictures", found.pictures), ("sound tracks", found.sounds))
    return [f"Only the first of {count} {what} was taken." for what, count in kinds if count > 1]
