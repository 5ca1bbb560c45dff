"""The guard at the front door: in front of our API and of everything that gradio serves.

A studio on a person's machine is reachable by every page that they open in the same browser. So: no cross-origin
requests, no foreign host names (DNS rebinding), no body without an end, and of gradio's own endpoints only those that
the page uses.
"""

from __future__ import annotations

import json
import os
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.contract import NotAllowed, NotFound, StudioError, TooLarge
from studio.owners import host_name
from studio.settings import Settings

MAX_JSON_BYTES = 2 * 1024**2
_MULTIPART_SLACK_BYTES = 64 * 1024
_DRAIN_LIMIT_BYTES = 1024**3
_UPLOADS = ("/api/v1/media", "/api/v1/restore")
_VIDEOS = "/api/v1/videos"
_PROJECTS = "/api/v1/projects/import"
# What gradio's page calls. Left out on purpose: cancel and reset (they act on any session that is named),
# stream, call and proxy, deep links, recordings, run history, monitoring and everything for developers.
_GRADIO_API = re.compile(
    r"/gradio_api/(run/[^/]+|queue/(join|data)|file=.+|heartbeat/[^/]+|startup-events"
    r"|component_server|info|app_id|theme\.css|user|login_check)/?"
)
_GRADIO_CLOSED = re.compile(r"/(gradio_api/.*|monitoring(/.*)?|svelte/.*)")


def error_body(error: StudioError) -> dict[str, object]:
    """What every failure looks like on the wire: one sentence, the field it is about, the status."""
    return {"error": {"message": error.message, "field": error.field, "status": error.status}}


class FrontDoor:
    """ASGI middleware that lets in only what belongs here; outermost, so that nothing inside can undo it."""

    def __init__(self, app: ASGIApp, settings: Settings, *, shared: bool = False) -> None:
        self._app = app
        self._settings = settings
        # Behind a tunnel, a Space's proxy or a published port the name that people type is not ours to know.
        bound_here = settings.host in ("127.0.0.1", "localhost", "::1")
        self._hosts = {"localhost", "127.0.0.1", "::1"} if bound_here and not shared and not settings.is_space else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with one sentence, or pass the request on with a bounded body and safe response headers."""
        match scope["type"]:
            case "lifespan":
                await self._app(scope, receive, send)
            case "http":
                headers = Headers(scope=scope)
                try:
                    self._check_host(headers)
                    self._check_origin(scope["method"], headers)
                    _check_path(scope["path"])
                except StudioError as refusal:
                    await _refuse(refusal, send)
                else:
                    await self._pass_on(scope, headers, receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1008})

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._hosts is not None and host_name(host) not in self._hosts:
            shown = host[:60]
            raise NotAllowed(
                f"host is {shown!r}; open the studio at http://127.0.0.1:{self._settings.port} "
                "(or set STUDIO_HOST to let others in).",
                field="host",
            )

    def _check_origin(self, method: str, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is not None:
            if urlsplit(origin).netloc.lower() in self._own_names(headers):
                return
            raise NotAllowed(f"origin is {origin[:60]!r}; the studio answers only to its own pages.", field="origin")
        navigates = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not navigates:
            raise NotAllowed("origin is another site; the studio answers only to its own pages.", field="origin")

    def _own_names(self, headers: Headers) -> set[str]:
        names = {headers.get("host", "").lower()}
        if self._settings.is_space:
            names |= {headers.get("x-forwarded-host", "").lower(), *os.environ.get("SPACE_HOST", "").lower().split(",")}
        return names - {""}

    def _limit(self, path: str) -> int:
        if path.rstrip("/") == _VIDEOS:
            return self._settings.max_video_bytes + _MULTIPART_SLACK_BYTES
        if path.rstrip("/") in _UPLOADS:
            return self._settings.max_upload_bytes + _MULTIPART_SLACK_BYTES
        return self._settings.max_project_bytes if path.rstrip("/") == _PROJECTS else MAX_JSON_BYTES

    async def _pass_on(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        limit = self._limit(scope["path"])
        too_large = TooLarge(f"body is larger than {limit / 1024**2:.0f} MB; send less.", field="body")
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limit:
            await _drain(receive)
            await _refuse(too_large, send)
            return
        taken, more, started = 0, True, False

        async def counted() -> Message:
            nonlocal taken, more
            message = await receive()
            taken += len(message.get("body", b""))
            more = bool(message.get("more_body", False))
            if taken > limit:
                raise too_large
            return message

        async def guarded(message: Message) -> None:
            nonlocal started
            if taken > limit and not started:
                return  # whatever the app makes of its broken body: the answer is ours
            if message["type"] == "http.response.start":
                started = True
                self._secure(message)
            await send(message)

        try:
            await self._app(scope, counted, guarded)
        except TooLarge:
            if started:
                raise
        if taken > limit and not started:
            if more:
                await _drain(receive)
            await _refuse(too_large, send)

    def _secure(self, message: Message) -> None:
        headers = MutableHeaders(raw=message.setdefault("headers", []))
        for name in [name for name in headers if name.lower().startswith("access-control-")]:
            del headers[name]
        frames = (
            "'self' https://huggingface.co https://*.huggingface.co https://*.hf.space" if self._settings.is_space else "'self'"
        )
        headers["x-content-type-options"] = "nosniff"
        headers["referrer-policy"] = "same-origin"
        headers["content-security-policy"] = f"frame-ancestors {frames}"
        headers["cross-origin-resource-policy"] = "same-origin"


def _check_path(path: str) -> None:
    if _GRADIO_CLOSED.fullmatch(path) and not _GRADIO_API.fullmatch(path):
        raise NotFound("there is no such page here; the API is described at /docs.", field="path")


async def _drain(receive: Receive) -> None:
    """Read the rest of a refused body, so that the client gets to read why instead of a reset connection."""
    dropped, more = 0, True
    while more and dropped < _DRAIN_LIMIT_BYTES:
        message = await receive()
        dropped += len(message.get("body", b""))
        more = bool(message.get("more_body", False))


async def _refuse(error: StudioError, send: Send) -> None:
    body = json.dumps(error_body(error)).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
