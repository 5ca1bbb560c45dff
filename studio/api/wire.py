"""What crosses the wire: bodies read within bounds, and every failure told as one sentence with its field and status."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import ValidationError

from pipelines import contract
from pipelines.contract import InvalidRequest, StudioError
from studio.front import error_body

log = logging.getLogger("studio.api")
Body = TypeVar("Body", bound=contract.Request)


class WrongContentType(StudioError):
    """The body is not of a kind that this route reads."""

    status = 415


class WrongMethod(StudioError):
    """The path exists, but not for this method."""

    status = 405


class Unexpected(StudioError):
    """A fault of the studio itself; its traceback is in the log."""

    status = 500


class PlainRoute(APIRoute):
    """A route whose failures leave as ``{"error": {"message", "field", "status"}}``, whatever app it is part of."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handling with our words for what goes wrong."""
        handle = super().get_route_handler()

        async def plain(request: Request) -> Response:
            try:
                return await handle(request)
            except StudioError as error:
                return refusal(error)
            except RequestValidationError as error:
                return refusal(_first_fault(error))
            except HTTPException as error:
                return refusal(InvalidRequest(f"request cannot be read ({error.detail}); see /docs.", field="body"))
            except Exception:
                log.exception("%s %s failed", request.method, request.url.path)
                return refusal(Unexpected("something broke inside the studio; try again, and see its log if it stays."))

        return plain


def refusal(error: StudioError) -> JSONResponse:
    """The response that says ``error``."""
    return JSONResponse(error_body(error), error.status, headers={"cache-control": "no-store"})


class _Faults:
    """FastAPI's report of a bad query or header, without the part of the request that it prefixes to the field."""

    def __init__(self, report: RequestValidationError) -> None:
        self._report = report

    def errors(self, *, include_url: bool) -> list[dict[str, Any]]:
        """As ``ValidationError.errors``."""
        return [{**fault, "loc": tuple(fault["loc"])[1:]} for fault in self._report.errors()]


def _first_fault(report: RequestValidationError) -> InvalidRequest:
    return contract.invalid_request(cast(ValidationError, _Faults(report)))


async def json_body(request: Request) -> object:
    """The JSON value of the body. Raises ``WrongContentType`` or ``InvalidRequest``."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise WrongContentType(f"content-type is {kind[:60]!r}; send application/json.", field="content-type")
    content = await request.body()
    if not content.strip():
        raise InvalidRequest("body is empty; send a JSON object.", field="body")
    try:
        value = json.loads(content)
    except RecursionError:
        raise InvalidRequest("body is nested too deeply; send a flat JSON object.", field="body") from None
    except ValueError as error:
        raise InvalidRequest(f"body is not valid JSON ({str(error)[:80]}); check it and send it again.", field="body") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"body is a JSON {type(value).__name__}; send a JSON object.", field="body")
    return value


def parse(model: type[Body], value: object) -> Body:
    """``value`` as a ``model``; raises ``InvalidRequest`` with one sentence that names the field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise contract.invalid_request(error) from None


def body_of(model: type[Any]) -> dict[str, Any]:
    """The OpenAPI description of a JSON body that a route reads itself."""
    schema = model.model_json_schema(mode="validation")
    whole = _inlined(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": whole}}}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """``schema`` with every reference replaced by what it refers to."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    named = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else {}
    return {name: _inlined(part, definitions) for name, part in {**named, **schema}.items() if name != "$ref"}
