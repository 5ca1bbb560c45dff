"""The studio over HTTP: the same services as the page, as thin as a tab."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import Match

from pipelines.contract import NotFound
from studio.api import (
    clips,
    edits,
    events,
    exports,
    forecasts,
    found,
    grids,
    health,
    jobs,
    loras,
    media,
    models,
    projects,
    prompts,
    quality,
    queue,
    timeline,
    videos,
    words,
)
from studio.api.wire import PlainRoute, WrongMethod
from studio.studio import Studio

PREFIX = "/api/v1"
_PARTS = (
    jobs,
    edits,
    grids,
    events,
    queue,
    clips,
    quality,
    timeline,
    exports,
    projects,
    media,
    videos,
    found,
    loras,
    models,
    forecasts,
    words,
    prompts,
)
_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def create_api(studio_of: Callable[[], Studio]) -> APIRouter:
    """Every route under ``/api/v1``, and ``/livez`` and ``/readyz`` beside it; ``studio_of`` gives the studio in use."""
    root = APIRouter(route_class=PlainRoute)
    health.add(root, studio_of)
    api = APIRouter(prefix=PREFIX, route_class=PlainRoute)
    for part in _PARTS:
        part.add(api, studio_of)
    known = [route for route in api.routes if isinstance(route, APIRoute)]

    @api.api_route("/{path:path}", methods=_ANY_METHOD, include_in_schema=False)
    def nowhere(path: str, request: Request) -> Response:
        """One sentence for an address that does not exist, or not for this method."""
        if any(route.matches(request.scope)[0] is Match.PARTIAL for route in known):
            raise WrongMethod(f"method {request.method} does not go with this address; see /docs.", field="method")
        raise NotFound("path: there is no such address in this API; see /docs.", field="path")

    root.include_router(api)
    return root
