"""What of each model is on this machine, whether it fits what is free, and which one new forms start with."""

from __future__ import annotations

from pipelines.contract import Conflict, GenerationRequest, InvalidRequest, ModelNotFound, Quantization
from pipelines.models.fetch import free_bytes, on_disk_bytes
from pipelines.models.installed import Installed, installed
from pipelines.optimize.plan import Offload
from pipelines.registry import ModelCatalogue, ModelSpec
from studio.services.forecasts import ForecastService
from studio.services.records import MemoryForecast, Record
from studio.storage import notes
from studio.storage.database import Database

_DEFAULT = "default model"

_HELD = {
    Quantization.NONE: "as they are",
    Quantization.BF16: "in 16 bits",
    Quantization.INT16: "in 16 bits",
    Quantization.FP8: "in 8 bits",
    Quantization.INT8: "in 8 bits",
    Quantization.INT4: "in 4 bits",
}


class ModelState(Record):
    """One model on this machine, now."""

    id: str
    state: str
    """here, partly here or absent."""
    missing: tuple[str, ...]
    """What is lacking, by names within the model's folder."""
    on_disk_bytes: int
    folder: str | None
    """Where it lies; ``None`` where it does not, and for guests."""
    device: str | None
    """Whose memory is compared: cpu (main memory) or cuda; ``None`` where nothing can be reckoned."""
    needs_bytes: int | None
    """The peak of a clip with the model's own settings, its weights held as the automatic plan would hold them."""
    free_bytes: int | None
    """What it may take in all; ``None`` where nobody has told, as of a GPU before the model's first clip there."""
    fits: bool | None
    quantization: Quantization | None
    """How the automatic plan would hold its large weights; ``None`` where that is chosen only when they are loaded."""
    offload: Offload | None
    """Which of them would come only while they are used; ``None`` as above."""
    disk_free_bytes: int | None
    """Where its files would be fetched to; ``None`` for a folder of its owner's, and for guests."""
    to_fetch_bytes: int | None
    """How much of its published files has not come yet; ``None`` as above, and where their size is not known."""
    is_removable: bool
    """Whether the studio may delete its files: those that it can fetch again."""
    memory: str
    """What was compared, in one or two sentences."""
    may_verify: bool = True
    """Whether the person who asks may have its files read and compared, fetched or removed, and make it the default."""


class DefaultModel(Record):
    """The model that a new form starts with."""

    model: str
    sentence: str | None
    """Why it is not the one that was chosen; ``None`` where it is."""


class ModelService:
    """Looks at the models of a catalogue; ``forecasts`` says what a clip takes."""

    def __init__(self, database: Database, catalogue: ModelCatalogue, forecasts: ForecastService) -> None:
        self._database = database
        self._catalogue = catalogue
        self._forecasts = forecasts

    def state(self, model: str) -> ModelState:
        """How ``model`` is now. Raises ``ModelNotFound`` for an unknown one."""
        spec = self._catalogue.get(model)
        found = installed(spec)
        told = self._forecast(spec, found)
        return ModelState(
            id=spec.id,
            state=found.state,
            missing=found.missing,
            on_disk_bytes=found.on_disk_bytes,
            folder=None if found.folder is None else str(found.folder),
            device=None if told is None else told.device,
            needs_bytes=None if told is None else told.peak_bytes,
            free_bytes=None if told is None else told.free_bytes,
            fits=None if told is None else told.fits,
            quantization=_held(spec, told),
            offload=None if told is None else told.offload,
            disk_free_bytes=None if spec.is_local else free_bytes(spec.source),
            to_fetch_bytes=_to_fetch_bytes(spec),
            is_removable=not (spec.is_local or spec.transformer) and found.folder is not None,
            memory=_unknown(spec) if told is None else _memory(spec, told),
        )

    def default(self) -> DefaultModel:
        """The model that was chosen, or the embedded one where none was or where that cannot be had any more."""
        embedded = next(iter(self._catalogue)).id
        with self._database.read() as connection:
            chosen = notes.get(connection, _DEFAULT)
        if chosen is None:
            return DefaultModel(model=embedded, sentence=None)
        try:
            is_here = installed(self._catalogue.get(chosen)).state == "here"
        except ModelNotFound:
            return DefaultModel(model=embedded, sentence=f"The default model {chosen} is not known any more: {embedded} is used.")
        if not is_here:
            sentence = f"The default model {chosen} is not on this machine any more: {embedded} is used."
            return DefaultModel(model=embedded, sentence=sentence)
        return DefaultModel(model=chosen, sentence=None)

    def set_default(self, model: str) -> DefaultModel:
        """New forms start with ``model`` from now on. Raises ``ModelNotFound``, or ``Conflict`` for one that is not here."""
        spec = self._catalogue.get(model)
        if installed(spec).state != "here":
            raise Conflict(f"model {spec.id} is not whole on this machine: install it, then make it the default.", field="model")
        with self._database.write() as connection:
            notes.put(connection, _DEFAULT, spec.id)
        return self.default()

    def _forecast(self, spec: ModelSpec, found: Installed) -> MemoryForecast | None:
        """Of a clip with the model's own settings; none for a family that diffusers runs before its first clip here, and for a
        folder of its owner's that lacks what would have to be read.
        """
        if spec.is_local and found.missing:
            return None
        try:
            return self._forecasts.of(GenerationRequest(prompt="-", model=spec.id))
        except InvalidRequest:
            return None


def _to_fetch_bytes(spec: ModelSpec) -> int | None:
    return None if spec.is_local or not spec.download_bytes else max(0, spec.download_bytes - on_disk_bytes(spec.source))


def _held(spec: ModelSpec, told: MemoryForecast | None) -> Quantization | None:
    if spec.held_as is not None:
        return spec.held_as.quantization
    return None if told is None else told.quantization


def _unknown(spec: ModelSpec) -> str:
    if spec.call is None:
        return "What it needs can be told once its files are whole."
    if not spec.memory_bytes:
        return "What its weights take is not known before they are here, nor what a clip takes beyond them."
    weights = f"files hold {_gb(spec.download_bytes)} of weights" if spec.is_local else f"weights take {_gb(spec.memory_bytes)}"
    bits = "" if spec.is_local else " in 16 bits"
    return f"Its {weights}{bits}; what a clip takes beyond is known once one of its size was made here."


def _memory(spec: ModelSpec, told: MemoryForecast) -> str:
    held = _held(spec, told)
    weights = "in the bits that are chosen when it is loaded" if held is None else _HELD[held]
    needs = f"A clip with its own settings needs about {_gb(told.peak_bytes)}, its weights held {weights}; "
    place = "main memory" if told.device == "cpu" else "the GPU"
    if told.free_bytes is None:
        when = "" if told.device == "cpu" else " before its first clip there"
        return f"{needs}how much of {place} is free is not known{when}."
    when = "" if told.device == "cpu" else " when its latest clip began"
    return f"{needs}{_gb(told.free_bytes)} of {place} can be had{when}."


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size < 1e11 else f"{size / 1e9:.0f} GB"
