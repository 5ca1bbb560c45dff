"""How far a whole job is, from the steps of its stages."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from pipelines.contract import Progress
from studio.services.records import JobProgress

# (begin, share) of the whole: what the stages of a clip take with the embedded model on a CPU. Larger models denoise longer
# still, which the estimate of the remaining time corrects as it goes.
_STAGES = {
    "encode": (0.0, 0.04),
    "denoise": (0.04, 0.80),
    "upsample latents": (0.04, 0.0),
    "decode picture": (0.84, 0.05),
    "enlarge": (0.89, 0.03),
    "decode sound": (0.92, 0.05),
    "write": (0.97, 0.03),
}
_LEAST_FRACTION, _LEAST_ELAPSED_S = 0.05, 0.3
_SMOOTHING = 0.3
_POINTS = 64  # of a curve; each event of a job carries them all


@dataclass
class ProgressMeter:
    """Turns the events of one run into progress that never goes back."""

    _started: float | None = None
    _fraction: float = 0.0
    _whole_s: float | None = None
    _preview_version: int = 0
    _curves: dict[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)

    def step(self, progress: Progress) -> JobProgress:
        """Progress after a step of a stage; unknown stages leave the fraction where it is."""
        if self._started is None and progress.stage in _STAGES:
            self._started = time.monotonic()  # loading a model says nothing about how long the clip takes
        begin, share = _STAGES.get(progress.stage, (0.0, 0.0))
        done = min(1.0, progress.step / progress.total) if progress.total > 0 else 0.0
        self._fraction = max(self._fraction, begin + share * done)
        return self._now(progress)

    def preview(self, latest: JobProgress, version: int) -> JobProgress:
        """``latest`` with the version of a new preview."""
        self._preview_version = version
        return latest.model_copy(update={"preview_version": version})

    def measure(self, latest: JobProgress, name: str, value: float) -> JobProgress:
        """``latest`` with one more point of a curve, where it is a measure of what is being denoised."""
        if not name.startswith("live.") or latest.total <= 0:
            return latest
        point = (round(latest.step / latest.total, 4), value)
        self._curves = {**self._curves, name: (*self._curves.get(name, ()), point)[-_POINTS:]}
        return latest.model_copy(update={"curves": self._curves})

    def _now(self, progress: Progress) -> JobProgress:
        elapsed = 0.0 if self._started is None else time.monotonic() - self._started
        remaining_s = None
        if self._fraction >= _LEAST_FRACTION and elapsed >= _LEAST_ELAPSED_S:
            whole = elapsed / self._fraction
            self._whole_s = whole if self._whole_s is None else self._whole_s + _SMOOTHING * (whole - self._whole_s)
            remaining_s = round(max(0.0, self._whole_s - elapsed), 1)
        return JobProgress(
            stage=progress.stage,
            step=progress.step,
            total=progress.total,
            fraction=round(self._fraction, 4),
            remaining_s=remaining_s,
            preview_version=self._preview_version,
            curves=self._curves,
        )
