"""Projects as other files: a film, one file of everything, timelines for other editors, captions."""

from __future__ import annotations

import errno
import re
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.contract import Conflict, InvalidRequest, NotFound, StorageFull
from studio.services.exports import Export
from studio.services.library import LibraryService
from studio.services.project_files import ProjectFiles
from studio.services.project_records import Project, StoredShot, footage
from studio.services.projects import ProjectService
from studio.timelines.captions import captions_of, captions_of_cut, srt
from studio.timelines.cut import Cut, Piece, piece_of
from studio.timelines.film import render_apart
from studio.timelines.values import Trim

# Each film is a process that keeps a core busy; more at a time would only starve the workers.
_AT_A_TIME = 1
# Those that wait hold a thread of the server each, which others need.
_MOST_WAITING = 4


@dataclass(frozen=True)
class ProjectFormat:
    """A kind of file that a project becomes."""

    name: str
    suffix: str
    mime: str


FORMATS = {
    each.name: each
    for each in (
        ProjectFormat("film", ".mp4", "video/mp4"),
        ProjectFormat("aiprod", ".aiprod", "application/zip"),
        ProjectFormat("otio", ".otioz", "application/zip"),
        ProjectFormat("fcpxml", ".fcpxml.zip", "application/zip"),
        ProjectFormat("srt", ".srt", "application/x-subrip"),
    )
}


class ProjectExports:
    """What projects become; made when asked for, gone when taken."""

    def __init__(self, projects: ProjectService, files: ProjectFiles, library: LibraryService) -> None:
        self._projects = projects
        self._files = files
        self._library = library
        self._places = threading.BoundedSemaphore(_AT_A_TIME)
        self._queue = threading.BoundedSemaphore(_AT_A_TIME + _MOST_WAITING)

    def make(self, owner: str, project_id: str, format_name: str) -> Export:
        """The project in one of ``FORMATS``. Raises ``NotFound``, ``InvalidRequest``, ``Conflict`` or ``StorageFull``."""
        wanted = FORMATS.get(format_name)
        if wanted is None:
            raise InvalidRequest(f"format is {format_name[:40]!r}; use one of {', '.join(FORMATS)}.", field="format")
        project = self._projects.get(owner, project_id)
        return _made(
            f"{_plain(project.name)}{wanted.suffix}", wanted.mime, lambda path: self._write(owner, project, wanted, path)
        )

    def captions(self, owner: str, clip_id: str) -> tuple[str, str]:
        """A file name and the captions of one clip as SubRip. Raises ``NotFound`` or ``InvalidRequest``."""
        clip = self._library.get(owner, clip_id)
        material = footage(clip, Path(clip.id))
        whole = piece_of(clip.name, Trim(), material)
        return f"{_plain(clip.name)}-{clip_id[:8]}.srt", srt(captions_of(clip.request.prompt, whole.start, whole.duration))

    def _write(self, owner: str, project: Project, wanted: ProjectFormat, path: Path) -> None:
        if wanted.name == "aiprod":
            self._files.save(owner, project.id, path)
            return
        from studio.timelines.interchange import write_fcpxml, write_otioz  # OTIO takes a while to load

        cut = self._cut(owner, project)
        match wanted.name:
            case "film":
                self._render(cut, path)
            case "otio":
                write_otioz(cut, path)
            case "fcpxml":
                write_fcpxml(cut, path)
            case _:
                path.write_text(srt(captions_of_cut(cut)), encoding="utf-8")

    def _render(self, cut: Cut, path: Path) -> None:
        if not self._queue.acquire(blocking=False):
            raise Conflict("format film has to wait: several films are being made; try again when they are done.", field="format")
        try:
            with self._places:
                render_apart(cut, path)
        finally:
            self._queue.release()

    def _cut(self, owner: str, project: Project) -> Cut:
        if not project.shots:
            raise InvalidRequest("project has no shots yet; add a clip to it first.", field="project")
        return Cut(project.name, tuple(self._piece(owner, shot) for shot in project.shots))

    def _piece(self, owner: str, shot: StoredShot) -> Piece:
        try:
            clip, path = self._library.get(owner, shot.chosen), self._library.file(owner, shot.chosen)
        except NotFound:
            raise InvalidRequest(
                f"shot {shot.name!r} shows a take that is no longer in the library; choose another take.", field="shot"
            ) from None
        return piece_of(shot.name, Trim(start_s=shot.start_s, end_s=shot.end_s), footage(clip, path))


def _made(name: str, mime: str, write: Callable[[Path], None]) -> Export:
    folder = tempfile.TemporaryDirectory(prefix="studio-export-")
    path = Path(folder.name) / name
    try:
        write(path)
        return Export(name, mime, path, folder, path.stat().st_size)
    except OSError as error:
        folder.cleanup()
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise StorageFull(f"the export could not be written to {path.parent}: {StorageFull.remedy(error)}.") from error
        raise
    except BaseException:
        folder.cleanup()
        raise


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._ -]+", "", name)[:80].strip(" .") or "project"
