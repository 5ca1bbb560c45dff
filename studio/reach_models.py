"""Models from the command line: looked at in this process, or asked of the server that has the data folder open."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import AbstractContextManager
from typing import Any, Protocol
from urllib.parse import quote

from pipelines.contract import Conflict
from studio.reach import opened, told
from studio.settings import Settings
from studio.studio import Studio

Told = dict[str, Any]
"""A record as the API tells it."""
_LONGEST_ANSWER_S = 600


class ReachedModels(Protocol):
    """What ``models`` asks of a studio, wherever it runs."""

    def state(self, model: str) -> Told:
        """What of it is here, and whether it fits."""

    def verify(self, model: str) -> Told:
        """Begin to look through its files."""

    def verification(self, model: str) -> Told:
        """How that stands."""

    def stop_verifying(self, model: str) -> None:
        """Stop it."""

    def remove(self, model: str, sure: bool) -> Told:
        """Delete its files."""

    def default(self) -> Told:
        """The model that new forms start with."""

    def choose(self, model: str) -> Told:
        """Make it the default."""


def models_reached(settings: Settings) -> AbstractContextManager[ReachedModels]:
    """The models of ``settings``' studio. Raises what ``opened`` raises."""
    return opened(settings, _Here, _Remote)


class _Here:
    """A studio that nobody serves at the moment."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._models = studio.models

    def state(self, model: str) -> Told:
        return self._models.state(model).model_dump(mode="json")

    def verify(self, model: str) -> Told:
        return self._studio.verifications.start(model).model_dump(mode="json")

    def verification(self, model: str) -> Told:
        found = self._studio.verifications.get(model)
        assert found is not None
        return found.model_dump(mode="json")

    def stop_verifying(self, model: str) -> None:
        self._studio.verifications.cancel(model)

    def remove(self, model: str, sure: bool) -> Told:
        return self._studio.removals.remove(model, is_sure=sure).model_dump(mode="json")

    def default(self) -> Told:
        return self._models.default().model_dump(mode="json")

    def choose(self, model: str) -> Told:
        return self._models.set_default(model).model_dump(mode="json")


class _Remote:
    """A studio that a server on this machine has open."""

    def __init__(self, address: str, taken: Conflict) -> None:
        self._root = f"{address}/api/v1/models"
        self._taken = taken

    def state(self, model: str) -> Told:
        return self._ask("GET", f"/{quote(model, safe='')}/state")

    def verify(self, model: str) -> Told:
        return self._ask("POST", f"/{quote(model, safe='')}/verify")

    def verification(self, model: str) -> Told:
        return self._ask("GET", f"/{quote(model, safe='')}/verify")

    def stop_verifying(self, model: str) -> None:
        self._ask("POST", f"/{quote(model, safe='')}/verify/cancel")

    def remove(self, model: str, sure: bool) -> Told:
        return self._ask("DELETE", f"/{quote(model, safe='')}?sure={str(sure).lower()}")

    def default(self) -> Told:
        return self._ask("GET", "/default")

    def choose(self, model: str) -> Told:
        return self._ask("PUT", "/default", {"model": model})

    def _ask(self, method: str, path: str, body: Told | None = None) -> Told:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, content, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_LONGEST_ANSWER_S) as response:
                found: Told = json.load(response)
                return found
        except urllib.error.HTTPError as error:
            raise told(error) from None
        except OSError:
            raise self._taken from None
