"""Uploads: images that clips start from, and finished clips to take the settings back out of."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from pipelines.contract import AnyRequest, InvalidRequest
from studio.api.clips import served
from studio.owners import owner_of
from studio.studio import Studio

_MULTIPART = {"file": {"type": "string", "format": "binary"}}
UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": _MULTIPART, "required": ["file"]}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class StoredImage(BaseModel):
    """An image that is now the studio's own."""

    reference: str
    """What ``first_frame``, ``last_frame`` and ``references`` of a request take, and the images of edits."""


class Restored(BaseModel):
    """What a clip was made of."""

    request: AnyRequest


@dataclass(frozen=True)
class Upload:
    """One uploaded file."""

    name: str
    content: bytes


async def uploaded(request: Request) -> Upload:
    """The one file of the body, as multipart form data or as the body itself. Raises ``InvalidRequest``."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        content, name = await request.body(), "upload"
    else:
        try:
            async with request.form(max_files=1, max_fields=10) as form:
                part = next((value for value in form.values() if isinstance(value, UploadFile)), None)
                if part is None:
                    raise InvalidRequest("file is missing; send it as the form field 'file'.", field="file")
                content, name = await part.read(), part.filename or "upload"
        except HTTPException as error:
            raise InvalidRequest(
                f"file cannot be read ({error.detail}); send one file as the form field 'file'.", field="file"
            ) from None
    if not content:
        raise InvalidRequest("file is empty; choose another one.", field="file")
    return Upload(re.sub(r"[^\w.-]+", "_", Path(name).name)[-80:].lstrip(".") or "upload", content)


File = Annotated[Upload, Depends(uploaded)]


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes ``/media`` and ``/restore``."""

    @api.post("/media", status_code=201, openapi_extra=UPLOAD)
    def store(request: Request, file: File) -> StoredImage:
        """Store a PNG, JPEG or WebP image to start clips from."""
        return StoredImage(reference=studio_of().media.add_image(owner_of(request), file.content))

    @api.head("/media/{reference}", include_in_schema=False)
    @api.get("/media/{reference}", response_class=FileResponse)
    def image(request: Request, reference: str) -> Response:
        """A stored image, as PNG."""
        return served(request, studio_of().media.path(owner_of(request), reference), "image/png")

    @api.post("/restore", openapi_extra=UPLOAD)
    def restore(request: Request, file: File) -> Restored:
        """The complete request inside an MP4 that a studio made; images in it are stored for you."""
        with tempfile.TemporaryDirectory(prefix="studio-restore-") as folder:
            path = Path(folder) / file.name
            path.write_bytes(file.content)
            return Restored(request=studio_of().library.restore(owner_of(request), path))
