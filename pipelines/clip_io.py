"""Clip files: H.264 and AAC in MP4, written whole or not at all, with the complete request inside.

No torch here: restoring a request from a file must be cheap for the web process.
"""

from __future__ import annotations

import base64
import errno
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import soxr
from av.error import FFmpegError
from pydantic import ValidationError

from pipelines.contract import AnyRequest, InvalidRequest, StorageFull, invalid_request, parse_request

# Every player takes AAC at 48 kHz; at the models' 16 or 24 kHz an AAC frame would also be up to 64 ms long.
FILE_SAMPLE_RATE = 48_000
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
_MARK = "aiprod-studio"
# x264 (core 165) decides differently from run to run where its macroblock tree meets B-frames and AVX-512 (docs/log.md).
_H264 = {"preset": "medium", "x264-params": "no-mbtree=1"}


@dataclass(frozen=True)
class Sound:
    """Samples ``[channels, n]``, float -1..1, and their rate."""

    samples: np.ndarray
    sample_rate: int


@dataclass(frozen=True)
class Origin:
    """What a clip file says about how it was made; ``media`` holds the images that the request refers to."""

    request: AnyRequest
    model_sha256: str
    code_version: str
    media: Mapping[str, bytes] = field(default_factory=dict)

    def to_json(self) -> str:
        """The comment that is stored in the file."""
        body = {
            "maker": _MARK,
            "request": self.request.model_dump(mode="json"),
            "model_sha256": self.model_sha256,
            "code_version": self.code_version,
            "media": {name: base64.b64encode(data).decode() for name, data in self.media.items()},
        }
        return json.dumps(body)


def write_clip(path: Path, frames: np.ndarray | None, sound: Sound | None, origin: Origin) -> None:
    """Write ``frames`` ``[F, H, W, 3]`` uint8 and ``sound`` to ``path``; the file appears complete or not at all.

    Sound is cut or padded with silence to the length of the picture. Raises ``StorageFull`` when the disk cannot
    take it, leaving nothing behind.
    """
    with _whole(path) as container:
        container.metadata["comment"] = origin.to_json()
        container.metadata["title"] = origin.request.prompt[:200]
        _encode(container, frames, sound, origin.request)


def write_film(path: Path, frames: np.ndarray, frame_rate: float) -> None:
    """Write ``frames`` ``[F, H, W, 3]`` uint8 as a film that is no clip of a studio; otherwise as ``write_clip``."""
    with _whole(path) as container:
        video = _picture_stream(container, frames, Fraction(frame_rate).limit_denominator(1001), crf=16)
        container.start_encoding()
        for pixels in frames:
            container.mux(video.encode(_yuv(pixels)))
        container.mux(video.encode(None))


@contextmanager
def _whole(path: Path) -> Iterator[Any]:
    """An MP4 to write to, which appears at ``path`` complete or not at all."""
    temporary = part_of(path, os.getpid())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            yield container
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        _fsync_folder(path.parent)
    except OSError as error:  # PyAV's errors are OSErrors with ffmpeg's own numbers
        if error.errno in _NO_ROOM:
            what = os.strerror(error.errno)
            raise StorageFull(f"the clip could not be written to {path.parent} ({what}): {StorageFull.remedy(error)}.") from error
        raise
    finally:
        with suppress(OSError):  # a read-only disk refuses even this, and its own error says more
            temporary.unlink(missing_ok=True)


def part_of(path: Path, process_id: int) -> Path:
    """Where ``write_clip`` in that process keeps the clip for ``path`` until it is complete."""
    return path.with_name(f".{path.stem}.{process_id}.part{path.suffix}")


def _encode(container: Any, frames: np.ndarray | None, sound: Sound | None, request: AnyRequest) -> None:
    """Add both streams first (the header needs them), then their packets; the sound is encoded beside the picture."""
    assert request.num_frames is not None and request.frame_rate is not None
    rate = Fraction(request.frame_rate).limit_denominator(1001)
    video = audio = None
    if frames is not None:
        video = _picture_stream(container, frames, rate, request.crf)
    if sound is not None:
        # FFmpeg's "fast" coder takes a third of the time of its "twoloop" and is 2 dB closer to the sound at these rates.
        layout = "stereo" if len(sound.samples) == 2 else "mono"
        audio = container.add_stream("aac", rate=FILE_SAMPLE_RATE, layout=layout, options={"aac_coder": "fast"})
        audio.codec_context.bit_rate = request.audio_bitrate_kbps * 1000
    container.start_encoding()
    with ThreadPoolExecutor(1, "sound") as beside:
        heard = None
        if audio is not None and sound is not None:
            samples = fit(sound, float(request.num_frames / rate))
            heard = beside.submit(lambda: list(_aac_packets(audio, samples)))
        if video is not None and frames is not None:
            for pixels in frames:
                container.mux(video.encode(_yuv(pixels)))
            container.mux(video.encode(None))
        for packet in heard.result() if heard else ():
            container.mux(packet)


def _picture_stream(container: Any, frames: np.ndarray, rate: Fraction, crf: int) -> Any:
    """A stream of H.264 for ``frames``."""
    video = container.add_stream("libx264", rate=rate, options={"crf": str(crf), **_H264})
    video.height, video.width, video.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
    # Untagged RGB converts with BT.601; saying so keeps players from guessing BT.709 and shifting every colour.
    video.codec_context.color_range, video.codec_context.colorspace = 1, 5
    video.codec_context.color_primaries, video.codec_context.color_trc = 1, 1
    return video


