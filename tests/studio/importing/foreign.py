"""Files as people's cameras, phones, browsers and editors write them, each with the clip that must come of it.

Every picture has four quarters in four colours, so that a turned, mirrored or miscoloured one is noticed; every sound is a tone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np

QUARTERS = ((200, 40, 40), (40, 180, 60), (40, 60, 200), (210, 210, 210))  # left to right, top to bottom
TONE_HZ = 440
PLAIN = (0, 1, 2, 3)
Make = Callable[[Path], None]


@dataclass(frozen=True)
class Right:
    """What the clip must be: width, height, frames, rate; where each quarter went; seconds of sound; words of the notices."""

    width: int = 96
    height: int = 64
    frames: int | None = 12
    rate: float = 12.0
    quarters: tuple[int, int, int, int] | None = PLAIN
    sound_s: float | None = None
    says: tuple[str, ...] = ()
    tolerance: int = 30


@dataclass(frozen=True)
class Film:
    """How a file is written."""

    format: str = "mp4"
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    size: tuple[int, int] = (96, 64)
    rate: Fraction = Fraction(12)
    frames: int = 12
    sounds: tuple[str, ...] = ()
    sound_s: float = 1.0
    sample_rate: int = 48000
    layout: str = "stereo"
    options: dict[str, str] = field(default_factory=dict)
    times: Sequence[float] | None = None
    curve: int | None = None
    aspect: Fraction | None = None
    alpha: bool = False
    container: dict[str, str] = field(default_factory=dict)
    is_live: bool = False


def painted(width: int, height: int, alpha: bool = False) -> np.ndarray:
    """Four quarters; with ``alpha`` the lower right one is transparent."""
    picture = np.zeros((height, width, 4 if alpha else 3), np.uint8)
    for number, colour in enumerate(QUARTERS):
        rows = slice(0, height // 2) if number < 2 else slice(height // 2, height)
        columns = slice(0, width // 2) if number % 2 == 0 else slice(width // 2, width)
        picture[rows, columns, :3] = colour
        if alpha:
            picture[rows, columns, 3] = 0 if number == 3 else 255
    return picture


def tone(seconds: float, rate: int, channels: int) -> np.ndarray:
    """Samples ``[channels, n]``."""
    wave = 0.4 * np.sin(2 * np.pi * TONE_HZ * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave] * channels).astype(np.float32)


def write(path: Path, film: Film) -> None:
    """The file that ``film`` describes."""
    if film.is_live:  # as a browser's recorder does: nobody goes back to fill in the length
        with path.open("wb") as stream:
            _write(OneWay(stream), film)
    else:
        _write(str(path), film)


class OneWay:
    """A file that can only be written on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, piece: bytes) -> int:
        return int(self._stream.write(piece))


def _write(target: Any, film: Film) -> None:
    with av.open(target, "w", format=film.format, container_options=film.container) as out:
        video = _video(out, film) if film.codec else None
        sounds = [_sound(out, film, codec) for codec in film.sounds]
        for number in range(film.frames if video else 0):
            frame = _frame(film)
            frame.pts, frame.time_base = number, 1 / film.rate
            if film.times is not None:
                frame.pts, frame.time_base = round(film.times[number] * 1000), Fraction(1, 1000)
            out.mux(video.encode(frame))
        if video:
            out.mux(video.encode(None))
        for stream in sounds:
            _encode_tone(out, stream, film)


def _video(out: Any, film: Film) -> Any:
    video = out.add_stream(film.codec, rate=film.rate, options=film.options)
    video.width, video.height, video.pix_fmt = *film.size, film.pix_fmt
    if film.times is not None:
        video.codec_context.time_base = video.time_base = Fraction(1, 1000)
    if film.aspect is not None:
        video.codec_context.sample_aspect_ratio = film.aspect
    if film.curve is not None:
        video.codec_context.color_trc, video.codec_context.color_primaries = film.curve, 9
        video.codec_context.colorspace, video.codec_context.color_range = 9, 1
    return video


def _frame(film: Film) -> Any:
    picture = painted(*film.size, alpha=film.alpha)
    if film.curve is None:
        frame = av.VideoFrame.from_ndarray(picture, format="rgba" if film.alpha else "rgb24")
        return frame.reformat(format=film.pix_fmt)
    light = (picture / 255.0) ** 2.4  # the same colours as a bright screen would show them, in the wide space
    wide = np.clip(light @ np.linalg.inv(TO_BT709).T, 0, 1)
    frame = av.VideoFrame.from_ndarray(np.round(65535 * signal_of(wide, film.curve)).astype(np.uint16), format="rgb48le")
    made = frame.reformat(format=film.pix_fmt, dst_colorspace=9, dst_color_range=1)
    made.color_trc, made.color_primaries = film.curve, 9
    return made


TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


