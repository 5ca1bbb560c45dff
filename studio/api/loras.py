"""LoRAs over HTTP: a person's files, how much they fight, and saved stacks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from pipelines import contract
from pipelines.contract import LoraUse
from studio.api.clips import served
from studio.api.media import UPLOAD, File
from studio.api.wire import body_of, json_body, parse
from studio.owners import owner_of
from studio.services.loras import LoraConflict, LoraPreset, StoredLora
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


class Stack(contract.Request):
    """LoRAs to act together."""

    uses: tuple[LoraUse, ...] = Field(min_length=1, max_length=16)
    """Which, and how strongly."""


class Loras(BaseModel):
    """A person's LoRAs, by name."""

    loras: list[StoredLora]


class Conflicts(BaseModel):
    """Every pair of some LoRAs."""

    conflicts: list[LoraConflict]


class Presets(BaseModel):
    """A person's saved stacks, by name."""

    presets: list[LoraPreset]


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes under ``/loras``."""

    @api.get("/loras")
    def stored(request: Request, model: Annotated[str | None, Query(max_length=200)] = None) -> Loras:
        """Those that came with the studio and your own; with ``model`` only those that fit it."""
        return Loras(loras=[*studio_of().loras.list(owner_of(request), model=model)])

    @api.post("/loras", status_code=201, openapi_extra=UPLOAD)
    def store(request: Request, file: File, name: Annotated[str | None, Query(max_length=200)] = None) -> StoredLora:
        """Check a safetensors file against the installed models and keep it."""
        with tempfile.TemporaryDirectory(prefix="studio-lora-") as folder:
            path = Path(folder) / file.name
            path.write_bytes(file.content)
            return studio_of().loras.add(owner_of(request), path, name=name)

    @api.get("/loras/conflicts")
    def conflicts(request: Request, lora: Annotated[list[str], Query(min_length=1, max_length=16)]) -> Conflicts:
        """How much LoRAs fight, pair by pair; give ``lora`` once for each."""
        return Conflicts(conflicts=[*studio_of().loras.conflicts(owner_of(request), lora)])

    _presets(api, studio_of)

    @api.get("/loras/{reference}")
    def one(request: Request, reference: str) -> StoredLora:
        """One of your LoRAs."""
        return studio_of().loras.get(owner_of(request), reference)

    @api.head("/loras/{reference}/preview", include_in_schema=False)
    @api.get("/loras/{reference}/preview", response_class=FileResponse)
    def preview(request: Request, reference: str) -> Response:
        """The clip that shows a LoRA which came with the studio."""
        return served(request, studio_of().loras.preview(reference), "video/mp4")

    @api.delete("/loras/{reference}", status_code=204)
    def remove(request: Request, reference: str) -> None:
        """Let go of a LoRA; 403 for one that came with the studio."""
        studio_of().loras.remove(owner_of(request), reference)


def _presets(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    @api.get("/loras/presets")
    def presets(request: Request) -> Presets:
        """Your saved stacks."""
        return Presets(presets=[*studio_of().loras.presets(owner_of(request))])

    @api.put("/loras/presets/{name}", openapi_extra=body_of(Stack))
    def save(request: Request, name: str, body: JSON) -> LoraPreset:
        """Save a stack, in the place of one of that name."""
        preset = parse(Named, {"name": name, "uses": parse(Stack, body).uses})
        return studio_of().loras.save_preset(owner_of(request), LoraPreset(name=preset.name, uses=preset.uses))

    @api.delete("/loras/presets/{name}", status_code=204)
    def forget(request: Request, name: str) -> None:
        """Forget a saved stack."""
        studio_of().loras.remove_preset(owner_of(request), name)


class Named(Stack):
    """A stack with its name."""

    name: str = Field(min_length=1, max_length=80)
    """What it is called."""
