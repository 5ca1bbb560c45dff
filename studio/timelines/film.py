"""The film of a cut: an MP4 of its pieces in a row. ``python -m studio.timelines.film OUT`` reads the cut from its input.

Decoded and encoded frame by frame, so that a long film takes no more memory than a short one; what already has the film's
size stays as it was decoded. The web process runs it in a child process (``render_apart``), as it does exports.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipelines.clip_io import FILE_SAMPLE_RATE, Sound, fit, opened, read_sound
from pipelines.contract import InvalidRequest, StorageFull, StudioError
from studio.exporting import ROOT, encoder
from studio.timelines.cut import Cut, Footage, Piece

_LONGEST_S = 3600
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ENOENT, errno.ENOTDIR}
_H264 = {"preset": "medium", "crf": "16", "x264-params": "no-mbtree=1"}
_BLACK_Y, _BLACK_UV = 16, 128
_BT601, _UNSPECIFIED = 5, 2


def render(cut: Cut, out: Path) -> None:
    """Write the film to ``out``, which appears complete or not at all.

    Pieces of another size are fitted into the first one's with black beside them, those of another rate show the frame that
    is due; a piece without sound is silent, one without picture is black. Raises ``InvalidRequest`` or ``StorageFull``.
    """
    if not any(piece.footage.has_video for piece in cut.pieces):
        raise InvalidRequest("format film needs a picture and no shot has one; add a shot with a picture.", field="format")
    temporary = out.with_name(f".{out.stem}.{os.getpid()}.part")
    try:
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            container.metadata["title"] = cut.name
            _encode(container, cut)
        temporary.replace(out)
    except OSError as error:  # PyAV's errors are OSErrors with ffmpeg's own numbers
        if error.errno in _NO_ROOM:
            what = os.strerror(error.errno)
            raise StorageFull(f"the film could not be written to {out.parent} ({what}): {StorageFull.remedy(error)}.") from error
        raise
    finally:
        with suppress(OSError):  # a read-only disk refuses even this, and its own error says more
            temporary.unlink(missing_ok=True)


def render_apart(cut: Cut, out: Path) -> None:
    """As ``render``, in a child process; one that dies or takes over an hour is a ``StudioError``."""
    command = [sys.executable, "-m", "studio.timelines.film", str(out.absolute())]
    try:
        done = subprocess.run(
            command, cwd=ROOT, input=_told(cut), capture_output=True, text=True, check=False, timeout=_LONGEST_S
        )
    except subprocess.TimeoutExpired:
        raise InvalidRequest("format film takes over an hour for this project; split it.", field="format") from None
    if done.returncode == 0:
        return
    try:
        fault = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise StudioError(f"the film could not be made ({last[:200]}); export a shot alone to find which.") from None
    kind = {InvalidRequest.status: InvalidRequest, StorageFull.status: StorageFull}.get(fault["status"], StudioError)
    raise kind(fault["message"], field=fault["field"])


def _encode(container: Any, cut: Cut) -> None:
    lead = cut.lead
    video = container.add_stream(encoder("libx264"), rate=lead.rate, options=_H264)
    video.width, video.height, video.pix_fmt = lead.width - lead.width % 2, lead.height - lead.height % 2, "yuv420p"
    video.codec_context.color_range, video.codec_context.colorspace = 1, _BT601
    video.codec_context.color_primaries, video.codec_context.color_trc = 1, 1
    audio = None
    if any(piece.footage.has_audio for piece in cut.pieces):
        audio = container.add_stream("aac", rate=FILE_SAMPLE_RATE, layout="stereo", options={"aac_coder": "fast"})
        audio.codec_context.bit_rate = 192_000
    container.start_encoding()
    sound = _SoundTrack(audio)
    for piece, (begin, count) in zip(cut.pieces, cut.spans, strict=True):
        for number, frame in enumerate(_pictures(piece, count, lead.rate, (video.width, video.height))):
            frame.pts, frame.time_base = begin + number, 1 / lead.rate
            container.mux(video.encode(frame))
        if audio is not None:
            end = round((begin + count) / lead.rate * FILE_SAMPLE_RATE)
            for packet in sound.add(_heard(piece, end - sound.length)):
                container.mux(packet)
    container.mux(video.encode(None))
    for packet in sound.finish():
        container.mux(packet)


def _pictures(piece: Piece, count: int, rate: Fraction, size: tuple[int, int]) -> Iterator[Any]:
    """``count`` frames at ``rate`` of the size (width, height): for each moment the frame that is shown in the take then."""
    if not piece.footage.has_video:
        yield from (_black(size) for _ in range(count))
        return
    wanted = [piece.first + int(number * piece.footage.rate / rate) for number in range(count)]
    given = 0
    last = None
    for index, frame in enumerate(_decoded(piece.footage)):
        while given < count and wanted[given] == index:
            yield (last := _fitted(frame, size))
            given += 1
        if given == count:
            return
    if last is None:
        raise InvalidRequest(f"shot {piece.name!r} has fewer frames than its take says; choose another take.", field="shot")
    for _ in range(count - given):  # a file may end a frame before its length says
        yield _copy(last)


def _decoded(footage: Footage) -> Iterator[Any]:
    with opened(footage.path) as container:
        yield from container.decode(container.streams.video[0])


def _fitted(frame: Any, size: tuple[int, int]) -> Any:
    """The frame as YUV 4:2:0 of BT.601, as large as fits into ``size`` and black beside it."""
    width, height = size
    scale = min(Fraction(width, frame.width), Fraction(height, frame.height))
    inner = [max(2, int(side * scale) // 2 * 2) for side in (frame.width, frame.height)]
    is_ours = frame.format.name == "yuv420p" and frame.colorspace in (_BT601, _UNSPECIFIED)
    if is_ours and (frame.width, frame.height) == size:
        return _copy(frame)
    colours = {} if is_ours else {"dst_colorspace": "ITU601", "dst_color_range": "MPEG"}
    small = frame.reformat(width=inner[0], height=inner[1], format="yuv420p", interpolation="AREA", **colours)
    if inner == [width, height]:
        return _copy(small)
    whole, part = _black_planes(size), small.to_ndarray()
    top, left = (height - inner[1]) // 4 * 2, (width - inner[0]) // 4 * 2
    whole[0][top : top + inner[1], left : left + inner[0]] = part[: inner[1]]
    quarter = inner[1] // 2
    chroma = part[inner[1] :].reshape(2, quarter, inner[0] // 2)
    for plane, values in zip(whole[1:], chroma, strict=True):
        plane[top // 2 : top // 2 + quarter, left // 2 : left // 2 + inner[0] // 2] = values
    return _frame(whole, size)


def _copy(frame: Any) -> Any:
    """The same picture without the times and marks of where it was."""
    return av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")


def _black(size: tuple[int, int]) -> Any:
    return _frame(_black_planes(size), size)


def _black_planes(size: tuple[int, int]) -> list[np.ndarray]:
    width, height = size
    half = (height // 2, width // 2)
    return [np.full((height, width), _BLACK_Y, np.uint8), *(np.full(half, _BLACK_UV, np.uint8) for _ in range(2))]


def _frame(planes: list[np.ndarray], size: tuple[int, int]) -> Any:
    flat = np.concatenate([plane.reshape(-1) for plane in planes])
    return av.VideoFrame.from_ndarray(flat.reshape(size[1] * 3 // 2, size[0]), format="yuv420p")


def _heard(piece: Piece, length: int) -> np.ndarray:
    """``[2, length]`` samples of the piece at the file's rate, silence where there is none."""
    sound = read_sound(piece.footage.path) if piece.footage.has_audio else None
    if sound is None:
        return np.zeros((2, length), np.float32)
    begin = round(piece.start * sound.sample_rate)
    end = begin + round(piece.duration * sound.sample_rate)
    cut = fit(Sound(sound.samples[:, begin:end], sound.sample_rate), length / FILE_SAMPLE_RATE)
    return cut if len(cut) == 2 else np.repeat(cut[:1], 2, axis=0)


