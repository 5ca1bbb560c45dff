"""The studio from the command line: its data folder opened here, or the server that has it open, asked over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from pipelines.contract import Conflict, InvalidRequest, NotFound, StudioError
from studio.settings import Settings
from studio.storage.database import address_in
from studio.studio import Studio


class Reached(Protocol):
    """What the commands ask of a studio, wherever it runs."""

    def jobs(self, limit: int) -> list[dict[str, Any]]:
        """Jobs as the API tells them."""

    def clips(self, text: str, limit: int) -> dict[str, Any]:
        """A page of the library as the API tells it."""

    def act(self, job_id: str, verb: str) -> None:
        """``cancel`` or ``retry`` a job."""


@contextmanager
def reached(settings: Settings) -> Iterator[Reached]:
    """The studio of ``settings``. Raises what ``Studio.open`` raises when nobody can be asked instead."""
    try:
        studio = Studio.open(settings)
    except Conflict as taken:
        address = address_in(settings.data_dir)
        if address is None:
            raise
        yield _Remote(address, taken)
        return
    try:
        yield _Here(studio)
    finally:
        studio.stop()


class _Here:
    """A studio that nobody serves at the moment."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._owner = studio.settings.local_owner

    def jobs(self, limit: int) -> list[dict[str, Any]]:
        return [job.model_dump(mode="json") for job in self._studio.jobs.list(self._owner, limit=limit)]

    def clips(self, text: str, limit: int) -> dict[str, Any]:
        from studio.services.records import ClipFilter

        return self._studio.library.page(self._owner, ClipFilter(text=text), limit=limit).model_dump(mode="json")

    def act(self, job_id: str, verb: str) -> None:
        getattr(self._studio.jobs, verb)(self._owner, job_id)


class _Remote:
    """A studio that a server on this machine has open."""

    def __init__(self, address: str, taken: Conflict) -> None:
        self._root = f"{address}/api/v1"
        self._taken = taken

    def jobs(self, limit: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", f"/jobs?limit={limit}")
        return found

    def clips(self, text: str, limit: int) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("GET", f"/clips?{urllib.parse.urlencode({'text': text, 'limit': limit})}")
        return found

    def act(self, job_id: str, verb: str) -> None:
        self._ask("POST", f"/jobs/{urllib.parse.quote(job_id, safe='')}/{verb}")

    def _ask(self, method: str, path: str) -> Any:
        try:
            with urllib.request.urlopen(urllib.request.Request(self._root + path, method=method), timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise _told(error) from None
        except (OSError, ValueError):
            # Somebody holds the folder and does not answer, or is something else: the first message names the remedy.
            raise self._taken from None


def _told(error: urllib.error.HTTPError) -> StudioError:
    try:
        told = json.load(error)["error"]
    except (ValueError, KeyError, TypeError):
        return StudioError(f"what answers at {error.url} is not a studio ({error.code}): stop it, or the studio, and try again.")
    kinds: dict[int, type[StudioError]] = {404: NotFound, 409: Conflict, 422: InvalidRequest}
    return kinds.get(error.code, StudioError)(told["message"], field=told["field"])
