"""What lies in other programs' model folders, for the studio's owner: looked through, and LoRAs kept from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from pipelines import contract
from pipelines.contract import InvalidRequest
from studio.api.models import for_the_owner
from studio.api.wire import body_of, json_body, parse
from studio.owners import owner_of
from studio.services.loras import StoredLora
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


class FoundWeights(BaseModel):
    """A file of weights, or a folder in diffusers layout."""

    path: str
    kind: str
    """transformer, LoRA, VAE, text encoder, model folder, unknown or refused."""
    family: str
    size_bytes: int
    models: tuple[str, ...]
    """Ids of the models here that it fits."""
    use: str
    """What can be done with it: a setting, a command, or why nothing."""


class FoundFolder(BaseModel):
    """Everything below some folders that holds weights."""

    folders: tuple[str, ...]
    found: list[FoundWeights]


class OnDisk(contract.Request):
    """A file of the machine that the studio runs on."""

    path: str = Field(min_length=1, max_length=4096)
    """Where it lies."""


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes ``/models/found`` and ``/loras/found``."""

    @api.get("/models/found")
    def look(request: Request, folder: Annotated[str | None, Query(max_length=4096)] = None) -> FoundFolder:
        """Look through a folder of this machine, or through those of STUDIO_MODEL_FOLDERS; only headers are read."""
        from pipelines.checkpoints.scan import scan

        studio = for_the_owner(studio_of(), request)
        folders = [Path(folder)] if folder else [*studio.settings.model_folders]
        if not folders:
            raise InvalidRequest("folder is not given: name one, or set STUDIO_MODEL_FOLDERS.", field="folder")
        found = [each for one in folders for each in scan(one, studio.catalogue)]
        return FoundFolder(
            folders=tuple(str(one) for one in folders),
            found=[FoundWeights.model_validate(asdict(each) | {"path": str(each.path)}) for each in found],
        )

    @api.post("/loras/found", status_code=201, openapi_extra=body_of(OnDisk))
    def keep(request: Request, body: JSON) -> StoredLora:
        """Check a LoRA file of this machine and keep a copy of it."""
        studio = for_the_owner(studio_of(), request)
        path = Path(parse(OnDisk, body).path).expanduser()
        if not path.is_file():
            raise InvalidRequest(f"path {str(path)[:200]} is no file; look through its folder again.", field="path")
        return studio.loras.add(owner_of(request), path)
