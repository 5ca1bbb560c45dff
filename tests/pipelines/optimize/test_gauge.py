"""Peaks as the kernel counts them, and those of a real run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipelines.contract import Done, GenerationRequest, Metric
from pipelines.engine import Engine
from pipelines.optimize.gauge import ProcessGauge, free_bytes, gauge_of, resident_bytes
from pipelines.registry import ModelCatalogue

MIB = 1024**2
pytestmark = pytest.mark.skipif(not ProcessGauge.is_possible(), reason="only Linux lets a process reset its high-water mark")


def test_the_peak_is_that_since_the_beginning() -> None:
    gauge = ProcessGauge()
    rest = gauge.begin()
    held = np.ones(200 * MIB, np.uint8)
    assert gauge.peak() - rest == pytest.approx(held.nbytes, rel=0.05)
    del held
    again = gauge.begin()
    assert again - rest < 20 * MIB and gauge.peak() - again < 20 * MIB


def test_what_is_free_is_less_than_the_machine_has() -> None:
    free = free_bytes()
    assert free is not None and 0 < free < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert resident_bytes(os.getpid()) == pytest.approx(ProcessGauge().begin(), rel=0.2)
    assert resident_bytes(2**30) == 0


def test_a_run_tells_its_memory_before_its_end(catalogue: ModelCatalogue, tmp_path: Path) -> None:
    engine = Engine(catalogue, media_dir=tmp_path, device="cpu")
    assert gauge_of(engine.device) is not None
    request = catalogue.complete(GenerationRequest(prompt="a ball", model="twin", seed=1))
    events = list(engine.run(request, tmp_path / "clip.mp4"))
    assert isinstance(events[-1], Done)
    told = {event.name: event.value for event in events if isinstance(event, Metric) and event.name.startswith("memory.cpu.")}
    stages = {"encode", "denoise", "decode picture", "decode sound", "write"}
    assert set(told) == {f"memory.cpu.{name}" for name in (*stages, "rest", "free", "settled")}
    assert all(told[f"memory.cpu.{stage}"] >= told["memory.cpu.rest"] for stage in stages)
    assert not any(name.startswith("memory.") for name in events[-1].result.stage_seconds)
