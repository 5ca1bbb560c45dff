"""A clip as another kind of file: VP9, AV1, GIF, PNG pictures, WAV or H.265. ``python -m studio.exporting CLIP FORMAT OUT``.

No torch: the file is decoded and encoded again by PyAV and Pillow. The web process runs this module in a child process
(``export_apart``), because an encoder keeps a core busy for seconds and a broken one must not take the studio with it.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import wave
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from pipelines.clip_io import FILE_SAMPLE_RATE, Media, Sound, fit, opened, read_media
from pipelines.contract import InvalidRequest, StorageFull, StudioError

ROOT = Path(__file__).parent.parent
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ENOENT, errno.ENOTDIR}
_LONGEST_S = 900
# Browsers play a GIF whose frames last less than 2/100 s ten times too slowly.
_MOST_GIF_FRAMES_A_SECOND = 50
_PNG_EFFORT = 6


@dataclass(frozen=True)
class Source:
    """A decoded clip; ``tags`` are what its file says about itself."""

    media: Media
    tags: dict[str, str]

    @property
    def frames(self) -> np.ndarray:
        """``[F, H, W, 3]`` uint8; only for formats that need a picture."""
        assert self.media.frames is not None
        return self.media.frames

    @property
    def rate(self) -> Fraction:
        """Frames a second."""
        return Fraction(self.media.frame_rate or 0).limit_denominator(1001)

    @property
    def duration_s(self) -> float:
        """The length of the picture, or of the sound where there is none."""
        if self.media.frames is not None:
            return float(len(self.media.frames) / self.rate)
        return 0.0 if self.media.sound is None else self.media.sound.samples.shape[1] / self.media.sound.sample_rate


@dataclass(frozen=True)
class Format:
    """A kind of file; ``needs`` says what a clip must have for it: ``picture``, ``sound`` or nothing in particular."""

    name: str
    suffix: str
    mime: str
    write: Callable[[Source, Path], None]
    needs: str | None = None


def format_named(name: str) -> Format:
    """The format called ``name``. Raises ``InvalidRequest``."""
    if name not in FORMATS:
        raise InvalidRequest(f"format is {name[:40]!r}; use one of {', '.join(FORMATS)}.", field="format")
    return FORMATS[name]


def export(source: Path, format_name: str, out: Path) -> None:
    """Write the clip at ``source`` to ``out``, which appears complete or not at all.

    Raises ``InvalidRequest`` for files that are no clips, formats that do not fit what the clip holds and encoders that are
    missing, ``StorageFull`` when ``out`` cannot be written.
    """
    wanted = format_named(format_name)
    media = read_media(source)
    if media.frames is None and wanted.needs == "picture":
        raise InvalidRequest(f"format {wanted.name} needs a picture and this clip has none; use wav or webm.", field="format")
    if media.sound is None and wanted.needs == "sound":
        raise InvalidRequest(f"format {wanted.name} needs sound and this clip has none; use webm, gif or png.", field="format")
    with opened(source) as container:
        tags = {name: text for name in ("title", "comment") if (text := container.metadata.get(name))}
    temporary = out.with_name(f".{out.stem}.{os.getpid()}.part")
    try:
        wanted.write(Source(media, tags), temporary)
        temporary.replace(out)
    except OSError as error:  # PyAV's errors are OSErrors with ffmpeg's own numbers
        if error.errno in _NO_ROOM:
            what = os.strerror(error.errno)
            remedy = "choose another folder" if error.errno in (errno.ENOENT, errno.ENOTDIR) else StorageFull.remedy(error)
            raise StorageFull(f"out could not be written to {out.parent} ({what}): {remedy}.", field="out") from error
        raise
    finally:
        with suppress(OSError):  # a read-only disk refuses even this, and its own error says more
            temporary.unlink(missing_ok=True)


def export_apart(source: Path, format_name: str, out: Path) -> None:
    """As ``export``, in a child process; a child that dies or takes over 15 minutes is a ``StudioError``."""
    command = [sys.executable, "-m", "studio.exporting", str(source.absolute()), format_name, str(out.absolute())]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        raise InvalidRequest("format takes over 15 minutes for this clip; trim it, or use webm.", field="format") from None
    if done.returncode == 0:
        return
    try:
        told = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise StudioError(f"the clip could not be exported ({last[:200]}); try another format.", field="format") from None
    kind = {InvalidRequest.status: InvalidRequest, StorageFull.status: StorageFull}.get(told["status"], StudioError)
    raise kind(told["message"], field=told["field"])


def encoder(name: str) -> str:
    """``name``, if FFmpeg as PyAV brings it has that encoder. Raises ``InvalidRequest``."""
    try:
        return av.codec.Codec(name, "w").name
    except ValueError:  # what PyAV raises for codecs that it does not know
        message = f"format needs the encoder {name}, which this PyAV was built without; use another, or install PyAV from PyPI."
        raise InvalidRequest(message, field="format") from None


def _write_webm(source: Source, path: Path) -> None:
    """VP9 at constant quality beside Opus: what every browser plays."""
    with av.open(str(path), "w", format="webm") as container:
        container.metadata["title"] = source.tags.get("title", "")
        video = audio = None
        if source.media.frames is not None:
            options = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"}
            video = _video(container, encoder("libvpx-vp9"), source, options)
        if source.media.sound is not None:
            audio = _audio(container, encoder("libopus"), source.media.sound, 128_000)
        _mux(container, video, audio, source)


def _write_av1(source: Source, path: Path) -> None:
    """AV1 at constant quality beside Opus: what newer browsers play."""
    os.environ.setdefault("SVT_LOG", "1")  # errors alone: it tells of all its settings otherwise
    with av.open(str(path), "w", format="webm") as container:
        container.metadata["title"] = source.tags.get("title", "")
        video = _video(container, encoder("libsvtav1"), source, {"crf": "28", "preset": "6", "svtav1-params": "tune=0"})
        audio = None if source.media.sound is None else _audio(container, encoder("libopus"), source.media.sound, 128_000)
        _mux(container, video, audio, source)


def _write_hevc(source: Source, path: Path) -> None:
    """H.265 beside AAC, at about half of H.264's size; marked as Apple's players want it, its settings still inside."""
    height, width = source.frames.shape[1:3]
    if height % 2 or width % 2:
        raise InvalidRequest(
            f"format mp4-hevc needs even sides and this clip has {width}x{height}; crop it first.", field="format"
        )
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata.update(source.tags)
        options = {"crf": "22", "preset": "medium", "x265-params": "log-level=error"}
        video = _video(container, encoder("libx265"), source, options)
        video.codec_context.codec_tag = "hvc1"
        audio = None if source.media.sound is None else _audio(container, encoder("aac"), source.media.sound, 192_000)
        _mux(container, video, audio, source)


def _video(container: Any, codec: str, source: Source, options: dict[str, str]) -> Any:
    stream = container.add_stream(codec, rate=source.rate, options=options)
    stream.height, stream.width, stream.pix_fmt = source.frames.shape[1], source.frames.shape[2], "yuv420p"
    # BT.601 in limited range, as the frames are converted: players that guess shift every colour.
    stream.codec_context.color_range, stream.codec_context.colorspace = 1, 5
    stream.codec_context.color_primaries, stream.codec_context.color_trc = 1, 1
    return stream


def _audio(container: Any, codec: str, sound: Sound, bit_rate: int) -> Any:
    layout = "stereo" if len(sound.samples) == 2 else "mono"
    stream = container.add_stream(codec, rate=FILE_SAMPLE_RATE, layout=layout)
    stream.codec_context.bit_rate = bit_rate
    return stream


def _mux(container: Any, video: Any, audio: Any, source: Source) -> None:
    """Encode both streams into the container, the sound exactly as long as the picture."""
    container.start_encoding()
    if video is not None:
        for pixels in source.frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(video.encode(frame.reformat(format="yuv420p", interpolation="AREA")))
        container.mux(video.encode(None))
    if audio is not None and source.media.sound is not None:
        for frame in _audio_frames(audio, fit(source.media.sound, source.duration_s)):
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def _audio_frames(stream: Any, samples: np.ndarray) -> Iterator[Any]:
    """Samples ``[channels, n]`` in blocks of the encoder's size and in its sample format."""
    context = stream.codec_context
    block = context.frame_size or 1024
    resampler = av.AudioResampler(format=context.format.name, layout=stream.layout.name, rate=FILE_SAMPLE_RATE)
    for start in range(0, samples.shape[1], block):
        part = np.ascontiguousarray(samples[:, start : start + block], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = FILE_SAMPLE_RATE, start, Fraction(1, FILE_SAMPLE_RATE)
        yield from resampler.resample(frame)


def _write_gif(source: Source, path: Path) -> None:
    """One palette of 256 colours for the whole clip, chosen from every frame, and errors diffused over neighbours.

    FFmpeg's ``palettegen`` and ``paletteuse``; a palette for each frame would flicker. A GIF counts in 1/100 s.
    """
    step = -(-source.rate // _MOST_GIF_FRAMES_A_SECOND)
    kept = source.frames[::step]
    begins = [round(number * step * 100 / source.rate) for number in range(len(kept) + 1)]
    with av.open(str(path), "w", format="gif", options={"final_delay": str(begins[-1] - begins[-2])}) as container:
        stream = container.add_stream(encoder("gif"), rate=100)
        stream.height, stream.width, stream.pix_fmt = kept.shape[1], kept.shape[2], "pal8"
        stream.codec_context.time_base = Fraction(1, 100)
        for begin, frame in zip(begins, _in_palette(kept), strict=False):
            frame.pts, frame.time_base = begin, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _in_palette(frames: np.ndarray) -> Iterator[Any]:
    """Frames ``[F, H, W, 3]`` in the 256 colours that suit all of them."""
    graph = av.filter.Graph()
    height, width = frames.shape[1:3]
    begin = graph.add_buffer(width=width, height=height, format="rgb24", time_base=Fraction(1, 100))
    split, choose = graph.add("split"), graph.add("palettegen", "stats_mode=full")
    use, end = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle"), graph.add("buffersink")
    begin.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(choose, 1, 0)
    choose.link_to(use, 0, 1)
    use.link_to(end)
    graph.configure()
    for number, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 100)
        begin.push(frame)
    begin.push(None)
    for _ in frames:
        yield end.pull()


def _write_png(source: Source, path: Path) -> None:
    """``frame-00000.png`` and so on in a ZIP, without loss; they are packed already, so the archive only holds them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, pixels in enumerate(source.frames):
            buffer = BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG", compress_level=_PNG_EFFORT)
            archive.writestr(f"frame-{number:05d}.png", buffer.getvalue())


def _write_wav(source: Source, path: Path) -> None:
    """16-bit samples at the clip's own rate."""
    sound = source.media.sound
    assert sound is not None
    samples = np.round(np.clip(sound.samples, -1.0, 1.0) * 32767).astype("<i2")
    with path.open("wb") as stream, wave.open(stream, "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(sound.sample_rate)
        file.writeframes(samples.T.tobytes())


FORMATS = {
    each.name: each
    for each in (
        Format("webm", ".webm", "video/webm", _write_webm),
        Format("gif", ".gif", "image/gif", _write_gif, needs="picture"),
        Format("png", ".zip", "application/zip", _write_png, needs="picture"),
        Format("wav", ".wav", "audio/wav", _write_wav, needs="sound"),
        Format("webm-av1", ".webm", "video/webm", _write_av1, needs="picture"),
        Format("mp4-hevc", ".mp4", "video/mp4", _write_hevc, needs="picture"),
    )
}


def _main(arguments: list[str]) -> int:
    """0 when the file is written; otherwise 2, and one JSON object that says why."""
    source, format_name, out = arguments
    try:
        export(Path(source), format_name, Path(out))
    except StudioError as error:
        sys.stdout.write(json.dumps({"message": error.message, "field": error.field, "status": error.status}))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
