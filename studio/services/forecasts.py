"""What a clip will take of the memory, and what would take less: asked before anything is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from pipelines.contract import GenerationRequest, InvalidRequest, Quantization
from pipelines.optimize.gauge import free_bytes, resident_bytes
from pipelines.optimize.lessening import cheapest_change
from pipelines.optimize.memory import MemoryModel, Prediction, Work, plan_of, widths_of
from pipelines.optimize.plan import Offload, Plan
from pipelines.registry import ModelCatalogue
from studio.services.records import LessMemory, MemoryForecast, StageMemory
from studio.settings import Settings
from studio.storage import memory
from studio.storage.database import Database
from studio.storage.memory import MemoryRow

_STAGE_WORDS = {
    "encode": "while the prompt is read",
    "denoise": "while it denoises",
    "upsample latents": "while the latents are enlarged between its stages",
    "decode picture": "while the picture is decoded",
    "enlarge": "while the picture is enlarged",
    "decode sound": "while the sound is decoded",
    "write": "while the file is written and measured",
}


class ForecastService:
    """Predictions from the runs that this studio has measured; ``workers`` gives the ids of the worker processes."""

    def __init__(
        self, database: Database, catalogue: ModelCatalogue, settings: Settings, workers: Callable[[], Iterable[int]]
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._settings = settings
        self._workers = workers

    def of(self, request: GenerationRequest) -> MemoryForecast:
        """The forecast of ``request``, completed by its model's defaults. Raises ``InvalidRequest`` or ``ModelNotFound``."""
        full = self._catalogue.complete(request)
        spec = self._catalogue.get(full.model)
        with self._database.read() as connection:
            device = self._device(memory.latest_device(connection))
            rows, seen = memory.latest(connection, device, spec.id), memory.evidence(connection, device, spec.id)
        room = free_bytes() if device == "cpu" else None
        asked = full.quantization or Quantization.AUTO
        plan, automatic = (plan_of(spec, mode, device, room) for mode in (asked, Quantization.AUTO))
        runs = seen.held_as(automatic.quantization)
        model = MemoryModel(widths_of(spec, device), device, runs, plan.text_quantization, plan.offload)
        work = replace(Work.of(full), quantization=plan.quantization)
        if not model.can_tell(work):
            raise InvalidRequest(
                f"model is {spec.id}: what such a clip takes of the memory is known once one of about its size was made here.",
                field="model",
            )
        found = model.predict(work)
        short = seen.short_pixels()
        ran_short = short is not None and short <= work.made_pixels
        free = self._free(device, rows, found.rest_bytes)
        fits = None if free is None else found.peak_bytes <= free
        change = cheapest_change(full, spec, model, free) if fits is False and free is not None else None
        return MemoryForecast(
            model=spec.id,
            device=device,
            stages=tuple(StageMemory(stage=stage, peak_bytes=peak) for stage, peak in found.peaks.items()),
            peak_bytes=found.peak_bytes,
            peak_stage=found.stage,
            rest_bytes=found.rest_bytes,
            free_bytes=free,
            fits=fits,
            quantization=None if asked is Quantization.AUTO and room is None else plan.quantization,
            offload=None if spec.offload is Offload.AUTO and room is None else plan.offload,
            runs=found.runs,
            change=None if change is None else LessMemory(settings=dict(change.settings), words=change.words),
            ran_short=ran_short,
            sentence=_sentence(found, free, ran_short) + _choice(asked, plan, device),
        )

    def _device(self, seen: str | None) -> str:
        """The kind of device that workers run on; ``auto`` is what it turned out to be, or what the machine looks like."""
        named = self._settings.device.split(",")[0].strip().partition(":")[0]
        if named != "auto":
            return "cuda" if named == "cuda" else "cpu"
        return seen or ("cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu")

    def _free(self, device: str, rows: list[MemoryRow], rest_bytes: int) -> int | None:
        """What the run may take in all: what is left, and what its worker holds already.

        How full a GPU is only a worker can tell, so there it is what the latest run found.
        """
        if device != "cpu":
            return rows[-1].rest_bytes + rows[-1].free_bytes if rows else None
        left = free_bytes()
        held = max((resident_bytes(pid) for pid in self._workers()), default=0)
        return None if left is None else left + min(held, rest_bytes)


def _sentence(found: Prediction, free: int | None, ran_short: bool) -> str:
    told = f"Needs about {_gigabytes(found.peak_bytes)} GB at the most, {_STAGE_WORDS[found.stage]}"
    told += "." if free is None else f"; {_gigabytes(free)} GB can be had."
    return told + (" A clip of this size ran short before and went on in smaller steps." if ran_short else "")


def _choice(asked: Quantization, plan: Plan, device: str) -> str:
    told = ""
    if asked is Quantization.AUTO and plan.quantization is not Quantization.NONE:
        told += f" Its weights will be held as {plan.quantization.value}: as they are they would not fit."
    where = " from the disk" if plan.in_files(device) else ""
    if plan.offload.whole:
        told += f" Its blocks come one by one{where}, which can take longer."
    elif plan.offload is Offload.TEXT:
        told += f" What reads the prompt comes{where} only while it is used."
    return told


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f}" if count < 1e11 else f"{count / 1e9:.0f}"
