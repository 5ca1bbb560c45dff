"""Pictures of clips, without torch: poster frames and waveforms in, WebP bytes out."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image, ImageDraw

from pipelines.clip_io import Sound, read_media
from pipelines.contract import InvalidRequest

_POSTER_SIDE = 480
_WAVEFORM_SIZE = (480, 270)
_WIDEST_STRIP = 16_000  # WebP ends at 16,383 pixels a side
_WAVEFORM_GROUND, _WAVEFORM_INK = (22, 24, 34), (85, 208, 196)
# A third into the clip the action is on its way; the first frame of a generated clip is its least typical.
_POSTER_MOMENT = 1 / 3


@dataclass(frozen=True)
class Probe:
    """What a media file holds; sides in pixels."""

    duration_s: float
    width: int | None
    height: int | None
    has_video: bool
    has_audio: bool


def probe(path: Path) -> Probe:
    """Look into a file without decoding it. Raises ``InvalidRequest`` when it is not a media file."""
    try:
        with av.open(str(path)) as container:
            video = next(iter(container.streams.video), None)
            duration_s = float(container.duration or 0) / av.time_base
            return Probe(
                duration_s,
                video.width if video else None,
                video.height if video else None,
                has_video=video is not None,
                has_audio=bool(container.streams.audio),
            )
    except FFmpegError as error:
        raise InvalidRequest(f"{path.name} cannot be read as a media file ({error}): choose another.", field="file") from None


def thumbnail_of(path: Path) -> bytes:
    """WebP of a clip: a frame of its picture, or the waveform of its sound. Raises ``InvalidRequest``."""
    found = probe(path)
    if found.has_video:
        return _webp(_poster(path, found.duration_s * _POSTER_MOMENT))
    sound = read_media(path).sound
    if sound is None:
        raise InvalidRequest(f"{path.name} holds neither picture nor sound: choose another file.", field="file")
    return _webp(waveform(sound))


def _poster(path: Path, moment_s: float) -> Image.Image:
    with av.open(str(path)) as container:
        picture = None
        for frame in container.decode(video=0):
            picture = frame
            if frame.time is not None and frame.time >= moment_s:
                break
        if picture is None:
            raise InvalidRequest(f"{path.name} has a picture without frames: choose another file.", field="file")
        image = Image.fromarray(picture.to_ndarray(format="rgb24"))
    image.thumbnail((_POSTER_SIDE, _POSTER_SIDE), Image.Resampling.LANCZOS)
    return image


def strip_of(path: Path, count: int, height: int = 72) -> bytes:
    """``count`` evenly spaced frames of a clip side by side in one WebP, each ``height`` pixels high.

    Raises ``InvalidRequest`` for files without a picture.
    """
    frames = read_media(path).frames
    if frames is None:
        raise InvalidRequest(f"{path.name} has no picture: choose a clip with one.", field="clip")
    width = max(1, round(height * frames.shape[2] / frames.shape[1]))
    width = min(width, _WIDEST_STRIP // count)
    image = Image.new("RGB", (width * count, height))
    for place in range(count):
        frame = Image.fromarray(frames[min(len(frames) - 1, int((place + 0.5) * len(frames) / count))])
        image.paste(frame.resize((width, height), Image.Resampling.LANCZOS), (place * width, 0))
    return _webp(image)


def peaks_of(path: Path, points: int) -> list[float]:
    """The loudest excursion, 0..1, in each of ``points`` equal stretches of a clip; empty for a silent film."""
    sound = read_media(path).sound
    return [] if sound is None else [round(min(1.0, peak), 4) for peak in _peaks(sound, points)]


def _peaks(sound: Sound, points: int) -> list[float]:
    level = np.abs(sound.samples).max(axis=0)
    edges = np.linspace(0, level.size, points + 1).astype(int)
    return [float(level[start:end].max(initial=0.0)) for start, end in itertools.pairwise(edges)]


def waveform(sound: Sound) -> Image.Image:
    """The loudest excursion of each moment, mirrored about the middle line."""
    width, height = _WAVEFORM_SIZE
    peaks = _peaks(sound, width // 4)
    image = Image.new("RGB", (width, height), _WAVEFORM_GROUND)
    draw = ImageDraw.Draw(image)
    for column, peak in enumerate(peaks):
        half = max(1, round(min(peak, 1.0) * (height / 2 - 12)))
        left, middle = column * 4, height // 2
        draw.rectangle((left, middle - half, left + 2, middle + half), fill=_WAVEFORM_INK)
    return image


def _webp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=82, method=4)
    return buffer.getvalue()