class _SoundTrack:
    """Samples in, AAC packets out, in blocks of the encoder's size over the joins of the pieces."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._waiting = np.zeros((2, 0), np.float32)
        self._sent = 0

    @property
    def length(self) -> int:
        """Samples so far."""
        return self._sent + self._waiting.shape[1]

    def add(self, samples: np.ndarray) -> Iterator[Any]:
        """More sound ``[2, n]``."""
        self._waiting = np.concatenate([self._waiting, samples.astype(np.float32)], axis=1)
        block = self._stream.codec_context.frame_size or 1024
        while self._waiting.shape[1] >= block:
            yield from self._send(block)

    def finish(self) -> Iterator[Any]:
        """What is left."""
        if self._stream is not None:
            if self._waiting.shape[1]:
                yield from self._send(self._waiting.shape[1])
            yield from self._stream.encode(None)

    def _send(self, count: int) -> Iterator[Any]:
        part, self._waiting = np.ascontiguousarray(self._waiting[:, :count]), self._waiting[:, count:]
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = FILE_SAMPLE_RATE, self._sent, Fraction(1, FILE_SAMPLE_RATE)
        self._sent += count
        yield from self._stream.encode(frame)


def _told(cut: Cut) -> str:
    """The cut as JSON for the child process."""
    pieces = [
        {"name": piece.name, "first": piece.first, "count": piece.count, "footage": _told_footage(piece.footage)}
        for piece in cut.pieces
    ]
    return json.dumps({"name": cut.name, "pieces": pieces})


def _told_footage(footage: Footage) -> dict[str, Any]:
    return {**vars(footage), "path": str(footage.path.absolute()), "rate": str(footage.rate)}


def _understood(text: str) -> Cut:
    told = json.loads(text)
    pieces = []
    for piece in told["pieces"]:
        footage = {**piece["footage"], "path": Path(piece["footage"]["path"]), "rate": Fraction(piece["footage"]["rate"])}
        pieces.append(Piece(piece["name"], Footage(**footage), piece["first"], piece["count"]))
    return Cut(told["name"], tuple(pieces))


def _main(out: str) -> int:
    """0 when the film is written; otherwise 2, and one JSON object that says why."""
    try:
        render(_understood(sys.stdin.read()), Path(out))
    except StudioError as error:
        sys.stdout.write(json.dumps({"message": error.message, "field": error.field, "status": error.status}))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
