"""Projects over HTTP: timelines changed by operations, undone and done again, exported, and brought back from a file."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from pipelines import contract
from pipelines.contract import InvalidRequest, StorageFull
from studio.api.wire import WrongContentType, body_of, json_body, parse
from studio.owners import owner_of
from studio.services.project_records import Project, ProjectSummary
from studio.studio import Studio
from studio.timelines.changes import parse_operation
from studio.timelines.values import Operation

JSON = Annotated[dict[str, Any], Depends(json_body)]


class NewProject(contract.Request):
    """A project to make."""

    name: str = Field(max_length=1000)
    """What it is called."""
    clips: tuple[str, ...] = Field((), max_length=500)
    """Ids of clips, a shot for each."""


class Seen(contract.Request):
    """What the change was made in view of."""

    revision: int = Field(ge=0)
    """The project's ``revision`` as it was read; a newer one elsewhere is a 409."""


class ProjectChange(Seen):
    """An operation on a project."""

    operation: Operation
    """What to do."""


class Projects(BaseModel):
    """A person's projects, the one that was changed last first."""

    projects: list[ProjectSummary]


_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


async def received(request: Request) -> AsyncIterator[Path]:
    """The body as a file, gone after the request. Raises ``InvalidRequest``, ``WrongContentType`` or ``StorageFull``."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise WrongContentType("content-type is multipart; send the project file itself as the body.", field="content-type")
    with tempfile.TemporaryDirectory(prefix="studio-upload-") as folder:
        path = Path(folder) / "project.aiprod"
        try:
            with path.open("wb") as out:
                async for piece in request.stream():
                    out.write(piece)
        except OSError as error:
            raise StorageFull(f"file could not be taken in: {StorageFull.remedy(error)}.", field="file") from error
        if not path.stat().st_size:
            raise InvalidRequest("file is empty; choose another one.", field="file")
        yield path


File = Annotated[Path, Depends(received)]


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes under ``/projects``, and the captions of a clip."""
    _add_list(api, studio_of)
    _add_changes(api, studio_of)
    _add_files(api, studio_of)


def _add_list(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    @api.get("/projects")
    def projects(request: Request, deleted: bool = False) -> Projects:
        """Your projects, or those in the trash."""
        return Projects(projects=[*studio_of().projects.list(owner_of(request), deleted=deleted)])

    @api.post("/projects", status_code=201, openapi_extra=body_of(NewProject))
    def create(request: Request, body: JSON) -> Project:
        """Make a project, with a shot for each of some clips."""
        wanted = parse(NewProject, body)
        return studio_of().projects.create(owner_of(request), wanted.name, wanted.clips)

    @api.get("/projects/{project_id}")
    def one(request: Request, project_id: str) -> Project:
        """A project with its shots and their takes."""
        return studio_of().projects.get(owner_of(request), project_id)

    @api.delete("/projects/{project_id}")
    def delete(request: Request, project_id: str) -> Project:
        """Put a project into the trash, from where it can come back for 30 days; its clips stay in the library."""
        return studio_of().projects.delete(owner_of(request), project_id)

    @api.post("/projects/{project_id}/undelete")
    def undelete(request: Request, project_id: str) -> Project:
        """Take a project back out of the trash."""
        return studio_of().projects.undelete(owner_of(request), project_id)


def _add_changes(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    @api.post("/projects/{project_id}/changes", openapi_extra=body_of(ProjectChange))
    def change(request: Request, project_id: str, body: JSON) -> Project:
        """Change the timeline by one operation."""
        operation = parse_operation(body.get("operation"))
        seen = parse(Seen, {name: value for name, value in body.items() if name != "operation"})
        return studio_of().projects.change(owner_of(request), project_id, operation, revision=seen.revision)

    @api.post("/projects/{project_id}/undo", openapi_extra=body_of(Seen))
    def undo(request: Request, project_id: str, body: JSON) -> Project:
        """Take the last change back, as often as there are changes."""
        return studio_of().projects.undo(owner_of(request), project_id, revision=parse(Seen, body).revision)

    @api.post("/projects/{project_id}/redo", openapi_extra=body_of(Seen))
    def redo(request: Request, project_id: str, body: JSON) -> Project:
        """Do again what was undone last."""
        return studio_of().projects.redo(owner_of(request), project_id, revision=parse(Seen, body).revision)


def _add_files(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    @api.get("/projects/{project_id}/export", response_class=StreamingResponse)
    def export(
        request: Request,
        project_id: str,
        format: Annotated[str, Query(description="film, aiprod, otio, fcpxml or srt", max_length=40)],
    ) -> StreamingResponse:
        """The project as a film, as one file with its clips, for other editors, or its captions."""
        made = studio_of().project_exports.make(owner_of(request), project_id, format)
        headers = {**_named(made.name), "content-length": str(made.size_bytes)}
        return StreamingResponse(made.pieces(), media_type=made.mime, headers=headers)

    @api.post("/projects/import", status_code=201, openapi_extra=_UPLOAD)
    def bring(request: Request, file: File) -> Project:
        """A project and its clips from an .aiprod file, sent as the body."""
        return studio_of().project_files.bring(owner_of(request), file)

    @api.get("/clips/{clip_id}/captions", response_class=Response)
    def captions(request: Request, clip_id: str) -> Response:
        """The clip's prompt as captions (SubRip), at the times that it names."""
        name, text = studio_of().project_exports.captions(owner_of(request), clip_id)
        return Response(text, media_type="application/x-subrip", headers=_named(name))


def _named(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "private, no-store"}
