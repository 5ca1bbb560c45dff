"""Takes models off this machine that the studio can fetch again: those of the hub, from huggingface_hub's cache."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from pipelines.contract import Conflict, InvalidRequest, ModelNotFound, StorageFull
from pipelines.models.installed import cache_of
from pipelines.registry import ModelCatalogue, ModelSpec
from studio.services.installs import InstallService
from studio.services.records import ActionState, Record
from studio.services.verifications import VerificationService
from studio.storage import jobs
from studio.storage.database import Connection, Database


class Removed(Record):
    """A model that is off this machine."""

    model: str
    freed_bytes: int
    sentence: str


class RemovalService:
    """Removes the models of a catalogue, none that a job uses."""

    def __init__(
        self, database: Database, catalogue: ModelCatalogue, installs: InstallService, verifications: VerificationService
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._installs = installs
        self._verifications = verifications

    def remove(self, model: str, *, is_sure: bool) -> Removed:
        """Delete the files of ``model`` and say how much room that made.

        Raises ``ModelNotFound`` (unknown, not here), ``InvalidRequest`` (not sure), ``StorageFull`` (it cannot be deleted), or
        ``Conflict``: a folder or file of the owner's, a model that a job uses or that is being fetched or read.
        """
        spec = self._catalogue.get(model)
        if spec.is_local or spec.transformer:
            raise Conflict(f"model {spec.id} is not the studio's to remove: {_whose(spec)}.", field="model")
        home = cache_of(spec.source)
        if not home.is_dir():
            raise ModelNotFound(f"model {spec.id} is not on this machine: there is nothing to remove.", field="model")
        if not is_sure:
            raise InvalidRequest(
                f"sure is false; removing {spec.title} deletes {_size(_bytes(home))}, which would have to be fetched again.",
                field="sure",
            )
        self._check_idle(spec)
        gone = home.with_name(f"{home.name}.removed-{os.urandom(4).hex()}")
        try:
            with self._database.write() as connection:  # no job begins between the look and the removal
                self._check_unused(connection, spec)
                home.rename(gone)
            freed = _bytes(gone)
            shutil.rmtree(gone)
            shutil.rmtree(home.parent / ".locks" / home.name, ignore_errors=True)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise StorageFull(
                f"model {spec.id} could not be deleted ({reason}): make the folder writable.", field="model"
            ) from error
        self._verifications.forget(spec.id)
        return Removed(model=spec.id, freed_bytes=freed, sentence=f"{spec.title} is removed: {_size(freed)} are free again.")

    def _check_idle(self, spec: ModelSpec) -> None:
        for other in self._sharing(spec):
            for what, told in (("installed", self._installs.get(other)), ("verified", self._verifications.get(other))):
                if told is not None and told.state is ActionState.RUNNING:
                    raise Conflict(f"model {other} is being {what}: cancel that first.", field="model")

    def _check_unused(self, connection: Connection, spec: ModelSpec) -> None:
        rows = [*jobs.running(connection), *jobs.waiting(connection)]
        users = sum(json.loads(row.request).get("model") in self._sharing(spec) for row in rows)
        if users:
            count = "a job uses" if users == 1 else f"{users} jobs use"
            raise Conflict(f"model {spec.id} cannot be removed while {count} it: wait, or cancel.", field="model")

    def _sharing(self, spec: ModelSpec) -> set[str]:
        """Ids of the models whose files these are: one of a single file borrows its other parts."""
        return {each.id for each in self._catalogue if each.source == spec.source}


def _whose(spec: ModelSpec) -> str:
    if spec.id.startswith("pocket"):
        return "it comes with the studio"
    return "it was named in STUDIO_MODELS; take it out there"


def _bytes(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
