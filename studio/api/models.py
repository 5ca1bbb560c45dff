"""What the models of this studio can do, what of them is on its machine, and whether their files are whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from pipelines import contract
from pipelines.contract import NotAllowed
from pipelines.registry import ModelSpec
from studio.api.wire import body_of, json_body, parse
from studio.owners import owner_of
from studio.services.installs import Install
from studio.services.models import DefaultModel, ModelState
from studio.services.removals import Removed
from studio.services.verifications import Verification
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


class Consent(contract.Request):
    """What has to be agreed to before a model is fetched."""

    accept_licence: bool
    """That you accept the model's licence."""


class Choice(contract.Request):
    """The model that new forms start with."""

    model: str = Field(min_length=1, max_length=200)


class ModelCard(BaseModel):
    """One model: its grid of sizes, what its makers recommend, and prompts to try."""

    id: str
    title: str
    description: str
    licence: str
    is_local: bool
    """Whether its weights are on this machine already."""
    frame_multiple: int
    """Frame counts are this times k, plus ``frame_offset``."""
    frame_offset: int
    min_frames: int
    """Shorter clips are not made."""
    pixel_multiple: int
    """Height and width are multiples of this."""
    min_side: int
    max_side: int
    max_frames: int
    frame_rates: tuple[float, float]
    """Slowest and fastest, in frames a second."""
    upscale_factors: tuple[int, ...]
    """How many times as wide and high its clips can be made."""
    stages: tuple[int, ...]
    """In how many stages its clips can be denoised."""
    is_silent: bool
    """Whether its clips have no sound."""
    is_for_sound: bool
    """Whether it makes sound alone: clips without a picture, and dubs of others."""
    edits: bool
    """Whether it makes parts of a clip anew that fit the rest."""
    begins_with: tuple[str, ...]
    """What a clip can begin with: ``words``, ``first_frame``, ``references``."""
    takes_last_frame: bool
    """Whether a clip can come to a given picture."""
    references: dict[str, int | bool | tuple[str, ...]]
    """How many ``images`` and ``clips`` it can be shown at the most, whether that takes a LoRA, whether there must be any,
    and what each clip is for (``roles``), where that is told by their order."""
    has_vocabulary: bool
    """Whether it knows certain words only: ``/models/{id}/words`` lists them."""
    download_bytes: int
    memory_bytes: int
    defaults: dict[str, Any]
    examples: tuple[str, ...]


def card(spec: ModelSpec) -> ModelCard:
    """What people may know about ``spec``; where its files lie stays inside."""
    plain = {name: getattr(spec, name) for name in ModelCard.model_fields if name not in ("defaults", "references")}
    return ModelCard(**plain, defaults=asdict(spec.defaults), references=asdict(spec.references))


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes ``/models`` and those under ``/models/{id}`` but its words."""

    @api.get("/models")
    def models() -> list[ModelCard]:
        """Every model that requests can name."""
        return [card(spec) for spec in studio_of().catalogue]

    @api.get("/models/{model}/state")
    def state(request: Request, model: str) -> ModelState:
        """What of a model is on this machine, and whether a clip of its own settings fits; guests are told no folder, no disk."""
        studio = studio_of()
        found = studio.models.state(model)
        withheld = {"folder": None, "disk_free_bytes": None, "may_verify": False}
        return found if _is_owner(studio, request) else found.model_copy(update=withheld)

    @api.get("/models/default")
    def default() -> DefaultModel:
        """The model that a new form starts with."""
        return studio_of().models.default()

    @api.put("/models/default", openapi_extra=body_of(Choice))
    def choose(request: Request, body: JSON) -> DefaultModel:
        """Let new forms start with another model, from now on."""
        choice = parse(Choice, body)
        return for_the_owner(studio_of(), request).models.set_default(choice.model)

    @api.delete("/models/{model}")
    def remove(request: Request, model: str, sure: bool = False) -> Removed:
        """Delete the files of a model of the hub; ``sure`` has to be true."""
        return for_the_owner(studio_of(), request).removals.remove(model, is_sure=sure)

    @api.get("/models/{model}/verify")
    def verification(model: str) -> Verification | None:
        """How the latest look through a model's files stands; ``null`` where there was none."""
        return studio_of().verifications.get(studio_of().catalogue.get(model).id)

    @api.post("/models/{model}/verify", status_code=202)
    def verify(request: Request, model: str) -> Verification:
        """Begin to read the files of a model and compare their sha256, one model at a time."""
        return for_the_owner(studio_of(), request).verifications.start(model)

    @api.post("/models/{model}/verify/cancel")
    def stop(request: Request, model: str) -> Verification:
        """Stop reading."""
        return for_the_owner(studio_of(), request).verifications.cancel(model)

    @api.get("/models/{model}/install")
    def installation(request: Request, model: str) -> Install | None:
        """How the latest installation of a model stands; ``null`` where there was none. Guests are not told why it failed."""
        studio = studio_of()
        found = studio.installs.get(studio.catalogue.get(model).id)
        return found if found is None or _is_owner(studio, request) else found.model_copy(update={"fault": None})

    @api.post("/models/{model}/install", status_code=202, openapi_extra=body_of(Consent))
    def install(request: Request, model: str, body: JSON) -> Install:
        """Fetch a model from the hub, or go on with that."""
        consent = parse(Consent, body)
        return for_the_owner(studio_of(), request).installs.start(model, accepts_licence=consent.accept_licence)

    @api.post("/models/{model}/install/cancel")
    def cancel(request: Request, model: str) -> Install:
        """Stop fetching; what was fetched stays, and installing again goes on from it."""
        return for_the_owner(studio_of(), request).installs.cancel(model)


def for_the_owner(studio: Studio, request: Request) -> Studio:
    """``studio``, where its owner asks. Raises ``NotAllowed`` for guests."""
    if not _is_owner(studio, request):
        raise NotAllowed(
            "model is shared with others here; only the studio's owner can look for, verify, install, remove or choose it.",
            field="model",
        )
    return studio


def _is_owner(studio: Studio, request: Request) -> bool:
    return owner_of(request) == studio.settings.local_owner
