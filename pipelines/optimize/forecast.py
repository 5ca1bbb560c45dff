"""Fewer evaluations: what a step would compute is foretold from the steps before it, as far as its error can be bounded.

A prediction is a smooth function of the noise level along a run. Its Newton polynomial through the last computed levels
foretells it at the next, with error ``C * prod |sigma - sigma_j|``; ``C`` is measured each time something is computed, by
what the polynomial would have said there. Nothing is foretold that has not been measured to be foretellable in this run, and
both streams must be. As multistep ODE solvers choose their steps (Hairer, Norsett, Wanner 1993, III.1), for each guidance
branch alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.contract import Effort
from pipelines.optimize.blocks import Both


@dataclass(frozen=True)
class Tolerance:
    """How far a foretold step may move the finished latents of each stream, in their standard deviations."""

    video: float
    audio: float


EFFORTS: Mapping[Effort, Tolerance | None] = {
    Effort.QUALITY: None,
    Effort.BALANCED: Tolerance(0.01, 0.01),
    Effort.FAST: Tolerance(0.04, 0.04),
    Effort.MOTION: Tolerance(0.01, 0.08),
    Effort.SPEECH: Tolerance(0.08, 0.01),
}
"""Without a tolerance everything is computed."""


@dataclass
class Forecast:
    """One quantity over a run: told what was computed, asked whether and what it would be elsewhere."""

    tolerance: Tolerance
    order: int = 1
    most: int = 4
    """So many steps in a row are foretold at most."""
    _points: list[tuple[float, Both]] = field(default_factory=list)
    _rates: tuple[float, float] = (math.inf, math.inf)
    _told: int = 0

    def is_good(self, sigma: float, reach: float) -> bool:
        """Whether the value at ``sigma`` can be foretold, if its error moves the finished latents by ``reach`` times it."""
        if self._told >= self.most or len(self._points) <= 1:
            return False
        spread = self._spread(sigma)
        bounds = (self.tolerance.video, self.tolerance.audio)
        return all(reach * rate * spread <= bound for rate, bound in zip(self._rates, bounds, strict=True))

    def at(self, sigma: float) -> Both:
        """The foretold value."""
        self._told += 1
        return self._polynomial(sigma)

    def add(self, sigma: float, value: Both, size: tuple[float, float]) -> None:
        """A computed value; errors are counted in ``size``, the standard deviations of both streams' clean latents."""
        if len(self._points) > 1:
            missed = [float((a - b).square().mean().sqrt()) for a, b in zip(self._polynomial(sigma), value, strict=True)]
            spread = max(self._spread(sigma), 1e-12)
            self._rates = (missed[0] / size[0] / spread, missed[1] / size[1] / spread)
        self._points = [*self._points[-self.order :], (sigma, value)]
        self._told = 0

    def _spread(self, sigma: float) -> float:
        return math.prod(abs(sigma - known) for known, _ in self._points)

    def _polynomial(self, sigma: float) -> Both:
        """Lagrange's form of the polynomial through all points."""
        weights = [
            math.prod((sigma - other) / (here - other) for other, _ in self._points if other != here) for here, _ in self._points
        ]
        streams = zip(*(value for _, value in self._points), strict=True)
        video, audio = (sum(weight * value for weight, value in zip(weights, stream, strict=True)) for stream in streams)
        return video, audio
