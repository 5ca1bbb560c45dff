"""A project as one file, ``*.aiprod``: a ZIP of ``project.json`` and ``clips/<id>.mp4``, written whole and read with distrust."""

from __future__ import annotations

import errno
import hashlib
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pipelines import contract
from pipelines.contract import Clip, InvalidRequest, StorageFull, TooLarge
from studio.timelines.values import Id, Name, Timeline

CONTENTS = "project.json"
MOST_CLIPS = 2000
MOST_JSON_BYTES = 16 * 1024**2
MOST_DIRECTORY_BYTES = 1024**2
_PIECE_BYTES = 1 << 20
_TAIL_BYTES = 22 + 65_535 + 76  # the end record, the longest comment after it, the records for large files before it
_END = b"PK\x05\x06"
_Tag = Annotated[str, Field(min_length=1, max_length=40)]
_BROKEN = (zipfile.BadZipFile, struct.error, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


class PackedClip(contract.Request):
    """A clip in the package: what the library knows about it, and what its file must be."""

    id: Id
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=1)
    name: Name
    tags: tuple[_Tag, ...] = Field((), max_length=20)
    favourite: bool = False
    created_at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
    source: Id | None = None
    """The clip that it was edited from, in the package or not."""
    made: dict[str, Any]
    """The engine's own account of it."""

    @model_validator(mode="after")
    def _is_a_clip(self) -> Self:
        clip = self.clip()
        if min(clip.height, clip.width, clip.num_frames) < 1 or not 1 <= clip.frame_rate <= 10_000 or clip.duration_s <= 0:
            raise ValueError("has a picture without size or length")
        return self

    def clip(self) -> Clip:
        """The account, checked."""
        return Clip.model_validate({**self.made, "path": self.member})

    @property
    def member(self) -> str:
        """Where its file lies in the package."""
        return f"clips/{self.id}.mp4"


class Contents(contract.Request):
    """``project.json``."""

    maker: Literal["aiprod-studio"]
    kind: Literal["project"]
    version: Literal[1]
    timeline: Timeline
    clips: tuple[PackedClip, ...] = Field((), max_length=MOST_CLIPS)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        known = [clip.id for clip in self.clips]
        if len(set(known)) < len(known):
            raise ValueError("names one clip twice")
        if missing := {take for shot in self.timeline.shots for take in shot.takes} - set(known):
            raise ValueError(f"lacks the take {min(missing)}")
        return self


