"""Files that are damaged, that are something else, or that were made to do harm; each with the words of its refusal.

``None`` stands for what may become a clip or be refused, as long as one of the two happens.
"""

from __future__ import annotations

import gzip
import io
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from PIL import Image

from tests.studio.importing.foreign import FAST, Film, Make, made, write

PASSWORDS = "file:///etc/passwd"


def holds(content: bytes | str) -> Make:
    """A file of exactly this."""
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content)  # type: ignore[return-value]


def names(text: str) -> Make:
    """A text that names another file; ``{clip}`` is a whole clip that lies beside it and would do if it were opened."""

    def make(path: Path) -> None:
        beside = path.with_name(f"beside-{path.stem}.mp4")
        write(beside, Film())
        path.write_text(text.replace("{clip}", str(beside)))

    return make


def changed(change: Callable[[bytearray], bytes | bytearray], **film: object) -> Make:
    """A film after something was done to its bytes."""

    def make(path: Path) -> None:
        write(path, Film(**film))  # type: ignore[arg-type]
        path.write_bytes(change(bytearray(path.read_bytes())))

    return make


def cut_at(share: float) -> Callable[[bytearray], bytearray]:
    """The first part of a file."""
    return lambda content: content[: round(share * len(content))]


def flipped(seed: int, times: int = 40) -> Callable[[bytearray], bytearray]:
    """Random bits turned over."""

    def change(content: bytearray) -> bytearray:
        chance = random.Random(seed)
        for _ in range(times):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        return content

    return change


def with_number(after: bytes, offset: int, number: int, size: int = 4) -> Callable[[bytearray], bytearray]:
    """A big-endian number written ``offset`` bytes after a mark."""

    def change(content: bytearray) -> bytearray:
        at = content.index(after) + len(after) + offset
        content[at : at + size] = number.to_bytes(size, "big")
        return content

    return change


def hours_long(content: bytearray) -> bytearray:
    """An MP4 whose header speaks of ten hours."""
    for mark, offset in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
        content = with_number(mark, offset, 2**31 - 1)(content)
    return content


def lies_elsewhere(path: Path) -> None:
    """A MOV whose samples lie in another file, by a Macintosh alias as QuickTime writes it; that one is whole."""
    beside = path.with_name(f"beside-{path.stem}.mp4")
    write(beside, Film())
    write(path, Film(format="mov"))
    content = bytearray(path.read_bytes())
    place = ("disk" + str(beside)).replace("/", ":").encode()
    names = bytes(10) + b"\4disk".ljust(28, b"\0") + bytes(12) + bytes(64) + bytes(16) + b"\0\1\0\1" + bytes(16)
    entry = atom(
        b"alis", bytes(4) + names + struct.pack(">HH", 2, len(place)) + place + b"\0" * (len(place) % 2) + b"\xff\xff\0\0"
    )
    dref = content.index(b"dref") - 4
    old = int.from_bytes(content[dref : dref + 4], "big") - 16
    content[dref + 16 : dref + 16 + old] = entry
    for kind in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        start = content.rindex(kind, 0, dref + 8) - 4
        size = int.from_bytes(content[start : start + 4], "big") + len(entry) - old
        content[start : start + 4] = size.to_bytes(4, "big")
    path.write_bytes(content)


def picture(kind: str) -> bytes:
    """A still picture."""
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(stream, kind)
    return stream.getvalue()


