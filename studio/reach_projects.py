"""Projects from the command line: in the data folder opened here, or asked of the server that has it open."""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import quote

from pipelines.contract import Conflict, StorageFull
from studio.reach import opened, told
from studio.settings import Settings
from studio.studio import Studio

Told = dict[str, Any]
"""A record as the API tells it."""
_PATIENCE_S = 3700  # a film is made while it is waited for


class ReachedProjects(Protocol):
    """What the commands ask about projects, wherever they are."""

    def listed(self) -> list[Told]:
        """Every project."""

    def project(self, project_id: str) -> Told:
        """One of them."""

    def create(self, name: str, clips: list[str]) -> Told:
        """A new one."""

    def change(self, project: Told, operation: Told) -> Told:
        """The project after an operation."""

    def step(self, project: Told, verb: str) -> Told:
        """The project after ``undo`` or ``redo``."""

    def delete(self, project: Told) -> Told:
        """The project, in the trash."""

    def export(self, project: Told, format_name: str, path: Path) -> None:
        """Write the project as another kind of file."""

    def bring(self, path: Path) -> Told:
        """The project of an .aiprod file."""


def projects_reached(settings: Settings) -> AbstractContextManager[ReachedProjects]:
    """The projects of ``settings``' studio. Raises what ``opened`` raises."""
    return opened(settings, _Here, _Remote)


class _Here:
    """A studio that nobody serves at the moment."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._owner = studio.settings.local_owner

    def listed(self) -> list[Told]:
        return [each.model_dump(mode="json") for each in self._studio.projects.list(self._owner)]

    def project(self, project_id: str) -> Told:
        return self._studio.projects.get(self._owner, project_id).model_dump(mode="json")

    def create(self, name: str, clips: list[str]) -> Told:
        return self._studio.projects.create(self._owner, name, clips).model_dump(mode="json")

    def change(self, project: Told, operation: Told) -> Told:
        from studio.timelines.changes import parse_operation

        changed = self._studio.projects.change(
            self._owner, project["id"], parse_operation(operation), revision=project["revision"]
        )
        return changed.model_dump(mode="json")

    def step(self, project: Told, verb: str) -> Told:
        step = self._studio.projects.undo if verb == "undo" else self._studio.projects.redo
        return step(self._owner, project["id"], revision=project["revision"]).model_dump(mode="json")

    def delete(self, project: Told) -> Told:
        return self._studio.projects.delete(self._owner, project["id"]).model_dump(mode="json")

    def export(self, project: Told, format_name: str, path: Path) -> None:
        made = self._studio.project_exports.make(self._owner, project["id"], format_name)
        with made.folder, made.path.open("rb") as stream:
            _write(stream, path)

    def bring(self, path: Path) -> Told:
        return self._studio.project_files.bring(self._owner, path).model_dump(mode="json")


class _Remote:
    """A studio that a server on this machine has open."""

    def __init__(self, address: str, taken: Conflict) -> None:
        self._root = f"{address}/api/v1/projects"
        self._taken = taken

    def listed(self) -> list[Told]:
        found: list[Told] = self._tell("GET", "")["projects"]
        return found

    def project(self, project_id: str) -> Told:
        return self._tell("GET", f"/{quote(project_id, safe='')}")

    def create(self, name: str, clips: list[str]) -> Told:
        return self._tell("POST", "", {"name": name, "clips": clips})

    def change(self, project: Told, operation: Told) -> Told:
        body = {"revision": project["revision"], "operation": operation}
        return self._tell("POST", f"/{project['id']}/changes", body)

    def step(self, project: Told, verb: str) -> Told:
        return self._tell("POST", f"/{project['id']}/{verb}", {"revision": project["revision"]})

    def delete(self, project: Told) -> Told:
        return self._tell("DELETE", f"/{project['id']}")

    def export(self, project: Told, format_name: str, path: Path) -> None:
        request = urllib.request.Request(f"{self._root}/{project['id']}/export?format={quote(format_name, safe='')}")
        with self._asked(request) as answer:
            _write(answer, path)

    def bring(self, path: Path) -> Told:
        headers = {"content-type": "application/octet-stream", "content-length": str(path.stat().st_size)}
        with path.open("rb") as stream:
            request = urllib.request.Request(f"{self._root}/import", stream, headers, method="POST")
            with self._asked(request) as answer:
                return _object(answer)

    def _tell(self, method: str, path: str, body: Told | None = None) -> Told:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, content, {"content-type": "application/json"}, method=method)
        with self._asked(request) as answer:
            return _object(answer)

    @contextmanager
    def _asked(self, request: urllib.request.Request) -> Iterator[IO[bytes]]:
        try:
            answer = urllib.request.urlopen(request, timeout=_PATIENCE_S)
        except urllib.error.HTTPError as error:
            raise told(error) from None
        except OSError:
            # Somebody holds the folder and does not answer, or is something else: the first message names the remedy.
            raise self._taken from None
        with answer:
            yield answer


def _object(answer: IO[bytes]) -> Told:
    found: Told = json.load(answer)
    return found


def _write(stream: IO[bytes], path: Path) -> None:
    """Write a file that appears complete or not at all. Raises ``StorageFull``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as out:
            shutil.copyfileobj(stream, out)
        temporary.replace(path)
    except OSError as error:
        raise StorageFull(
            f"out could not be written to {path.parent} ({os.strerror(error.errno or 0)}): {StorageFull.remedy(error)}.",
            field="out",
        ) from error
    finally:
        with suppress(OSError):  # a read-only disk refuses even this, and its own error says more
            temporary.unlink(missing_ok=True)
