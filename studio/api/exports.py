"""Exports over HTTP: a clip as WebM, GIF, PNG pictures, WAV or H.265."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from studio.owners import owner_of
from studio.studio import Studio


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The route ``/clips/{clip_id}/export``."""

    @api.get("/clips/{clip_id}/export", response_class=StreamingResponse)
    def export(
        request: Request,
        clip_id: str,
        format: Annotated[str, Query(description="webm, gif, png (a ZIP of pictures), wav, webm-av1 or mp4-hevc", max_length=40)],
    ) -> StreamingResponse:
        """The clip as another kind of file, made now; what does not fit the clip is refused in one sentence."""
        made = studio_of().exports.make(owner_of(request), clip_id, format)
        headers = {
            "content-length": str(made.size_bytes),
            "content-disposition": f'attachment; filename="{made.name}"',
            "cache-control": "private, no-store",
        }
        return StreamingResponse(made.pieces(), media_type=made.mime, headers=headers)
