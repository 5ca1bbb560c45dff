"""Clips of a library as other kinds of files, made when they are asked for and gone when they were taken."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.exporting import export_apart, format_named
from studio.services.library import LibraryService

# Each is a process that keeps a core busy; more at a time would only starve the workers.
_AT_A_TIME = 2
_PIECE_BYTES = 1 << 18


@dataclass(frozen=True)
class Export:
    """A finished file in a folder of its own, which goes when the file was read to its end or nobody wants it any more."""

    name: str
    """What to save it as."""
    mime: str
    path: Path
    folder: tempfile.TemporaryDirectory[str]
    size_bytes: int

    def pieces(self) -> Iterator[bytes]:
        """The file's bytes in order; the file is gone afterwards."""
        with self.folder, self.path.open("rb") as stream:
            while piece := stream.read(_PIECE_BYTES):
                yield piece


class ExportService:
    """What a clip looks like as another kind of file."""

    def __init__(self, library: LibraryService) -> None:
        self._library = library
        self._places = threading.BoundedSemaphore(_AT_A_TIME)

    def make(self, owner: str, clip_id: str, format_name: str) -> Export:
        """The clip in a format of ``studio.exporting``. Raises ``NotFound``, ``InvalidRequest`` or ``StorageFull``."""
        wanted = format_named(format_name)
        source = self._library.file(owner, clip_id)
        name = f"{_plain(self._library.get(owner, clip_id).name)}-{clip_id[:8]}{wanted.suffix}"
        folder = tempfile.TemporaryDirectory(prefix="studio-export-")
        try:
            path = Path(folder.name) / name
            with self._places:
                export_apart(source, wanted.name, path)
            return Export(name, wanted.mime, path, folder, path.stat().st_size)
        except BaseException:
            folder.cleanup()
            raise


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._ -]+", "", name)[:80].strip() or "clip"
