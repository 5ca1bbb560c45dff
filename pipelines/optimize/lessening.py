"""Settings of a clip that take less of the memory, from the least to the most that is given up of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.contract import GenerationRequest, Quantization
from pipelines.optimize.memory import MemoryModel, Work
from pipelines.optimize.plan import Plan
from pipelines.registry import ModelSpec


@dataclass(frozen=True)
class Change:
    """Other settings that take less: what is set, and to what."""

    settings: Mapping[str, int | str]
    words: str


def changes_of(request: GenerationRequest, spec: ModelSpec) -> Iterable[Change]:
    """Ways to make a clip that takes less, from the least to the most that is given up of it."""
    assert request.height and request.width and request.num_frames and request.frame_rate
    if request.quantization is Quantization.NONE:
        yield Change({"quantization": Quantization.INT8.value}, "with its weights in 8 bits")
    factor = request.upscale or 1
    for less in sorted((each for each in spec.upscale_factors if each < factor), reverse=True):
        yield Change({"upscale": less}, "without enlarging" if less == 1 else f"enlarged {less}x instead of {factor}x")
    for share in (0.75, 0.5, 0.25):
        frames = spec.nearest_num_frames(round(share * request.num_frames))
        if frames < request.num_frames:
            yield Change({"num_frames": frames, "upscale": 1}, f"{frames / request.frame_rate:.1f} s long")
        height, width = (spec.nearest_side(round(share * side), request.stages) for side in (request.height, request.width))
        if (height, width) != (request.height, request.width):
            yield Change({"height": height, "width": width, "upscale": 1}, f"{width} × {height} pixels")
    least, frames = spec.nearest_side(1, request.stages), spec.nearest_num_frames(1)
    yield Change(
        {"height": least, "width": least, "num_frames": frames, "upscale": 1}, f"{least} × {least} pixels and {frames} frames"
    )


def cheapest_change(request: GenerationRequest, spec: ModelSpec, model: MemoryModel, free_bytes: int) -> Change | None:
    """The first of ``changes_of`` whose peak is at most ``free_bytes``; ``None`` where nothing fits."""
    for change in changes_of(request, spec):
        settings = {name: value for name, value in change.settings.items() if getattr(request, name) != value}
        mode = settings.get("quantization")
        if mode and Plan(Quantization(str(mode)), model.text_quantization, offload=model.offload).hindrance(model.device):
            continue
        if model.predict(Work.of(request.model_copy(update=settings))).peak_bytes <= free_bytes:
            return Change(settings, change.words)
    return None
