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
_LONGEST_READING_S = 3600


class ReachedModels(Protocol):
    """What ``models`` asks of a studio, wherever it runs."""

    def state(self, model: str) -> Told:
        """What of it is here, and whether it fits."""

    def verify(self, model: str) -> Told:
        """What the look through its files found."""


def models_reached(settings: Settings) -> AbstractContextManager[ReachedModels]:
    """The models of ``settings``' studio. Raises what ``opened`` raises."""
    return opened(settings, _Here, _Remote)


class _Here:
    """A studio that nobody serves at the moment."""

    def __init__(self, studio: Studio) -> None:
        self._models = studio.models

    def state(self, model: str) -> Told:
        return self._models.state(model).model_dump(mode="json")

    def verify(self, model: str) -> Told:
        return self._models.verify(model).model_dump(mode="json")


class _Remote:
    """A studio that a server on this machine has open."""

    def __init__(self, address: str, taken: Conflict) -> None:
        self._root = f"{address}/api/v1/models"
        self._taken = taken

    def state(self, model: str) -> Told:
        return self._ask("GET", f"/{quote(model, safe='')}/state")

    def verify(self, model: str) -> Told:
        return self._ask("POST", f"/{quote(model, safe='')}/verify")

    def _ask(self, method: str, path: str) -> Told:
        request = urllib.request.Request(self._root + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_LONGEST_READING_S) as response:
                found: Told = json.load(response)
                return found
        except urllib.error.HTTPError as error:
            raise told(error) from None
        except OSError:
            raise self._taken from None
