"""A file judged by its header, before anything of it is decoded; PyAV alone is loaded for that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from studio.importing.kinds import HEAD_BYTES, demuxer_of
from studio.importing.order import LARGEST_SIDE, MOST_PIXELS, MOST_STREAMS, Refusal

# What people's files hold. FFmpeg reads hundreds more, which nobody has looked after for years.
# fmt: off
_PICTURES = (
    "h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "msmpeg4v2", "msmpeg4v3", "h263", "flv1",
    "wmv1", "wmv2", "wmv3", "vc1", "theora", "mjpeg", "prores", "dnxhd", "cfhd", "dvvideo", "gif", "png", "qtrle",
    "rawvideo", "ffv1", "huffyuv", "ffvhuff", "utvideo",
)
_SOUNDS = (
    "aac", "mp3", "mp2", "opus", "vorbis", "flac", "alac", "ac3", "eac3", "wmav1", "wmav2", "amr_nb", "amr_wb", "speex",
    "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be",
    "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw",
)
# fmt: on
_OTHER_DECODERS = ("libdav1d", "mp3float")  # whom FFmpeg prefers to those that bear the codec's name
_RATES = range(1_000, 768_001)
_SLACK_S = 0.1  # a last frame or sample block may reach past the length that a person sees


@dataclass(frozen=True)
class Found:
    """What a file holds: the numbers of the streams to take, and how many of a kind were passed over."""

    demuxer: str
    picture: int | None
    sound: int | None
    pictures: int
    sounds: int
    aspect: Fraction
    """Width of a pixel over its height."""
    seconds: float | None
    """How long the header says that it lasts, if it says so."""


@contextmanager
def opened(path: Path, demuxer: str) -> Iterator[Any]:
    """The file in the one format that it was found to have, with nothing that could lead out of it."""
    decoders = {av.codec.Codec(name, "r").name for name in (*_PICTURES, *_SOUNDS)}
    fences = {
        "protocol_whitelist": "none",  # there is no such protocol: the bytes come from the open file
        "format_whitelist": demuxer,
        "codec_whitelist": ",".join({*decoders, *_OTHER_DECODERS}),
    }
    with (
        path.open("rb") as stream,
        av.open(stream, format=demuxer, container_options=fences, metadata_errors="replace") as container,
    ):
        yield container


def probe(path: Path, max_seconds: float) -> Found:
    """What the file at ``path`` holds. Raises ``Refusal`` with one sentence for what cannot become a clip."""
    with path.open("rb") as stream:
        demuxer = demuxer_of(stream.read(HEAD_BYTES))
    try:
        with opened(path, demuxer) as container:
            return _judged(container, demuxer, max_seconds)
    except MemoryError:
        raise
    except FFmpegError:
        raise Refusal("video cannot be read: it is damaged or cut short; make it anew, or choose another file.") from None


def _judged(container: Any, demuxer: str, max_seconds: float) -> Found:
    if len(container.streams) > MOST_STREAMS:
        raise Refusal(f"video holds more than {MOST_STREAMS} streams: keep one picture and one sound.")
    pictures = [stream for stream in container.streams.video if not _is_cover(stream)]
    sounds = list(container.streams.audio)
    if not pictures and not sounds:
        raise Refusal("video holds neither a picture nor sound that can be read: it may be damaged; choose another file.")
    for stream, known, what in ((pictures[:1], _PICTURES, "picture"), (sounds[:1], _SOUNDS, "sound")):
        for taken in stream:
            _check_codec(taken, known, what)
    seconds = _seconds(container, [*pictures[:1], *sounds[:1]])
    if seconds is not None:
        check_length(seconds, max_seconds)
    for picture in pictures[:1]:
        _check_picture(picture)
    for sound in sounds[:1]:
        if sound.codec_context.sample_rate not in _RATES:
            raise Refusal(f"video has sound of {sound.codec_context.sample_rate} samples a second: use 8,000 to 192,000.")
    return Found(
        demuxer,
        pictures[0].index if pictures else None,
        sounds[0].index if sounds else None,
        len(pictures),
        len(sounds),
        _aspect(pictures[0]) if pictures else Fraction(1),
        seconds,
    )


def check_length(seconds: float, max_seconds: float) -> None:
    """Raises ``Refusal`` for a file that lasts longer than it may."""
    if seconds > max_seconds + _SLACK_S:
        told = f"video lasts {_duration(seconds)}; the longest that can be opened is {max_seconds:g} s: cut a piece out first."
        raise Refusal(told)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:,.0f} minutes"


def _is_cover(stream: Any) -> bool:
    """Whether a picture stream is only the cover of a sound file."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _check_codec(stream: Any, known: tuple[str, ...], what: str) -> None:
    context = stream.codec_context
    name = "" if context is None else context.codec.canonical_name
    if name not in known:
        how = f"as {name}" if name else "in a way that is not known"
        raise Refusal(f"video stores its {what} {how}, which is not read here: convert it to an MP4 with H.264 and AAC.")


def _check_picture(stream: Any) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width < 1 or height < 1:
        raise Refusal("video has a picture of no size that can be read: it is damaged, or far too large; choose another file.")
    if max(width, height) > LARGEST_SIDE or width * height > MOST_PIXELS:
        raise Refusal(
            f"video has {width}x{height} pixels; the most is {LARGEST_SIDE} a side and {MOST_PIXELS / 1e6:.0f} megapixels: "
            "scale it down first."
        )


def _seconds(container: Any, streams: list[Any]) -> float | None:
    """The longest length that the header states, or ``None`` where it states none."""
    told = [float(stream.duration * stream.time_base) for stream in streams if stream.duration and stream.time_base]
    if container.duration:
        told.append(container.duration / av.time_base)
    return max(told, default=None)


def _aspect(stream: Any) -> Fraction:
    """Shapes beyond 1 to 8 are damage, not anamorphic film."""
    told = stream.sample_aspect_ratio or Fraction(1)
    return Fraction(told) if Fraction(1, 8) <= told <= 8 else Fraction(1)
