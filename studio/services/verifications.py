"""Reads all files of a model and compares them with what was published, in a thread: watched, cancelled, and its outcome kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator

from pipelines.contract import Conflict, StorageFull, StudioError
from pipelines.models.installed import Verified, verifying
from pipelines.registry import ModelCatalogue, ModelSpec
from studio.services.records import ActionState, Record, now
from studio.storage import notes
from studio.storage.database import Database

_log = logging.getLogger(__name__)


class Verification(Record):
    """The latest look through all files of a model."""

    model: str
    state: ActionState
    done_bytes: int = 0
    """Read so far."""
    total_bytes: int | None = None
    """To be read; ``None`` before that was counted."""
    sentence: str | None = None
    """What was found; of a failed one the first file that is not as it was published, or why they could not be read."""
    hashed: int | None = None
    """Files whose whole content has its published sha256."""
    sampled: int | None = None
    """Larger ones, of which sixteen samples have."""
    looked_at: int | None = None
    """Files without a published sha256: only their presence and the lengths of weights were looked at."""
    finished_at: str | None = None


class _Reading:
    """One thread that reads."""

    def __init__(self, spec: ModelSpec, database: Database) -> None:
        self.told = Verification(model=spec.id, state=ActionState.RUNNING)
        self._spec = spec
        self._database = database
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="verify", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self.told = self._read(verifying(self._spec))
        except StudioError as error:
            self._end(ActionState.FAILED, sentence=error.message)
        except OSError as error:
            _log.warning("%s could not be read", self._spec.source, exc_info=True)
            reason = error.strerror or str(error)
            self._end(ActionState.FAILED, sentence=f"{self._spec.title}: its files could not be read ({reason}); try again.")

    def _read(self, steps: Generator[tuple[int, int], None, Verified]) -> Verification:
        while True:
            try:
                done, total = next(steps)
            except StopIteration as end:
                found: Verified = end.value
                counts = {"hashed": found.hashed, "sampled": found.sampled, "looked_at": found.looked_at}
                self._end(ActionState.DONE, sentence=_verdict(self._spec, found), **counts)
                return self.told
            if self._stop.is_set():
                steps.close()
                return self.told.model_copy(update={"state": ActionState.CANCELLED})
            self.told = self.told.model_copy(update={"done_bytes": done, "total_bytes": total})

    def _end(self, state: ActionState, **found: object) -> None:
        """What was found is kept before anybody is told; where the disk is full it is told only."""
        told = self.told.model_copy(update={"state": state, "finished_at": now(), **found})
        try:
            with self._database.write() as connection:
                notes.put(connection, _name(self._spec.id), told.model_dump(mode="json"))
        except StorageFull as error:
            _log.warning("what was found of %s is not kept: %s", self._spec.id, error.message)
        self.told = told


class VerificationService:
    """Looks through the models of a catalogue, one at a time."""

    def __init__(self, database: Database, catalogue: ModelCatalogue) -> None:
        self._database = database
        self._catalogue = catalogue
        self._readings: dict[str, _Reading] = {}
        self._lock = threading.Lock()

    def start(self, model: str) -> Verification:
        """Begin to read ``model``; returns at once. Raises ``ModelNotFound``, or ``Conflict`` while a model is being read."""
        spec = self._catalogue.get(model)
        with self._lock:
            for other, reading in self._readings.items():
                if reading.told.state is ActionState.RUNNING:
                    raise Conflict(f"model {other} is being verified: wait until that is done, or cancel it.", field="model")
            self._readings[spec.id] = _Reading(spec, self._database)
        return self._readings[spec.id].told

    def get(self, model: str) -> Verification | None:
        """How the latest look through ``model`` stands, also from before a restart; ``None`` where there was none."""
        reading = self._readings.get(model)
        if reading is not None and reading.told.state is not ActionState.CANCELLED:
            return reading.told
        with self._database.read() as connection:
            kept = notes.get(connection, _name(model))
        if kept:
            return Verification.model_validate(kept)
        return None if reading is None else reading.told

    def cancel(self, model: str) -> Verification:
        """Stop reading. Raises ``Conflict`` where nothing is being read."""
        reading = self._readings.get(model)
        if reading is None or reading.told.state is not ActionState.RUNNING:
            raise Conflict(f"model {model} is not being verified.", field="model")
        reading.cancel()
        return reading.told

    def forget(self, model: str) -> None:
        """What was found says nothing any more: the files are others, or gone."""
        self._readings.pop(model, None)
        with self._database.write() as connection:
            notes.remove(connection, _name(model))

    def close(self) -> None:
        """Stop whatever is being read."""
        for reading in self._readings.values():
            reading.cancel()


def _name(model: str) -> str:
    return f"verified {model}"


def _verdict(spec: ModelSpec, found: Verified) -> str:
    if not found.hashed + found.sampled:
        return (
            f"{spec.title}: no file has a published sha256 to compare; of its {_files(found.looked_at)} only presence "
            "and the lengths of weights were looked at, and nothing is missing."
        )
    samples = f", {_files(found.sampled)} by samples" if found.sampled else ""
    rest = f"; of {_files(found.looked_at)} more only presence was looked at" if found.looked_at else ""
    hashed = found.hashed + found.sampled
    return f"{spec.title}: {_files(hashed)} {'has its' if hashed == 1 else 'have their'} published sha256{samples}{rest}."


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"
