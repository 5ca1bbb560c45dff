"""LoRAs of every owner: checked, stored by the hash of their content, compared, and saved as stacks. Torch-free."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipelines.contract import InvalidRequest, LoraUse, NotAllowed, NotFound, StorageFull
from pipelines.lora.catalogue import ShippedLora, shipped
from pipelines.lora.conflict import conflict
from pipelines.lora.file import LoraFile, linear_layers, read_lora
from pipelines.registry import ModelCatalogue
from studio.services.records import Record, now
from studio.settings import Settings
from studio.storage import loras as table
from studio.storage.database import Database

_MAX_NAME_CHARACTERS = 80
_MAX_TRIGGERS = 32
_MAX_TRIGGER_CHARACTERS = 200
_Words = list[str]


class StoredLora(Record):
    """A LoRA that is the studio's own."""

    reference: str
    """What ``lora`` of a ``LoraUse`` takes: ``lora:`` and the SHA-256 of the file."""
    name: str
    models: tuple[str, ...]
    """Ids of the models that it fits."""
    size_bytes: int
    layout: Literal["diffusers", "peft", "kohya", "ltx"]
    """Whose way of naming tensors it uses."""
    layers: int
    ranks: tuple[int, ...]
    trigger_words: tuple[str, ...]
    """Words that call it up, where its trainer wrote them down."""
    created_at: str | None
    """When it was imported; nothing for one that came with the studio."""
    is_shipped: bool = False
    """Whether it came with the studio: everybody has it, and nobody can remove it."""
    description: str = ""
    """What it does, where somebody says so."""
    strength: float = 1.0
    """The weight to begin with."""
    has_preview: bool = False
    """Whether there is a clip that shows it."""


class LoraConflict(Record):
    """How much two LoRAs fight when they act together."""

    one: str
    two: str
    level: Literal["none", "some", "strong"]
    cosine: float
    """Of their changes of all weights, -1..1: below 0 they undo each other, above 0 they add up."""
    overlap: float
    """How much of what either changes lies where the other changes something too, 0..1."""


class LoraPreset(Record):
    """A saved stack."""

    name: Annotated[str, Field(min_length=1, max_length=_MAX_NAME_CHARACTERS)]
    uses: Annotated[tuple[LoraUse, ...], Field(min_length=1, max_length=16)]


