"""The library over HTTP: pages, single clips, changes, and the files themselves."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import Field

from pipelines import contract
from studio.api.wire import body_of, json_body, parse
from studio.owners import owner_of
from studio.services.records import ClipFilter, ClipPage, StoredClip
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


class ClipQuery(ClipFilter):
    """Which clips, and which page of them."""

    cursor: str | None = Field(None, max_length=500)
    """Where the page begins, as ``next`` of the page before gave it."""
    limit: int = Field(24, ge=1, le=200)
    """Clips on a page."""


class ClipChange(contract.Request):
    """What a person may change about a clip; what is left out stays."""

    name: str | None = Field(None, max_length=200)
    """What the clip is called."""
    favourite: bool | None = None
    """Whether it has a star."""
    tags: tuple[str, ...] | None = Field(None, max_length=50)
    """All its tags."""


class Tags(contract.Request):
    """Tags in alphabetical order."""

    tags: tuple[str, ...]


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes under ``/clips``."""
    _add_records(api, studio_of)
    _add_files(api, studio_of)


def _add_records(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    @api.get("/clips")
    def page(request: Request, query: Annotated[ClipQuery, Query()]) -> ClipPage:
        """One page of your library, or of its trash."""
        chosen = ClipFilter(**query.model_dump(exclude={"cursor", "limit"}))
        return studio_of().library.page(owner_of(request), chosen, cursor=query.cursor, limit=query.limit)

    @api.get("/tags")
    def tags(request: Request) -> Tags:
        """Every tag that your clips have."""
        return Tags(tags=tuple(studio_of().library.tags(owner_of(request))))

    @api.get("/clips/{clip_id}")
    def one(request: Request, clip_id: str) -> StoredClip:
        """One clip with everything that it was made of."""
        return studio_of().library.get(owner_of(request), clip_id)

    @api.patch("/clips/{clip_id}", openapi_extra=body_of(ClipChange))
    def change(request: Request, clip_id: str, body: JSON) -> StoredClip:
        """Name, star or tag a clip."""
        wanted = parse(ClipChange, body)
        return studio_of().library.update(
            owner_of(request), clip_id, name=wanted.name, favourite=wanted.favourite, tags=wanted.tags
        )

    @api.delete("/clips/{clip_id}")
    def delete(request: Request, clip_id: str) -> StoredClip:
        """Put a clip into the trash, from where it can come back for 30 days."""
        return studio_of().library.delete(owner_of(request), clip_id)

    @api.post("/clips/{clip_id}/undelete")
    def undelete(request: Request, clip_id: str) -> StoredClip:
        """Take a clip back out of the trash."""
        return studio_of().library.undelete(owner_of(request), clip_id)


def _add_files(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    @api.head("/clips/{clip_id}/file", include_in_schema=False)
    @api.get("/clips/{clip_id}/file", response_class=FileResponse)
    def file(request: Request, clip_id: str, download: bool = False) -> Response:
        """The MP4, whole or by range; ``download=1`` names it for saving."""
        studio, owner = studio_of(), owner_of(request)
        clip = studio.library.get(owner, clip_id)
        name = f"{re.sub(r'[^A-Za-z0-9._ -]+', '', clip.name)[:80].strip() or 'clip'}-{clip_id[:8]}.mp4" if download else None
        return served(request, studio.library.file(owner, clip_id), "video/mp4", name)

    @api.head("/clips/{clip_id}/thumbnail", include_in_schema=False)
    @api.get("/clips/{clip_id}/thumbnail", response_class=FileResponse)
    def thumbnail(request: Request, clip_id: str) -> Response:
        """The clip's picture for lists, or its waveform where it has only sound."""
        return served(request, studio_of().library.thumbnail(owner_of(request), clip_id), "image/webp")


def served(request: Request, path: Path, mime: str, download_as: str | None = None) -> Response:
    """A file with ranges and an ETag, private to its owner; 304 when the browser has it already."""
    headers = {"cache-control": "private, no-cache"}
    response = FileResponse(path, media_type=mime, filename=download_as, headers=headers, stat_result=path.stat())
    known = request.headers.get("if-none-match", "")
    if response.headers["etag"] in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return Response(status_code=304, headers={"etag": response.headers["etag"], **headers})
    return response
