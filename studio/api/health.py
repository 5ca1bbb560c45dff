"""Is it alive, and is it of use: the two questions that whatever runs the studio asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from studio.studio import Studio


def _plain(health: Any) -> dict[str, Any]:
    if isinstance(health, BaseModel):
        return health.model_dump(mode="json")
    return asdict(health) if is_dataclass(health) and not isinstance(health, type) else dict(vars(health))


def add(root: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """``/livez`` and ``/readyz``; both say nothing about anybody's things."""

    @root.get("/livez")
    def livez(response: Response) -> dict[str, Any]:
        """200 while the studio can answer at all; anything else means: start it anew."""
        live = studio_of().health().live
        response.status_code = 200 if live else 503
        response.headers["cache-control"] = "no-store"
        return {"live": live}

    @root.get("/readyz")
    def readyz(response: Response) -> dict[str, Any]:
        """200 when a job handed in now will be worked on; else what stands in the way."""
        health = studio_of().health()
        response.status_code = 200 if health.ready else 503
        response.headers["cache-control"] = "no-store"
        return _plain(health)
