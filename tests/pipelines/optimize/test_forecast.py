"""What is foretold: exact where it can be, never without a measured bound, and only as often as a run allows."""

from __future__ import annotations

import math

import pytest
import torch

from pipelines.optimize.forecast import Forecast, Tolerance

LOOSE, STRICT = Tolerance(10.0, 10.0), Tolerance(1e-9, 1e-9)
SIZE = (1.0, 1.0)


def both(value: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture and sound of one constant value; the sound is twice the picture."""
    return torch.full((1, 3, 2), value), torch.full((1, 2, 2), 2 * value)


def told(forecast: Forecast, curve, *sigmas: float) -> Forecast:
    for sigma in sigmas:
        forecast.add(sigma, both(curve(sigma)), SIZE)
    return forecast


def test_a_straight_course_is_foretold_exactly():
    forecast = told(Forecast(STRICT), lambda sigma: 3 * sigma + 1, 1.0, 0.9, 0.75)
    assert forecast.is_good(0.6, 1.0)
    video, audio = forecast.at(0.6)
    assert torch.allclose(video, both(2.8)[0]) and torch.allclose(audio, both(2.8)[1])


def test_nothing_is_foretold_before_an_error_was_measured():
    forecast = Forecast(LOOSE)
    for sigma in (1.0, 0.9):
        assert not forecast.is_good(sigma, 1.0)
        told(forecast, math.exp, sigma)
    assert not forecast.is_good(0.8, 1.0)
    assert told(forecast, math.exp, 0.8).is_good(0.7, 1.0)


@pytest.mark.parametrize("tolerance", [Tolerance(10.0, 1e-6), Tolerance(1e-6, 10.0)], ids=["sound", "picture"])
def test_either_stream_can_forbid_it(tolerance):
    forecast = told(Forecast(tolerance), math.exp, 1.0, 0.9, 0.8)
    assert not forecast.is_good(0.7, 1.0)


def test_a_measured_error_bounds_the_next():
    """A parabola's second difference is constant, so the bound of a straight line is its error exactly."""
    forecast = told(Forecast(Tolerance(math.inf, math.inf)), lambda sigma: sigma**2, 1.0, 0.9, 0.8)
    video, _ = forecast.at(0.65)
    error = float((video - both(0.65**2)[0]).abs().max())
    assert error == pytest.approx(0.25 * 0.15, rel=1e-3)
    for bound, good in ((2.1 * error, True), (1.9 * error, False)):  # the sound's error is twice the picture's
        again = told(Forecast(Tolerance(bound, bound)), lambda sigma: sigma**2, 1.0, 0.9, 0.8)
        assert again.is_good(0.65, 1.0) is good
        assert again.is_good(0.65, 0.1), "an error that hardly reaches the clip is allowed"


def test_only_so_many_in_a_row():
    forecast = told(Forecast(LOOSE), lambda sigma: sigma, 1.0, 0.9, 0.8)
    for step in range(forecast.most):
        assert forecast.is_good(0.7 - step / 100, 1.0)
        forecast.at(0.7 - step / 100)
    assert not forecast.is_good(0.6, 1.0)
    assert told(forecast, lambda sigma: sigma, 0.6).is_good(0.5, 1.0)