class LoraService:
    """What a person can do with LoRAs; the work of applying them is the worker's."""

    def __init__(self, database: Database, catalogue: ModelCatalogue, settings: Settings) -> None:
        self._database = database
        self._catalogue = catalogue
        self._settings = settings

    def add(self, owner: str, path: Path, *, name: str | None = None) -> StoredLora:
        """Check the file at ``path`` against every installed model and keep a copy of it.

        Raises ``InvalidRequest`` with the reason where it fits none, or ``StorageFull``.
        """
        lora, models = self._fitting(path)
        reference = f"lora:{lora.sha256}"
        about = {
            "layout": lora.layout,
            "layers": len(lora.layers),
            "ranks": lora.ranks,
            "trigger_words": [word[:_MAX_TRIGGER_CHARACTERS] for word in lora.trigger_words[:_MAX_TRIGGERS]],
        }
        row = table.LoraRow(
            owner, reference, _clean(name or path.stem), json.dumps(models), lora.size_bytes, json.dumps(about), now()
        )
        # The row is written while the file is certain to be there: nobody can remove the last use of it in between.
        with self._database.write() as connection:
            _copy(path, self._settings.loras_dir / table.file_name(reference))
            table.add(connection, row)
        return _stored(row)

    def list(self, owner: str, *, model: str | None = None) -> Sequence[StoredLora]:
        """Those that came with the studio, then the owner's by name; only those that fit ``model``, where one is given."""
        with self._database.read() as connection:
            own = [_stored(row) for row in table.of_owner(connection, owner)]
        found = [*self._shipped({each.reference for each in own}), *own]
        return [each for each in found if model is None or model in each.models]

    def get(self, owner: str, reference: str) -> StoredLora:
        """One of them. Raises ``NotFound``."""
        with self._database.read() as connection:
            row = table.get(connection, owner, reference)
        if row is not None:
            return _stored(row)
        for each in self._shipped():
            if each.reference == reference:
                return each
        raise NotFound("there is no such LoRA: import it again.", field="lora")

    def preview(self, reference: str) -> Path:
        """The clip that shows a LoRA which came with the studio. Raises ``NotFound``."""
        lora = shipped().get(reference)
        if lora is None:
            raise NotFound("this LoRA has no preview.", field="lora")
        return lora.preview

    def remove(self, owner: str, reference: str) -> None:
        """Let go of it; its file stays for as long as somebody else has it. Raises ``NotFound`` or ``NotAllowed``."""
        if self.get(owner, reference).is_shipped:
            raise NotAllowed("this LoRA came with the studio and cannot be removed.", field="lora")
        # The file goes within the transaction, so that nobody imports it again between the two.
        with self._database.write() as connection:
            if table.remove(connection, owner, reference):
                self._path(reference).unlink(missing_ok=True)

    def conflicts(self, owner: str, references: Sequence[str]) -> Sequence[LoraConflict]:
        """Every pair of the owner's LoRAs ``references`` compared. Raises ``NotFound`` or ``InvalidRequest``."""
        stored = [self.get(owner, reference) for reference in dict.fromkeys(references)]
        shared = set.intersection(*({*each.models} for each in stored)) if stored else set()
        if len(stored) > 1 and not shared:
            raise InvalidRequest("loras are for different models and cannot act together: choose others.", field="loras")
        if len(stored) < 2:
            return []
        modules = linear_layers(Path(self._catalogue.get(min(shared)).source))
        files = [(each.reference, read_lora(self._path(each.reference), modules)) for each in stored]
        return [_compared(one, two) for one, two in combinations(files, 2)]

    def presets(self, owner: str) -> Sequence[LoraPreset]:
        """The owner's saved stacks by name."""
        with self._database.read() as connection:
            rows = table.presets(connection, owner)
        return [LoraPreset.model_validate({"name": row.name, "uses": json.loads(row.uses)}) for row in rows]

    def save_preset(self, owner: str, preset: LoraPreset) -> LoraPreset:
        """Keep a stack under its name, in the place of one of that name. Raises ``NotFound`` for a LoRA that is not theirs."""
        if "/" in preset.name:
            raise InvalidRequest("name has a slash, which an address cannot carry: choose another.", field="name")
        for use in preset.uses:
            self.get(owner, use.lora)
        uses = json.dumps([use.model_dump(mode="json") for use in preset.uses])
        with self._database.write() as connection:
            table.save_preset(connection, table.PresetRow(owner, preset.name, uses, now()))
        return preset

    def remove_preset(self, owner: str, name: str) -> None:
        """Forget a saved stack. Raises ``NotFound``."""
        with self._database.write() as connection:
            if not table.remove_preset(connection, owner, name):
                raise NotFound("there is no stack of that name.", field="name")

    def _path(self, reference: str) -> Path:
        kept = self._settings.loras_dir / table.file_name(reference)
        return shipped()[reference].path if reference in shipped() and not kept.exists() else kept

    def _shipped(self, besides: Collection[str] = ()) -> Iterator[StoredLora]:
        """Those that came with the studio, but for ``besides``; only for the weights that they were trained on."""
        for reference, lora in shipped().items():
            models = lora.fitting(self._catalogue)
            if models and reference not in besides:
                yield _came_with(lora, models)

    def _fitting(self, path: Path) -> tuple[LoraFile, _Words]:
        """The checked file and every installed model that it fits; the first refusal where it fits none."""
        found: LoraFile | None = None
        models: _Words = []
        refusal: InvalidRequest | None = None
        for spec in self._catalogue:
            if not spec.is_local or not spec.takes("loras"):
                continue
            try:
                found = read_lora(path, linear_layers(Path(spec.source)))
            except InvalidRequest as error:
                refusal = refusal or error
            else:
                models.append(spec.id)
        if found is not None:
            return found, models
        raise refusal or InvalidRequest("no model is installed that a LoRA could be checked against: install one.", field="lora")


def _compared(one: tuple[str, LoraFile], two: tuple[str, LoraFile]) -> LoraConflict:
    found = conflict(one[1], two[1])
    return LoraConflict.model_validate(
        {"one": one[0], "two": two[0], "level": found.level, "cosine": found.cosine, "overlap": found.overlap}
    )


def _stored(row: table.LoraRow) -> StoredLora:
    told = {"reference": row.reference, "name": row.name, "models": json.loads(row.models), "size_bytes": row.size_bytes}
    return StoredLora.model_validate({**told, **json.loads(row.about), "created_at": row.created_at})


def _came_with(lora: ShippedLora, models: tuple[str, ...]) -> StoredLora:
    return StoredLora(
        reference=lora.reference,
        name=lora.name,
        models=models,
        size_bytes=lora.path.stat().st_size,
        layout="diffusers",
        layers=lora.layers,
        ranks=lora.ranks,
        trigger_words=lora.trigger_words,
        created_at=None,
        is_shipped=True,
        description=lora.description,
        strength=lora.strength,
        has_preview=lora.preview.is_file(),
    )


def _clean(name: str) -> str:
    """A name that is safe to show and to say."""
    return re.sub(r"[^\w .()-]+", "_", name).strip(" .")[:_MAX_NAME_CHARACTERS] or "lora"


def _copy(source: Path, target: Path) -> None:
    """Copy a file so that it appears complete or not at all. Raises ``StorageFull``."""
    if target.exists():
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, temporary)
        temporary.replace(target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageFull(
            f"the LoRA could not be written to {target.parent} ({os.strerror(error.errno or 0)}): {StorageFull.remedy(error)}."
        ) from error