def bomb() -> bytes:
    """A megabyte that unpacks to a gigabyte."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a", "w", force_zip64=True) as inside:
        for _ in range(1024):
            inside.write(bytes(1 << 20))
    return stream.getvalue()


def atom(kind: bytes, content: bytes = b"") -> bytes:
    """One atom of an MP4."""
    return struct.pack(">I", len(content) + 8) + kind + content


def nested(depth: int) -> bytes:
    """Atoms in atoms."""
    content = b""
    for level in range(depth):
        content = atom(b"trak" if level % 2 else b"mdia", content)
    return FTYP + atom(b"moov", content)


def wav(rate: int = 8000, channels: int = 1, bits: int = 16, claimed: int | None = None, times: int = 8) -> bytes:
    """Bytes of sound, 250 at a time, after a header that claims what it likes."""
    body = bytes(range(250)) * times
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * channels * bits // 8, 2**32 - 1), channels * bits // 8, bits)
    sizes = len(body) if claimed is None else claimed
    return (
        b"RIFF"
        + struct.pack("<I", min(sizes + 36, 2**32 - 1))
        + b"WAVEfmt \x10\0\0\0"
        + form
        + b"data"
        + struct.pack("<I", sizes)
        + body
    )


def gif(width: int, height: int) -> bytes:
    """The header of a GIF, and one frame as large as it says, of nothing."""
    sides = struct.pack("<HH", width, height)
    return b"GIF89a" + sides + b"\x80\0\0\0\0\0\xff\xff\xff" + b"\x2c\0\0\0\0" + sides + b"\0\x02\x02\x44\x01\0\x3b"


def ebml(depth: int) -> bytes:
    """Segments in segments of unknown size."""
    return b"\x1aE\xdf\xa3\x84\x42\x82\x81w" + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" * depth


FTYP = atom(b"ftyp", b"isom\0\0\2\0isomiso2mp41")
RANDOM = random.Random(5).randbytes
FRONT = {"container": {"movflags": "faststart"}}
NOT_ONE = "no video or sound file"
STILL, LIST, DAMAGED = "still picture", "only names other files", "damaged"
BAD: dict[str, tuple[Make, str | None]] = {
    "nothing": (holds(b""), "empty file"),
    "one byte": (holds(b"\0"), NOT_ONE),
    "zeros": (holds(bytes(65536)), NOT_ONE),
    "chance": (holds(RANDOM(65536)), NOT_ONE),
    "chance after a good beginning": (holds(FTYP + RANDOM(65536)), DAMAGED),
    "text": (holds("My holiday, in words only.\n" * 100), NOT_ONE),
    "web page": (holds("<!doctype html><video src='file:///etc/passwd'></video>"), NOT_ONE),
    "playlist of passwords": (holds(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{PASSWORDS}\n#EXT-X-ENDLIST\n"), LIST),
    "playlist of the network": (holds("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"), LIST),
    "playlist of a clip": (names("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{clip}\n#EXT-X-ENDLIST\n"), LIST),
    "playlist behind a mark": (names("\ufeff#EXTM3U\n#EXTINF:1,\n{clip}\n"), LIST),
    "concat of a clip": (names("ffconcat version 1.0\nfile '{clip}'\n"), LIST),
    "concat without its mark": (names("file '{clip}'\n"), NOT_ONE),
    "session": (holds("v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"), LIST),
    "manifest": (holds(f'<?xml version="1.0"?><MPD><BaseURL>{PASSWORDS}</BaseURL></MPD>'), LIST),
    "outside entity": (holds(f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "{PASSWORDS}">]><a>&b;</a>'), NOT_ONE),
    "picture list": (names("/tmp/%03d.png"), NOT_ONE),
    "mov that lies in another file": (lies_elsewhere, "without frames"),
    "svg": (holds('<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'), STILL),
    "png": (holds(picture("PNG")), STILL),
    "jpeg": (holds(picture("JPEG")), STILL),
    "webp": (holds(picture("WEBP")), STILL),
    "tiff": (holds(picture("TIFF")), STILL),
    "avif": (holds(atom(b"ftyp", b"avif\0\0\0\0avifmif1") + bytes(99)), STILL),
    "pdf": (holds(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), NOT_ONE),
    "program": (holds(b"\x7fELF\x02\x01\x01" + bytes(200)), NOT_ONE),
    "pickle": (holds(pickle.dumps({"video": [1, 2, 3]})), NOT_ONE),
    "zip bomb": (holds(bomb()), NOT_ONE),
    "gzip bomb": (holds(gzip.compress(bytes(1 << 24))), NOT_ONE),
    "only a beginning": (holds(FTYP), DAMAGED),
    "only samples": (holds(FTYP + atom(b"mdat", RANDOM(9999))), DAMAGED),
    "an empty film": (holds(FTYP + atom(b"moov")), DAMAGED),
    "an enormous atom": (holds(FTYP + b"\xff\xff\xff\xffmoov" + bytes(500)), DAMAGED),
    "an atom of nine exabytes": (holds(FTYP + b"\0\0\0\1moov\x7f" + b"\xff" * 7 + bytes(500)), DAMAGED),
    "an atom of no size": (holds(FTYP + b"\0\0\0\0moov" + bytes(500)), DAMAGED),
    "an atom smaller than itself": (holds(FTYP + b"\0\0\0\3moov" + bytes(500)), DAMAGED),
    "atoms in atoms": (holds(nested(5000)), DAMAGED),
    "a packed header of two gigabytes": (
        holds(FTYP + atom(b"moov", atom(b"cmov", atom(b"dcom", b"zlib") + atom(b"cmvd", b"\x7f\xff\xff\xff" + bytes(64))))),
        DAMAGED,
    ),
    "a table of four billion": (changed(with_number(b"stsz", 8, 2**32 - 1)), None),
    "segments in segments": (holds(ebml(3000)), DAMAGED),
    "hours by its header": (changed(hours_long), None),
    "a minute and a half": (made(rate=Fraction(1), frames=90, options=FAST), "lasts 90.0 s"),
    "long sound": (holds(wav(times=64 * 90)), "lasts 90.0 s"),
    "mkv without a length that is too long": (
        made(format="matroska", rate=Fraction(1), frames=90, options=FAST, is_live=True), "the longest that can be opened is 60 s"
    ),
    "sixteen thousand pixels wide": (holds(gif(16384, 4096)), "16384x4096 pixels; the most is 8192 a side"),
    "sixty megapixels": (holds(gif(8000, 8000)), "8000x8000 pixels"),
    "sixteen thousand pixels squared": (holds(gif(16384, 16384)), "far too large"),
    "no pixels": (holds(gif(0, 0)), ""),
    "a gif without frames": (holds(b"GIF89a\x20\0\x20\0\0\0\0;"), ""),
    "sixty-four streams": (
        made(format="matroska", codec="", sounds=("pcm_s16le",) * 64, sound_s=0.1), "more than 32 streams"
    ),
    "a stream nobody knows": (made(format="avi", codec="cinepak", pix_fmt="rgb24"), "stores its picture as cinepak"),
    "wav of four gigabytes": (holds(wav(claimed=2**32 - 1)), None),
    "wav of no channels": (holds(wav(channels=0)), ""),
    "wav of no samples a second": (holds(wav(rate=0)), ""),
    "wav of one sample a second": (holds(wav(rate=1)), "lasts 17 minutes"),
    "wav of four billion samples a second": (holds(wav(rate=2**32 - 1)), ""),
    "mp3 of nothing": (holds(b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(900)), ""),
    "ogg of nothing": (holds(b"OggS" + bytes(900)), DAMAGED),
    "flv of nothing": (holds(b"FLV\x01\x05\0\0\0\x09" + RANDOM(900)), ""),
    "wmv of nothing": (holds(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + RANDOM(900)), DAMAGED),
    "stream of nothing": (holds((b"G" + bytes(187)) * 40), ""),
    **{f"mp4 cut at {share:.0%}": (changed(cut_at(share)), DAMAGED) for share in (0.02, 0.3, 0.6, 0.9)},
    **{
        f"ready mp4 cut at {share:.0%}": (changed(cut_at(share), **FRONT, frames=48), None)
        for share in (0.1, 0.4, 0.6, 0.8, 0.95)
    },
    **{
        f"webm cut at {share:.0%}": (changed(cut_at(share), format="webm", codec="libvpx", sounds=("libopus",)), None)
        for share in (0.05, 0.2, 0.5, 0.8, 0.99)
    },
    **{f"mp4 with bits turned {seed}": (changed(flipped(seed), **FRONT, sounds=("aac",)), None) for seed in range(12)},
    **{f"webm with bits turned {seed}": (changed(flipped(seed), format="webm", codec="libvpx"), None) for seed in range(6)},
    **{
        f"gif with bits turned {seed}": (changed(flipped(seed), format="gif", codec="gif", pix_fmt="rgb8"), None)
        for seed in range(3)
    },
    **{f"stream with bits turned {seed}": (changed(flipped(seed), format="mpegts"), None) for seed in range(3)},
}  # fmt: skip
