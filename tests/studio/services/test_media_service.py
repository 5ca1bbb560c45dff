"""Uploaded images: what is taken, what is refused, and who may see them."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import pytest
from PIL import Image

from pipelines.contract import InvalidRequest, NotFound, TooLarge
from studio.services.media import clean_image, store_image
from studio.studio import Studio
from tests.studio.rooms import OWNER, fast_settings


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 120 if mode in ("L", "P", "I;16") else (200, 30, 30, 128)[: len(mode)]).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        picture(),
        picture("JPEG"),
        picture("WEBP"),
        picture(mode="RGBA"),
        picture(mode="L"),
        picture(mode="P"),
        picture("JPEG", mode="CMYK"),
    ],
)
def test_every_ordinary_image_becomes_an_rgb_png(idle, content):
    reference = idle.media.add_image(OWNER, content)
    path = idle.media.path(OWNER, reference)
    with Image.open(path) as stored:
        assert (stored.format, stored.mode, stored.size) == ("PNG", "RGB", (40, 30))
    assert idle.media.add_image(OWNER, path.read_bytes()) == reference


def test_nothing_but_pixels_is_kept(idle):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera that knows where I live"
    reference = idle.media.add_image(OWNER, picture("JPEG", exif=exif))
    path = idle.media.path(OWNER, reference)
    with Image.open(path) as stored:
        assert stored.size == (30, 40) and not stored.getexif()
    assert b"camera" not in path.read_bytes()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be enormous."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        picture()[:60],
        picture("JPEG", (300, 300))[:400],
        picture("GIF", mode="P"),
        picture("BMP"),
        b"<svg></svg>",
        bomb(100, 100),
    ],
)
def test_what_is_not_a_whole_image_is_refused(idle, settings, content):
    with pytest.raises(InvalidRequest, match="first_frame") as caught:
        idle.media.add_image(OWNER, content)
    assert caught.value.field == "first_frame"
    assert not settings.media_dir.exists() or list(settings.media_dir.iterdir()) == []


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_an_enormous_image_is_refused_before_it_is_unpacked(idle, size):
    with pytest.raises(TooLarge, match="megapixels"):
        idle.media.add_image(OWNER, bomb(*size))


def test_uploads_have_a_limit(tmp_path):
    studio = Studio.open(fast_settings(tmp_path, max_upload_bytes=100))
    try:
        with pytest.raises(TooLarge, match="limit"):
            studio.media.add_image(OWNER, b"\0" * 101)
    finally:
        studio.stop()


def test_large_images_are_scaled_down(idle):
    path = idle.media.path(OWNER, idle.media.add_image(OWNER, picture("JPEG", (5000, 1000))))
    with Image.open(path) as stored:
        assert max(stored.size) == 2048


def test_images_belong_to_who_uploaded_them(idle):
    reference = idle.media.add_image(OWNER, picture())
    for owner, asked in (("somebody", reference), (OWNER, f"sha256:{'0' * 64}"), (OWNER, "../../etc/passwd"), (OWNER, "")):
        with pytest.raises(NotFound, match="no such image"):
            idle.media.path(owner, asked)
    assert idle.media.add_image("somebody", picture()) == reference
    assert idle.media.path("somebody", reference) == idle.media.path(OWNER, reference)


def test_an_image_without_a_studio(tmp_path):
    reference = store_image(picture(), tmp_path, 10_000)
    assert [path.name for path in tmp_path.iterdir()] == [f"{reference.removeprefix('sha256:')}.png"]


def test_damaged_exif_does_not_cost_the_picture():
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description that is longer than four bytes"
    whole = picture("JPEG", exif=exif.tobytes())
    start = whole.index(b"Exif")
    kept = 0
    for at in range(start + 6, start + 6 + len(exif.tobytes())):
        for value in (0x00, 0x7F, 0xFF):
            damaged = whole[:at] + bytes([value]) + whole[at + 1 :]
            with suppress(InvalidRequest):
                kept += clean_image(damaged, 10**6).size in ((40, 30), (30, 40))
    assert kept > 200
