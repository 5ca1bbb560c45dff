"""Somebody's video or sound file, streamed to the disk and made into a clip."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from pipelines.contract import MAX_PROMPT_CHARACTERS, InvalidRequest, StorageFull
from studio.api.media import UPLOAD
from studio.owners import owner_of
from studio.services.uploads import ImportedClip, Upload
from studio.studio import Studio

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Received:
    """A file that lies on the disk until the request is answered, and what its sender calls it."""

    path: Path
    name: str


async def received(request: Request) -> AsyncIterator[Received]:
    """The one file of the body, as multipart form data or as the body itself; it is never held in memory whole.

    Raises ``InvalidRequest``, ``TooLarge`` (of the front door) or ``StorageFull``.
    """
    with tempfile.TemporaryDirectory(prefix="studio-video-") as folder:
        path, name = Path(folder) / "upload", ""
        try:
            if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
                name = await _from_form(request, path)
            else:
                await _write(path, request.stream())
        except OSError as error:
            what = f"video could not be kept while it is read ({error.strerror})"
            raise StorageFull(f"{what}: {StorageFull.remedy(error)}.", field="video") from error
        yield Received(path, name)


async def _from_form(request: Request, path: Path) -> str:
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            part = next((value for value in form.values() if isinstance(value, UploadFile)), None)
            if part is None:
                raise InvalidRequest("video is missing; send it as the form field 'file'.", field="video")
            await _write(path, _pieces(part))
            return part.filename or ""
    except HTTPException as error:
        raise InvalidRequest(
            f"video cannot be read ({error.detail}); send one file as the form field 'file'.", field="video"
        ) from None


async def _pieces(part: UploadFile) -> AsyncIterator[bytes]:
    while piece := await part.read(_PIECE_BYTES):
        yield piece


async def _write(path: Path, pieces: AsyncIterator[bytes]) -> None:
    with path.open("wb") as stream:
        async for piece in pieces:
            await run_in_threadpool(stream.write, piece)


async def _watch(request: Request, is_gone: threading.Event) -> None:
    """Set ``is_gone`` when whoever sent the request hangs up; the body was read, so nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    is_gone.set()


File = Annotated[Received, Depends(received)]


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The route ``/videos``."""

    @api.post("/videos", status_code=201, openapi_extra=UPLOAD)
    async def take(
        request: Request,
        file: File,
        name: Annotated[str | None, Query(max_length=255)] = None,
        prompt: Annotated[str | None, Query(max_length=MAX_PROMPT_CHARACTERS)] = None,
        model: Annotated[str | None, Query(max_length=200)] = None,
    ) -> ImportedClip:
        """Make a clip of any video or sound file: ``name`` where the body has none, ``prompt`` says what it shows."""
        upload, is_gone = Upload(file.path, name or file.name, prompt, model), threading.Event()
        watcher = asyncio.create_task(_watch(request, is_gone))
        try:
            added = run_in_threadpool(studio_of().uploads.add, owner_of(request), upload, is_gone)
            return await asyncio.shield(added)  # a thread cannot be cancelled, but told when the server goes down
        finally:
            is_gone.set()
            watcher.cancel()
