"""What kind of file this is, told by its first bytes alone: its name and what its sender calls it say nothing.

Only demuxers that read the one file that they are given are named here. What lists other files (playlists, concat scripts,
session descriptions) has none, so nothing is ever opened but the upload itself.
"""

from __future__ import annotations

from studio.importing.order import Refusal

HEAD_BYTES = 4096
KNOWN = "MP4, MOV, WebM, MKV, AVI, GIF, WAV or MP3"
# Where in the file, which bytes, which of FFmpeg's demuxers.
_MAGIC = (
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"ID3", "mp3"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"\x00\x00\x01\xb3", "mpegvideo"),
    (0, b"caff", "caf"),
    (0, b".snd", "au"),
    (0, b"#!AMR", "amr"),
    (0, b"RF64", "wav"),
)
_RIFF = {b"AVI ": "avi", b"WAVE": "wav"}
_ATOMS = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"crx ")
_PICTURES = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"8BPS", "PSD"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"<svg", "SVG"),
)
_LISTS = (
    (b"#EXTM3U", "HLS playlist"),
    (b"ffconcat", "concat script"),
    (b"v=0", "session description"),
    (b"<MPD", "DASH manifest"),
)
_PACKET = 188


def demuxer_of(head: bytes) -> str:
    """FFmpeg's name for the format of a file that begins with ``head``. Raises ``Refusal`` with what it is instead."""
    if not head:
        raise Refusal("video is an empty file: choose another.")
    found = next((name for at, magic, name in _MAGIC if head[at : at + len(magic)] == magic), None) or _by_structure(head)
    if found is not None:
        return found
    kind = _picture(head)
    if kind is not None:
        raise Refusal(f"video is a still picture ({kind}): choose a video, or take the picture as a first frame in Create.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for beginning, name in _LISTS:
        if text.startswith(beginning) or (beginning == b"<MPD" and text.startswith(b"<?xml") and beginning in text):
            raise Refusal(f"video only names other files ({name}): choose the file itself that has the picture and sound.")
    raise Refusal(f"video is no video or sound file that can be read here: choose an {KNOWN}.")


def _by_structure(head: bytes) -> str | None:
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] in _ATOMS:
        return None if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS else "mov"
    for start in (0, 4):  # the second is the Blu-ray kind, each packet with a time stamp before it
        step = _PACKET + start
        if len(head) > start + step and head[start] == head[start + step] == 0x47:
            return "mpegts"
    return _elementary_sound(head)


def _elementary_sound(head: bytes) -> str | None:
    """ADTS or MPEG audio without any wrapping: twelve bits of ones, then a header whose fields are all possible."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "aac" if head[2] >> 2 & 0xF < 13 else None
    version, layer, bit_rate, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    return "mp3" if version != 1 and layer != 0 and bit_rate not in (0, 15) and rate != 3 else None


def _picture(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return "HEIC or AVIF"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<?xml") and b"<svg" in text:
        return "SVG"
    return next((name for magic, name in _PICTURES if text.startswith(magic)), None)
