"""The fraction over the whole job and the time that is left."""

from __future__ import annotations

import time

from pipelines.contract import Progress
from studio.workers.progress import ProgressMeter


def test_it_never_goes_back_and_ends_at_one():
    meter = ProgressMeter()
    stages = [
        ("prepare", 1),
        ("encode", 1),
        ("encode", 1),
        ("denoise", 20),
        ("decode picture", 1),
        ("enlarge", 25),
        ("decode sound", 1),
        ("write", 1),
    ]
    shown = [meter.step(Progress(stage, step, total)) for stage, total in stages for step in range(total + 1)]
    fractions = [progress.fraction for progress in shown]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
    denoising = [progress.fraction for progress in shown if progress.stage == "denoise"]
    assert denoising[-1] - denoising[0] >= 0.75


def test_the_remaining_time_is_told_once_it_can_be():
    meter = ProgressMeter()
    assert meter.step(Progress("prepare", 0, 1)).remaining_s is None
    time.sleep(0.3)
    assert meter.step(Progress("denoise", 0, 10)).remaining_s is None
    time.sleep(0.5)
    half = meter.step(Progress("denoise", 6, 10))
    assert 0.2 < half.remaining_s < 0.8
    assert meter.step(Progress("write", 1, 1)).remaining_s < half.remaining_s


def test_odd_events_do_no_harm():
    meter = ProgressMeter()
    meter.step(Progress("denoise", 5, 10))
    assert meter.step(Progress("a stage of later", 1, 0)).fraction == 0.44
    assert meter.step(Progress("denoise", 99, 10)).fraction == 0.84
    assert meter.step(Progress("encode", 0, 1)).fraction == 0.84