def signal_of(light: np.ndarray, curve: int) -> np.ndarray:
    """The signal of light whose 1 is 203 cd/m2 (BT.2408), by ST 2084 (16), hybrid log-gamma (18) or BT.1886 (else)."""
    if curve == 16:
        power = (light * 203 / 10_000) ** (2610 / 16384)
        return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    if curve == 18:
        shown = light * 203 / 1000
        luminance = (shown @ np.array([0.2627, 0.6780, 0.0593]))[..., None]
        scene = shown * np.maximum(luminance, 1e-9) ** (1 / 1.2 - 1)
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)
    return light ** (1 / 2.4)


def _sound(out: Any, film: Film, codec: str) -> Any:
    return out.add_stream(codec, rate=film.sample_rate, layout=film.layout)


def _encode_tone(out: Any, stream: Any, film: Film) -> None:
    context = stream.codec_context
    channels = context.layout.nb_channels
    samples = tone(film.sound_s, film.sample_rate, channels)
    resampler = av.AudioResampler(context.format.name, film.layout, film.sample_rate)
    block = context.frame_size or 1024
    for start in range(0, samples.shape[1], block):
        part = np.ascontiguousarray(samples[:, start : start + block])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=film.layout)
        frame.sample_rate, frame.pts, frame.time_base = film.sample_rate, start, Fraction(1, film.sample_rate)
        for ready in resampler.resample(frame):
            out.mux(stream.encode(ready))
    out.mux(stream.encode(None))


def turned(matrix: tuple[int, int, int, int], **changes: Any) -> Make:
    """An MP4 whose track header asks for a turn: a, b, c, d of its matrix."""

    def make(path: Path) -> None:
        write(path, Film(**changes))
        content = bytearray(path.read_bytes())
        at = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
        a, b, c, d = (65536 * each for each in matrix)
        content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(content)

    return make


def without_times(path: Path) -> None:
    """An MP4 that says of each frame that it lasts for no time at all."""
    write(path, Film(options={"bf": "0"}))
    content = bytearray(path.read_bytes())
    at = content.index(b"stts") + 4 + 4
    count, _, _ = struct.unpack(">3I", content[at : at + 12])
    content[at : at + 12] = struct.pack(">3I", count, 12, 0)
    path.write_bytes(content)


def with_cover(path: Path) -> None:
    """An MP3 with a picture of its record in front."""
    from PIL import Image

    write(path, Film(format="mp3", codec="", sounds=("libmp3lame",)))
    picture = BytesIO()
    Image.new("RGB", (40, 40), "red").save(picture, "JPEG")
    body = b"\x00image/jpeg\x00\x03\x00" + picture.getvalue()
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\x00\x00" + body
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\x00\x00" + size + frame + path.read_bytes())


def with_rubbish_behind(path: Path) -> None:
    """A whole MP4, then bytes that mean nothing."""
    write(path, Film())
    path.write_bytes(path.read_bytes() + b"\xff\x00rubbish" * 500)


def made(**film: Any) -> Make:
    """A maker of that film."""
    return lambda path: write(path, Film(**film))


