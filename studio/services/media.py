"""Uploaded images: checked, re-encoded, stored by the hash of their content, visible to whoever uploaded them."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.contract import InvalidRequest, NotFound, StorageFull, TooLarge
from pipelines.edits import IMAGE_REFERENCE
from studio.services.records import now
from studio.settings import Settings
from studio.storage import media as media_table
from studio.storage.database import Database

_MAX_PIXELS = 50_000_000
# No model here makes larger pictures, and the image travels inside every clip that starts from it.
_MAX_SIDE = 2048
_FIELD = "first_frame"
"""What most images are for."""


class MediaService:
    """The images of every owner."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def add_image(self, owner: str, content: bytes) -> str:
        """Store a PNG, JPEG or WebP; returns its ``sha256:...`` reference. Raises ``TooLarge`` or ``InvalidRequest``."""
        picture = clean_image(content, self._settings.max_upload_bytes)
        reference, size_bytes = _store(picture, self._settings.media_dir)
        row = media_table.MediaRow(owner, reference, picture.width, picture.height, size_bytes, now())
        with self._database.write() as connection:
            media_table.add(connection, row)
        return reference

    def path(self, owner: str, reference: str) -> Path:
        """The stored PNG. Raises ``NotFound`` when the owner has no such image."""
        path = media_path(self._settings.media_dir, reference) if IMAGE_REFERENCE.fullmatch(reference) else None
        with self._database.read() as connection:
            is_theirs = path is not None and media_table.has(connection, owner, reference)
        if path is None or not is_theirs or not path.exists():
            raise NotFound("there is no such image: upload it again.", field="first_frame")
        return path


def store_image(content: bytes, media_dir: Path, max_upload_bytes: int, field: str = _FIELD) -> str:
    """Store an image that belongs to nobody, for a run without a studio; otherwise as ``MediaService.add_image``."""
    return _store(clean_image(content, max_upload_bytes, field), media_dir)[0]


def media_path(media_dir: Path, reference: str) -> Path:
    """Where the image behind a ``sha256:...`` reference lies."""
    return media_dir / f"{reference.removeprefix('sha256:')}.png"


def clean_image(content: bytes, max_upload_bytes: int, field: str = _FIELD) -> Image.Image:
    """The picture in ``content`` as upright RGB, at most 2048 pixels a side. Raises ``TooLarge`` or ``InvalidRequest``.

    ``field`` is what it is for.
    """
    if len(content) > max_upload_bytes:
        raise TooLarge(
            f"{field} is {len(content) / 1e6:.1f} MB; the limit is {max_upload_bytes / 1e6:.1f} MB: use a smaller image.",
            field=field,
        )
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise _too_many_pixels(f"{image.width}x{image.height} pixels", field)
            image.draft("RGB", (_MAX_SIDE, _MAX_SIDE))
            return _flat(_upright(image))
    except Image.DecompressionBombError:
        raise _too_many_pixels("enormous", field) from None
    except UnidentifiedImageError:
        raise InvalidRequest(
            f"{field} is not a PNG, JPEG or WebP image: save it as one of these and upload it again.", field=field
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InvalidRequest(
            f"{field} cannot be read, the image is damaged or cut short ({error}): upload it again.", field=field
        ) from None


def _too_many_pixels(size: str, field: str) -> TooLarge:
    limit = f"{_MAX_PIXELS / 1e6:.0f} megapixels"
    return TooLarge(f"{field} is {size}; the limit is {limit}: scale it down.", field=field)


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says; where that is damaged the picture itself may still be whole."""
    try:
        return ImageOps.exif_transpose(image)
    except (struct.error, SyntaxError, ValueError):
        return image


def _flat(image: Image.Image) -> Image.Image:
    """RGB on white, sides limited, every kind of metadata left behind."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        image = Image.alpha_composite(ground, layer)
    picture = Image.new("RGB", image.size)
    picture.paste(image.convert("RGB"))
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    return picture


def _store(picture: Image.Image, media_dir: Path) -> tuple[str, int]:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)
    content = buffer.getvalue()
    reference = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = media_path(media_dir, reference)
    if not path.exists():
        write_whole(path, content)
    return reference, len(content)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears complete or not at all. Raises ``StorageFull``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # a read-only disk refuses even this, and its own error says more
            temporary.unlink(missing_ok=True)
        raise StorageFull(
            f"the file could not be written to {path.parent} ({os.strerror(error.errno or 0)}): {StorageFull.remedy(error)}."
        ) from error