def _yuv(pixels: np.ndarray) -> Any:
    """A frame ``[H, W, 3]`` for the encoder.

    The colours of four pixels are averaged, so that what ``_rgb`` reads comes back the same when it is written again; with
    swscale's defaults a clip loses detail, and one level of brightness, every time.
    """
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    return frame.reformat(format="yuv420p", interpolation="AREA")


def _rgb(frame: Any) -> np.ndarray:
    """A decoded frame as ``[H, W, 3]`` uint8; ours are BT.601 in limited range, others as FFmpeg reads them."""
    if frame.format.name == "yuv420p" and frame.colorspace == 5 and frame.width % 2 == 0 and frame.height % 2 == 0:
        pixels: np.ndarray = cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420)
        return pixels
    other: np.ndarray = frame.to_ndarray(format="rgb24")
    return other


def _aac_packets(stream: Any, samples: np.ndarray) -> Iterator[Any]:
    """Encode ``[channels, n]`` at the file's rate; the muxer's edit list takes the encoder's priming back out."""
    block = stream.codec_context.frame_size or 1024
    for start in range(0, samples.shape[1], block):
        part = np.ascontiguousarray(samples[:, start : start + block], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = FILE_SAMPLE_RATE, start, Fraction(1, FILE_SAMPLE_RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def fit(sound: Sound, duration_s: float) -> np.ndarray:
    """Samples ``[channels, n]`` at the file's rate, exactly ``duration_s`` long, within full scale."""
    resampled = soxr.resample(sound.samples.T, sound.sample_rate, FILE_SAMPLE_RATE).T
    wanted = round(duration_s * FILE_SAMPLE_RATE)
    padded = np.pad(resampled[:, :wanted], ((0, 0), (0, max(0, wanted - resampled.shape[1]))))
    return np.clip(padded, -1.0, 1.0)


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A PyAV container to read from. Raises ``InvalidRequest`` for files that are none."""
    try:
        with av.open(str(path)) as container:
            yield container
    except (FFmpegError, UnicodeDecodeError):
        message = f"{path.name} cannot be read as a clip; choose an MP4 that this studio wrote."
        raise InvalidRequest(message, field="file") from None


def read_origin(path: Path) -> Origin:
    """What the clip at ``path`` says about itself. Raises ``InvalidRequest`` for files without a readable request."""
    with opened(path) as container:
        comment = container.metadata.get("comment", "")
    foreign = InvalidRequest(f"{path.name} holds no settings of this studio; choose an MP4 that was made here.", field="file")
    try:
        body = json.loads(comment)
        if body["maker"] != _MARK:
            raise foreign
        media = {str(name): base64.b64decode(text, validate=True) for name, text in body["media"].items()}
        request = parse_request(body["request"])
        return Origin(request, str(body["model_sha256"]), str(body["code_version"]), media)
    except ValidationError as error:
        raise invalid_request(error) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise foreign from None


def read_request(path: Path) -> tuple[AnyRequest, dict[str, bytes]]:
    """The request inside a clip file and the images it refers to, by ``sha256:...`` reference."""
    origin = read_origin(path)
    return origin.request, dict(origin.media)


@dataclass(frozen=True)
class Media:
    """A decoded file: ``frames`` ``[F, H, W, 3]`` uint8 and ``sound``, each ``None`` when the file has none."""

    frames: np.ndarray | None
    sound: Sound | None
    frame_rate: float | None


def read_media(path: Path) -> Media:
    """Decode a whole clip as a player would, edit lists applied. Raises ``InvalidRequest`` for unreadable files."""
    with opened(path) as container:
        video = next(iter(container.streams.video), None)
        audio = next(iter(container.streams.audio), None)
        pictures = [_rgb(frame) for frame in container.decode(video)] if video else []
        frame_rate = float(video.average_rate) if video else None
    sound = read_sound(path) if audio else None
    return Media(np.stack(pictures) if pictures else None, sound, frame_rate)


def read_sound(path: Path) -> Sound:
    """Decode the sound of a clip that has one, as ``read_media`` does, and leave its picture alone. Raises ``InvalidRequest``."""
    with opened(path) as container:
        stream = container.streams.audio[0]
        parts, start = [], None
        for frame in container.decode(stream):
            start = float(frame.pts * frame.time_base) if start is None else start
            parts.append(frame.to_ndarray())
        if not parts:
            raise InvalidRequest(f"{path.name} is cut off: it names a sound and holds none; make it again.", field="file")
        samples, rate = np.concatenate(parts, axis=1), int(stream.rate)
        duration_s = float(stream.duration * stream.time_base) if stream.duration else samples.shape[1] / rate
    # What lies before time 0 is the encoder's priming, which the edit list hides from players.
    lead = round((start or 0.0) * rate)
    samples = samples[:, -lead:] if lead < 0 else np.pad(samples, ((0, 0), (lead, 0)))
    return Sound(samples[:, : round(duration_s * rate)], rate)  # the last AAC frame is longer than the sound
