"""The studio from the command line: its data folder opened here, or the server that has it open, asked over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from pipelines.contract import Conflict, InvalidRequest, NotFound, StudioError, TooLarge, invalid_request, parse_generation
from studio.services.loras import LoraPreset
from studio.settings import Settings
from studio.storage.database import address_in
from studio.studio import Studio

_LONGEST_IMPORT_S = 1200  # others may be converting before it


class Reached(Protocol):
    """What the commands ask of a studio, wherever it runs."""

    def jobs(self, limit: int) -> list[dict[str, Any]]:
        """Jobs as the API tells them."""

    def clips(self, text: str, limit: int) -> dict[str, Any]:
        """A page of the library as the API tells it."""

    def act(self, job_id: str, verb: str) -> None:
        """``cancel`` or ``retry`` a job."""

    def import_video(self, path: Path, prompt: str | None, model: str | None) -> dict[str, Any]:
        """Make a clip of a file; the clip and its notices as the API tells them."""

    def forecast(self, body: dict[str, Any]) -> dict[str, Any]:
        """What a request will take of the memory, as the API tells it."""

    def loras(self) -> list[dict[str, Any]]:
        """The LoRAs as the API tells them."""

    def import_lora(self, path: Path) -> dict[str, Any]:
        """Keep a copy of a LoRA file; the new one as the API tells it."""

    def remove_lora(self, reference: str) -> None:
        """Let go of a LoRA."""

    def stacks(self) -> list[dict[str, Any]]:
        """The saved stacks of LoRAs as the API tells them."""

    def save_stack(self, name: str, uses: list[dict[str, Any]]) -> dict[str, Any]:
        """Save a stack, in the place of one of that name; as the API tells it."""

    def remove_stack(self, name: str) -> None:
        """Forget a saved stack."""


Way = TypeVar("Way")


@contextmanager
def opened(settings: Settings, here: Callable[[Studio], Way], remote: Callable[[str, Conflict], Way]) -> Iterator[Way]:
    """The studio of ``settings`` ``here``, or the server that has its folder, by its address.

    Raises what ``Studio.open`` raises when nobody can be asked instead.
    """
    try:
        studio = Studio.open(settings)
    except Conflict as taken:
        address = address_in(settings.data_dir)
        if address is None:
            raise
        yield remote(address, taken)
        return
    try:
        yield here(studio)
    finally:
        studio.stop()


def reached(settings: Settings) -> AbstractContextManager[Reached]:
    """The studio of ``settings``. Raises what ``opened`` raises."""
    return opened(settings, _Here, _Remote)


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

    def import_video(self, path: Path, prompt: str | None, model: str | None) -> dict[str, Any]:
        from studio.services.uploads import Upload

        return self._studio.uploads.add(self._owner, Upload(path, path.name, prompt, model)).model_dump(mode="json")

    def forecast(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._studio.forecasts.of(parse_generation(body)).model_dump(mode="json")

    def loras(self) -> list[dict[str, Any]]:
        return [lora.model_dump(mode="json") for lora in self._studio.loras.list(self._owner)]

    def import_lora(self, path: Path) -> dict[str, Any]:
        return self._studio.loras.add(self._owner, path).model_dump(mode="json")

    def remove_lora(self, reference: str) -> None:
        self._studio.loras.remove(self._owner, reference)

    def stacks(self) -> list[dict[str, Any]]:
        return [preset.model_dump(mode="json") for preset in self._studio.loras.presets(self._owner)]

    def save_stack(self, name: str, uses: list[dict[str, Any]]) -> dict[str, Any]:
        try:
            preset = LoraPreset.model_validate({"name": name, "uses": uses})
        except ValidationError as error:
            raise invalid_request(error) from None
        return self._studio.loras.save_preset(self._owner, preset).model_dump(mode="json")

    def remove_stack(self, name: str) -> None:
        self._studio.loras.remove_preset(self._owner, name)


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

    def import_video(self, path: Path, prompt: str | None, model: str | None) -> dict[str, Any]:
        given = {"name": path.name[-255:], "prompt": prompt, "model": model}
        query = urllib.parse.urlencode({name: text for name, text in given.items() if text})
        with path.open("rb") as stream:
            headers = {"content-type": "application/octet-stream", "content-length": str(path.stat().st_size)}
            request = urllib.request.Request(f"{self._root}/videos?{query}", stream, headers, method="POST")
            imported: dict[str, Any] = self._answer(request, timeout_s=_LONGEST_IMPORT_S)
        return imported

    def forecast(self, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self._root}/forecast", json.dumps(body).encode(), headers, method="POST")
        told: dict[str, Any] = self._answer(request)
        return told

    def loras(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", "/loras")["loras"]
        return found

    def import_lora(self, path: Path) -> dict[str, Any]:
        kept: dict[str, Any] = self._ask(
            "POST", f"/loras?{urllib.parse.urlencode({'name': path.stem[:80]})}", content=path.read_bytes()
        )
        return kept

    def remove_lora(self, reference: str) -> None:
        self._ask("DELETE", f"/loras/{urllib.parse.quote(reference, safe='')}")

    def stacks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", "/loras/presets")["presets"]
        return found

    def save_stack(self, name: str, uses: list[dict[str, Any]]) -> dict[str, Any]:
        path = f"/loras/presets/{urllib.parse.quote(name, safe='')}"
        saved: dict[str, Any] = self._ask("PUT", path, json.dumps({"uses": uses}).encode(), kind="application/json")
        return saved

    def remove_stack(self, name: str) -> None:
        self._ask("DELETE", f"/loras/presets/{urllib.parse.quote(name, safe='')}")

    def _ask(self, method: str, path: str, content: bytes | None = None, kind: str = "application/octet-stream") -> Any:
        headers = {} if content is None else {"content-type": kind}
        return self._answer(urllib.request.Request(self._root + path, content, headers, method=method))

    def _answer(self, request: urllib.request.Request, timeout_s: float = 30) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                return None if response.status == 204 else json.load(response)
        except urllib.error.HTTPError as error:
            raise told(error) from None
        except (OSError, ValueError):
            # Somebody holds the folder and does not answer, or is something else: the first message names the remedy.
            raise self._taken from None


def told(error: urllib.error.HTTPError) -> StudioError:
    """What a studio answered instead, as the failure that it is."""
    try:
        fault = json.load(error)["error"]
    except (ValueError, KeyError, TypeError):
        return StudioError(f"what answers at {error.url} is not a studio ({error.code}): stop it, or the studio, and try again.")
    kinds: dict[int, type[StudioError]] = {404: NotFound, 409: Conflict, 413: TooLarge, 422: InvalidRequest}
    return kinds.get(error.code, StudioError)(fault["message"], field=fault["field"])
