"""What a request will take of the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends

from pipelines.contract import GenerationRequest, parse_generation
from studio.api.wire import body_of, json_body
from studio.services.records import MemoryForecast
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The route ``/forecast``."""

    @api.post("/forecast", openapi_extra=body_of(GenerationRequest))
    def forecast(body: JSON) -> MemoryForecast:
        """The peak of each stage against what is free, and the cheapest change that fits; nothing is made or kept."""
        return studio_of().forecasts.of(parse_generation(body))
