"""What of each model is on this machine, whether it fits what is free, and whether its files are as they were published."""

from __future__ import annotations

import threading

from pipelines.contract import Conflict, GenerationRequest, Quantization
from pipelines.models.installed import Installed, Verified, installed, verified
from pipelines.registry import ModelCatalogue, ModelSpec
from studio.services.forecasts import ForecastService
from studio.services.records import MemoryForecast, Record

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
    memory: str
    """What was compared, in one or two sentences."""
    may_verify: bool = True
    """Whether the person who asks may have its files read and compared, or fetched."""


class ModelVerified(Record):
    """What a look through all files of a model found: they are as they were published, as far as that can be told."""

    model: str
    hashed: int
    """Files whose whole content has its published sha256."""
    sampled: int
    """Larger ones, of which sixteen samples have."""
    looked_at: int
    """Files without a published sha256: only their presence and the lengths of weights were looked at."""
    sentence: str


class ModelService:
    """Looks at the models of a catalogue; ``forecasts`` says what a clip takes."""

    def __init__(self, catalogue: ModelCatalogue, forecasts: ForecastService) -> None:
        self._catalogue = catalogue
        self._forecasts = forecasts
        self._reading = threading.Lock()

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
            memory=_unknown(spec) if told is None else _memory(spec, told),
        )

    def verify(self, model: str) -> ModelVerified:
        """Read every file that has a published sha256 and compare it.

        Raises ``ModelNotFound`` naming the first file that is not as it was, and ``Conflict`` while another model is read.
        """
        spec = self._catalogue.get(model)
        if not self._reading.acquire(blocking=False):
            raise Conflict("model files are being verified already: wait until that is done.", field="model")
        try:
            found = verified(spec)
        finally:
            self._reading.release()
        return ModelVerified(
            model=spec.id, hashed=found.hashed, sampled=found.sampled, looked_at=found.looked_at, sentence=_verdict(spec, found)
        )

    def _forecast(self, spec: ModelSpec, found: Installed) -> MemoryForecast | None:
        """Of a clip with the model's own settings; none for a family that diffusers runs, and for a folder of its owner's that
        lacks what would have to be read.
        """
        if spec.call is not None or (spec.is_local and found.missing):
            return None
        return self._forecasts.of(GenerationRequest(prompt="-", model=spec.id))


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
    return f"Its {weights}{'' if spec.is_local else ' in 16 bits'}; what a clip takes beyond them cannot be told beforehand."


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


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size < 1e11 else f"{size / 1e9:.0f} GB"