def write_package(path: Path, contents: Contents, files: Mapping[str, Path]) -> None:
    """Write ``contents`` and the clip files, by id, into a new package at ``path``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(CONTENTS, contents.model_dump_json(indent=1), zipfile.ZIP_DEFLATED)
        for clip in contents.clips:
            archive.write(files[clip.id], clip.member)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_package(path: Path, folder: Path, most_bytes: int) -> Contents:
    """What the package at ``path`` holds, its clips unpacked as ``folder/<id>.mp4``.

    Nothing in it is believed: names, sizes, hashes and every value are checked before and while it is unpacked. Raises
    ``InvalidRequest``, or ``TooLarge`` when it unpacks to over ``most_bytes``.
    """
    with _plain_faults(), path.open("rb") as stream:
        _check_directory(stream, path.stat().st_size)
        archive = zipfile.ZipFile(stream)
        members = _checked(archive, most_bytes)
        contents = _contents(archive)
        wanted = {CONTENTS, *(clip.member for clip in contents.clips)}
        if missing := wanted - set(members):
            raise _broken(f"{min(missing)} is missing")
        if extra := set(members) - wanted:
            raise _broken(f"{min(extra)} is a clip that {CONTENTS} does not name")
        for clip in contents.clips:
            _unpack(archive, clip, folder / f"{clip.id}.mp4")
    return contents


def _check_directory(stream: IO[bytes], size: int) -> None:
    """``ZipFile`` reads the whole directory into memory; the two records at the end of the file say how long it is."""
    stream.seek(max(0, size - _TAIL_BYTES))
    tail = stream.read()
    is_plain = tail[-22:-18] == _END and tail[-2:] == bytes(2)
    at = len(tail) - 22 if is_plain else tail.rfind(_END)
    if at < 0:
        raise zipfile.BadZipFile
    (length,) = struct.unpack_from("<I", tail, at + 12)
    if tail[max(0, at - 20) : max(0, at - 16)] == b"PK\x06\x07":
        if size < 1 << 32:
            raise _broken("its directory is one of a file over 4 GB")
        (length,) = struct.unpack_from("<Q", tail, at - 76 + 40)
    if length > MOST_DIRECTORY_BYTES:
        raise TooLarge("file lists far more files than a project has; export the project again.", field="file")


def _checked(archive: zipfile.ZipFile, most_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """The members by name, before a byte of them is unpacked."""
    entries = archive.infolist()
    if len(entries) > MOST_CLIPS + 1:
        raise TooLarge(f"file holds {len(entries):,} files; a project has {MOST_CLIPS + 1:,} at most.", field="file")
    members = {entry.filename: entry for entry in entries}
    if len(members) < len(entries):
        raise _broken("two files in it have one name")
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if not _is_expected(entry.filename) or kind not in (0, stat.S_IFREG):
            raise _broken(f"{entry.filename[:80]!r} does not belong into one")
        if entry.flag_bits & 1:
            raise _broken(f"{entry.filename} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _broken(f"{entry.filename} is packed in a way that this studio does not read")
    if (size := sum(entry.file_size for entry in entries)) > most_bytes:
        raise TooLarge(f"file unpacks to {size / 1e6:,.0f} MB; the limit is {most_bytes / 1e6:,.0f} MB.", field="file")
    return members


def _is_expected(name: str) -> bool:
    folder, _, rest = name.partition("/")
    stem = rest.removesuffix(".mp4")
    return name == CONTENTS or (
        folder == "clips" and rest.endswith(".mp4") and len(stem) == 32 and set(stem) <= set("0123456789abcdef")
    )


def _contents(archive: zipfile.ZipFile) -> Contents:
    if CONTENTS not in archive.namelist():
        raise _broken(f"{CONTENTS} is missing")
    with archive.open(CONTENTS) as stream:
        text = stream.read(MOST_JSON_BYTES + 1)
    if len(text) > MOST_JSON_BYTES:
        raise TooLarge(f"file has a {CONTENTS} of over {MOST_JSON_BYTES // 1024**2} MB, which no project needs.", field="file")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _broken(f"{CONTENTS} is not valid JSON") from None
    if not isinstance(value, dict) or (value.get("maker"), value.get("kind")) != ("aiprod-studio", "project"):
        raise InvalidRequest("file is not a project of this studio; choose one that ends in .aiprod.", field="file")
    if isinstance(value.get("version"), int) and value["version"] > 1:
        raise InvalidRequest("file was written by a newer version of the studio; update this one.", field="file")
    try:
        return Contents.model_validate(value)
    except ValidationError as error:
        raise _broken(f"in {CONTENTS} {contract.invalid_request(error).message.removesuffix('.')}") from None
    except RecursionError:
        raise _broken(f"{CONTENTS} is nested too deeply") from None


def _unpack(archive: zipfile.ZipFile, clip: PackedClip, target: Path) -> None:
    """Write one member, no further than its announced size, and compare its hash."""
    seen, size = hashlib.sha256(), 0
    with archive.open(clip.member) as stream, target.open("wb") as out:
        while piece := stream.read(_PIECE_BYTES):
            size += len(piece)
            if size > clip.size_bytes:
                break
            seen.update(piece)
            out.write(piece)
    if size != clip.size_bytes:
        raise _broken(f"{clip.member} is not {clip.size_bytes:,} bytes long, as {CONTENTS} says")
    if seen.hexdigest() != clip.sha256:
        raise _broken(f"{clip.member} is not the file that was exported, its SHA-256 differs")


@contextmanager
def _plain_faults() -> Iterator[None]:
    """What zipfile says about damaged archives as one sentence."""
    try:
        yield
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("file could not be unpacked, the disk is full: free some space.", field="file") from error
        raise InvalidRequest(
            "file cannot be read as a project, it is damaged, cut short or no ZIP archive; export the project again.",
            field="file",
        ) from error


def _broken(why: str) -> InvalidRequest:
    return InvalidRequest(f"file is not a whole project: {why}; export the project again.", field="file")
