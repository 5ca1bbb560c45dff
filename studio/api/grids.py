"""Grids over HTTP: hand one in, look at it, keep its best clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from pipelines import contract
from studio.api.wire import body_of, json_body, parse
from studio.owners import owner_of
from studio.services.grids import Grid, GridRequest
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


class Best(contract.Request):
    """By what the best clip is chosen."""

    best: str
    """A measurement of ``/metrics``, such as ``semantic.match``."""


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes under ``/grids``."""

    @api.post("/grids", status_code=202, openapi_extra=body_of(GridRequest))
    def submit(request: Request, body: JSON) -> Grid:
        """Queue one clip for every combination of one or two settings' values, all of them or none."""
        return studio_of().grids.submit(owner_of(request), parse(GridRequest, body))

    @api.get("/grids/{group_id}")
    def one(request: Request, group_id: str, best: str | None = None) -> Grid:
        """A grid as it is now, with its best clip by a measurement."""
        return studio_of().grids.get(owner_of(request), group_id, best)

    @api.post("/grids/{group_id}/best", openapi_extra=body_of(Best))
    def keep_best(request: Request, group_id: str, body: JSON) -> Grid:
        """Make the best clip of a finished grid a favourite."""
        return studio_of().grids.keep_best(owner_of(request), group_id, parse(Best, body).best)