SOUND = Right(128, 128, None, 12.0, None, 1.0)  # sizes of sound are those of the default model
FAST = {"preset": "ultrafast"}
UNEVEN = (0.0, 0.04, 0.08, 0.5, 0.54, 0.58, 1.0, 1.04, 1.08, 1.5, 1.54, 1.58)
GOOD: dict[str, tuple[Make, Right]] = {
    "mp4": (made(sounds=("aac",)), Right(sound_s=1.0)),
    "mov with raw sound": (
        made(format="mov", sounds=("pcm_s16le",), sample_rate=44100), Right(sound_s=1.0, says=("44,100 to 48,000",))
    ),
    "webm": (made(format="webm", codec="libvpx-vp9", sounds=("libopus",)), Right(sound_s=1.0)),
    "webm with vp8": (made(format="webm", codec="libvpx"), Right()),
    "webm of a browser's recorder": (made(format="webm", codec="libvpx", is_live=True), Right()),
    "webm with av1": (made(format="webm", codec="libsvtav1", size=(128, 64), frames=4), Right(128, 64, 4)),
    "mkv with hevc and flac": (
        made(format="matroska", codec="libx265", sounds=("flac",), options={"x265-params": "log-level=none"}),
        Right(sound_s=1.0),
    ),
    "mkv with ten bits": (made(format="matroska", codec="ffv1", pix_fmt="yuv422p10le"), Right()),
    "avi": (
        made(format="avi", codec="mpeg4", sounds=("libmp3lame",), options={"bf": "0"}),
        Right(frames=13, sound_s=1.0, says=("unevenly",)),  # its writer puts an empty frame after the first
    ),
    "avi of full range": (made(format="avi", codec="mjpeg", pix_fmt="yuvj420p"), Right()),
    "transport stream": (made(format="mpegts", sounds=("aac",)), Right(sound_s=1.0)),
    "programme stream": (made(format="vob", codec="mpeg2video", rate=Fraction(25), frames=25), Right(frames=25, rate=25)),
    "flv": (made(format="flv", codec="flv"), Right()),
    "wmv": (made(format="asf", codec="wmv2"), Right()),
    "gif": (made(format="gif", codec="gif", pix_fmt="rgb8", rate=Fraction(10)), Right(rate=10, tolerance=60)),
    "mov with alpha": (
        made(format="mov", codec="qtrle", pix_fmt="argb", alpha=True), Right(says=("put on white",), tolerance=50)
    ),
    "prores with alpha": (
        made(format="mov", codec="prores_ks", pix_fmt="yuva444p10le", alpha=True), Right(says=("put on white",), tolerance=50)
    ),
    "hdr10": (
        made(codec="libx265", pix_fmt="yuv420p10le", curve=16, options={"x265-params": "log-level=none"}),
        Right(says=("dynamic range",), tolerance=45),
    ),
    "hlg": (
        made(codec="libx265", pix_fmt="yuv420p10le", curve=18, options={"x265-params": "log-level=none"}),
        Right(says=("dynamic range",), tolerance=45),
    ),
    "wide colours": (
        made(codec="libx265", pix_fmt="yuv420p10le", curve=14, options={"x265-params": "log-level=none"}),
        Right(says=("wide range of colours",)),
    ),
    "turned 90": (turned((0, 1, -1, 0)), Right(64, 96, quarters=(2, 0, 3, 1))),
    "turned 180": (turned((-1, 0, 0, -1)), Right(quarters=(3, 2, 1, 0))),
    "turned 270": (turned((0, -1, 1, 0)), Right(64, 96, quarters=(1, 3, 0, 2))),
    "mirrored": (turned((-1, 0, 0, 1)), Right(quarters=(1, 0, 3, 2))),
    "uneven frames": (
        made(format="matroska", times=UNEVEN, options={**FAST, "bf": "0"}),
        Right(frames=None, rate=25, says=("25 a second throughout",)),
    ),
    "no times at all": (without_times, Right(frames=None, rate=8, says=("frame rate",))),
    "120 frames a second": (made(rate=Fraction(120), frames=24), Right(rate=60, says=("from 120 to 60",))),
    "one frame a second": (made(rate=Fraction(1), frames=3), Right(frames=24, rate=8, says=("from 1 to 8",))),
    "television's rate": (made(rate=Fraction(30000, 1001), frames=30), Right(frames=30, rate=30000 / 1001)),
    "one frame": (made(frames=1), Right(frames=1)),
    "odd sides": (made(format="matroska", codec="ffv1", size=(97, 63), pix_fmt="yuv444p"), Right(says=("scaled from 97x63",))),
    "two pixels": (
        made(format="matroska", codec="ffv1", size=(2, 2), pix_fmt="yuv444p"),
        Right(64, 64, quarters=None, says=("from 2x2 to 64x64",)),
    ),
    "wide": (made(size=(1280, 720), options=FAST), Right(512, 288, says=("from 1280x720 to 512x288",))),
    "a narrow strip": (made(size=(16, 400), options=FAST), Right(64, 416, quarters=None, says=("cut by",))),
    "pixels twice as wide": (made(size=(64, 64), aspect=Fraction(2)), Right(128, 64)),
    "sound that lasts longer": (made(sounds=("aac",), sound_s=2.0), Right(frames=24, sound_s=2.0, says=("last picture stays",))),
    "sound that ends early": (made(sounds=("aac",), sound_s=0.5), Right(sound_s=1.0, says=("silence follows",))),
    "two languages": (made(sounds=("aac", "aac")), Right(sound_s=1.0, says=("first of 2 sound tracks",))),
    "surround sound": (made(sounds=("aac",), layout="5.1"), Right(sound_s=1.0, says=("from 6 channels",))),
    "rubbish behind": (with_rubbish_behind, Right()),
    "wav": (made(format="wav", codec="", sounds=("pcm_s16le",)), SOUND),
    "wav of a telephone": (
        made(format="wav", codec="", sounds=("pcm_mulaw",), sample_rate=8000, layout="mono"),
        Right(128, 128, None, 12.0, None, 1.0, ("8,000 to 48,000",)),
    ),
    "mp3": (made(format="mp3", codec="", sounds=("libmp3lame",)), SOUND),
    "mp3 with a cover": (with_cover, SOUND),
    "flac": (made(format="flac", codec="", sounds=("flac",)), SOUND),
    "opus": (made(format="ogg", codec="", sounds=("libopus",)), SOUND),
    "aac": (made(format="adts", codec="", sounds=("aac",)), SOUND),
    "m4a": (made(format="ipod", codec="", sounds=("aac",)), SOUND),
}  # fmt: skip
