"""Grids over HTTP: ask what one would be, hand it in, look at it, cancel it, keep its best clip, take it as one picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from pipelines import contract
from studio.api.wire import body_of, json_body, parse
from studio.owners import owner_of
from studio.services.axes import GridRequest
from studio.services.grids import Grid, GridPlan, GridSummary
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


class Best(contract.Request):
    """By what the best clip is chosen."""

    best: str
    """A measurement of ``/metrics``, such as ``semantic.match``."""


class Grids(contract.Request):
    """Grids, the newest first."""

    grids: tuple[GridSummary, ...]


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes under ``/grids``."""

    @api.post("/grids", status_code=202, openapi_extra=body_of(GridRequest))
    def submit(request: Request, body: JSON) -> Grid:
        """Queue one clip for every combination of one or two settings' values, all of them or none."""
        return studio_of().grids.submit(owner_of(request), parse(GridRequest, body))

    @api.post("/grids/plan", openapi_extra=body_of(GridRequest))
    def plan(request: Request, body: JSON) -> GridPlan:
        """How many clips a grid would make and about how long they take; nothing is queued."""
        return studio_of().grids.plan(owner_of(request), parse(GridRequest, body))

    @api.get("/grids")
    def listed(request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 30) -> Grids:
        """Your grids, the newest first."""
        return Grids(grids=tuple(studio_of().grids.list(owner_of(request), limit)))

    @api.get("/grids/{group_id}")
    def one(request: Request, group_id: str, best: str | None = None) -> Grid:
        """A grid as it is now, with its best clip by a measurement."""
        return studio_of().grids.get(owner_of(request), group_id, best)

    @api.post("/grids/{group_id}/best", openapi_extra=body_of(Best))
    def keep_best(request: Request, group_id: str, body: JSON) -> Grid:
        """Make the best clip of a finished grid a favourite."""
        return studio_of().grids.keep_best(owner_of(request), group_id, parse(Best, body).best)

    @api.post("/grids/{group_id}/cancel")
    def cancel(request: Request, group_id: str) -> Grid:
        """Stop every clip of a grid that is not finished."""
        return studio_of().grids.cancel(owner_of(request), group_id)

    @api.post("/grids/{group_id}/retry", status_code=202)
    def retry(request: Request, group_id: str) -> Grid:
        """Queue the clips of a grid again that failed or were cancelled."""
        return studio_of().grids.retry(owner_of(request), group_id)

    @api.get("/grids/{group_id}/sheet", response_class=Response, responses={200: {"content": {"image/png": {}}}})
    def sheet(request: Request, group_id: str, best: str | None = None) -> Response:
        """The grid as one PNG with its heads, with a measurement under each clip."""
        content = studio_of().grids.sheet(owner_of(request), group_id, best)
        headers = {
            "content-disposition": f'attachment; filename="grid-{group_id[:8]}.png"',
            "cache-control": "private, no-store",
        }
        return Response(content, media_type="image/png", headers=headers)
