"""Grids from the command line: made by a worker of this process, or asked of the server that has the data folder open."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import AbstractContextManager
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from pipelines.contract import Conflict
from studio.reach import opened, told
from studio.settings import Settings
from studio.studio import Studio

Told = dict[str, Any]
"""A record as the API tells it."""
_PATIENCE_S = 120


class ReachedGrids(Protocol):
    """What ``grid`` asks of a studio, wherever it runs."""

    def loras(self) -> list[Told]:
        """The LoRAs that it has."""

    def plan(self, asked: Told) -> Told:
        """What a grid would be."""

    def submit(self, asked: Told) -> Told:
        """The grid, queued and worked on."""

    def grid(self, grid_id: str, best: str | None) -> Told:
        """The grid as it is now."""

    def cancel(self, grid_id: str) -> None:
        """Stop what is left of it."""

    def keep_best(self, grid_id: str, name: str) -> Told:
        """The grid with its best clip marked."""

    def sheet(self, grid_id: str, best: str | None) -> bytes:
        """The grid as a PNG."""

    def file(self, clip_id: str) -> bytes:
        """The MP4 of a clip."""

    def is_paused(self) -> bool:
        """Whether nothing is begun."""


def grids_reached(settings: Settings) -> AbstractContextManager[ReachedGrids]:
    """The grids of ``settings``' studio. Raises what ``opened`` raises."""
    return opened(settings, _Here, _Remote)


class _Here:
    """A studio that nobody serves at the moment; its workers start with the first grid."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._owner = studio.settings.local_owner

    def loras(self) -> list[Told]:
        return [lora.model_dump(mode="json") for lora in self._studio.loras.list(self._owner)]

    def plan(self, asked: Told) -> Told:
        return self._studio.grids.plan(self._owner, _request(asked)).model_dump(mode="json")

    def submit(self, asked: Told) -> Told:
        made = self._studio.grids.submit(self._owner, _request(asked))
        self._studio.start()
        return made.model_dump(mode="json")

    def grid(self, grid_id: str, best: str | None) -> Told:
        return self._studio.grids.get(self._owner, grid_id, best).model_dump(mode="json")

    def cancel(self, grid_id: str) -> None:
        self._studio.grids.cancel(self._owner, grid_id)

    def keep_best(self, grid_id: str, name: str) -> Told:
        return self._studio.grids.keep_best(self._owner, grid_id, name).model_dump(mode="json")

    def sheet(self, grid_id: str, best: str | None) -> bytes:
        return self._studio.grids.sheet(self._owner, grid_id, best)

    def file(self, clip_id: str) -> bytes:
        return self._studio.library.file(self._owner, clip_id).read_bytes()

    def is_paused(self) -> bool:
        return self._studio.jobs.is_paused


class _Remote:
    """A studio that a server on this machine has open."""

    def __init__(self, address: str, taken: Conflict) -> None:
        self._root = f"{address}/api/v1"
        self._taken = taken

    def loras(self) -> list[Told]:
        found: list[Told] = self._tell("GET", "/loras")["loras"]
        return found

    def plan(self, asked: Told) -> Told:
        return self._tell("POST", "/grids/plan", asked)

    def submit(self, asked: Told) -> Told:
        return self._tell("POST", "/grids", asked)

    def grid(self, grid_id: str, best: str | None) -> Told:
        return self._tell("GET", f"/grids/{quote(grid_id, safe='')}{_query(best)}")

    def cancel(self, grid_id: str) -> None:
        self._tell("POST", f"/grids/{quote(grid_id, safe='')}/cancel", {})

    def keep_best(self, grid_id: str, name: str) -> Told:
        return self._tell("POST", f"/grids/{quote(grid_id, safe='')}/best", {"best": name})

    def sheet(self, grid_id: str, best: str | None) -> bytes:
        return self._asked("GET", f"/grids/{quote(grid_id, safe='')}/sheet{_query(best)}")

    def file(self, clip_id: str) -> bytes:
        return self._asked("GET", f"/clips/{quote(clip_id, safe='')}/file")

    def is_paused(self) -> bool:
        return bool(self._tell("GET", "/queue")["paused"])

    def _tell(self, method: str, path: str, body: Told | None = None) -> Told:
        answer: Told = json.loads(self._asked(method, path, body))
        return answer

    def _asked(self, method: str, path: str, body: Told | None = None) -> bytes:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, content, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
                whole: bytes = answer.read()
                return whole
        except urllib.error.HTTPError as error:
            raise told(error) from None
        except OSError:
            # Somebody holds the folder and does not answer, or is something else: the first message names the remedy.
            raise self._taken from None


def _request(asked: Told) -> Any:
    from pydantic import ValidationError

    from pipelines.contract import invalid_request
    from studio.services.axes import GridRequest

    try:
        return GridRequest.model_validate(asked)
    except ValidationError as error:
        raise invalid_request(error) from None


def _query(best: str | None) -> str:
    return "" if best is None else f"?{urlencode({'best': best})}"
