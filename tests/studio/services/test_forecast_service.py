"""The forecast over a real studio: evidence from the worker, what can be had, and the change that fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipelines.contract import EditRequest, GenerationRequest, InvalidRequest, ModelNotFound
from pipelines.models.wan import twin as wan
from pipelines.optimize.gauge import ProcessGauge
from pipelines.optimize.memory import Work
from pipelines.optimize.plan import Offload
from studio.services.records import now
from studio.settings import Settings
from studio.storage import memory
from studio.storage.database import Database
from studio.storage.memory import KEPT, MemoryRow
from studio.studio import Studio
from studio.workers.weighing import memory_row
from tests.studio.rooms import OWNER, finished

GIB = 1024**3


@contextmanager
def closing_studio(settings: Settings) -> Iterator[Studio]:
    """A studio whose workers are never started."""
    studio = Studio.open(settings)
    try:
        yield studio
    finally:
        studio.stop()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio whose worker runs the embedded model."""
    with Studio.open(Settings(data_dir=tmp_path_factory.mktemp("real"), device="cpu", drain_s=2)) as studio:
        yield studio


def row(**changes: object) -> MemoryRow:
    work = {"height": 64, "width": 64, "num_frames": 5, "duration_s": 0.4, "upscale": 1, "branches": 2, "has_video": True}
    peaks = json.dumps({"denoise": 2 * GIB})
    return replace(MemoryRow("cpu", "pocket", json.dumps(work), GIB, GIB, GIB, peaks, False, now()), **changes)


def test_nothing_measured_is_reckoned_and_nothing_is_made(idle: Studio) -> None:
    told = idle.forecasts.of(GenerationRequest(prompt="a ball"))
    assert told.runs == 0 and told.device == "cpu" and told.fits is True and told.change is None
    assert [each.stage for each in told.stages] == ["encode", "denoise", "decode picture", "decode sound", "write"]
    assert told.peak_bytes == max(each.peak_bytes for each in told.stages)
    assert told.sentence.startswith("Needs about ") and idle.jobs.counts() == (0, 0)


@pytest.mark.skipif(not ProcessGauge.is_possible(), reason="only Linux tells the peak of a process")
@pytest.mark.timeout(600)
def test_a_finished_job_is_evidence_for_the_next(real: Studio, small: Callable[..., GenerationRequest]) -> None:
    for seed in (1, 2):
        job = real.jobs.submit(OWNER, small(seed=seed, num_inference_steps=1))
        assert finished(real, job, 280).result is not None
    told = real.forecasts.of(small(seed=3))
    with real._database.read() as connection:
        runs = memory.latest(connection, "cpu", "pocket")
    assert told.runs == len(runs) == 2 and told.rest_bytes == runs[-1].settled_bytes
    measured = max(json.loads(runs[-1].peaks).values())
    assert told.peak_bytes == pytest.approx(measured, rel=0.15)
    assert told.free_bytes is not None and told.free_bytes > told.rest_bytes


def test_what_does_not_fit_comes_with_a_change_that_does(idle: Studio, settings: Settings, tmp_path: Path) -> None:
    """LTX-2 in float32 on this machine's processor: no change helps; a pocket that took all there is: a shorter one fits."""
    large = GenerationRequest(prompt="a ball", model="ltx-2", quantization="none")
    with closing_studio(settings.model_copy(update={"offload": Offload.NONE, "data_dir": tmp_path / "other"})) as stubborn:
        told = stubborn.forecasts.of(large)
    assert told.fits is False and told.change is None and " GB can be had." in told.sentence
    lean = idle.forecasts.of(large)
    assert lean.offload is Offload.BLOCKS and lean.peak_bytes < 0.3 * told.peak_bytes
    assert lean.sentence.endswith("Its blocks come one by one from the disk, which can take longer.")
    free = idle.forecasts.of(GenerationRequest(prompt="a ball")).free_bytes
    large = GenerationRequest(prompt="a ball", height=512, width=512, num_frames=121)
    reckoned = idle.forecasts.of(large)
    held = free - (reckoned.peak_bytes - reckoned.rest_bytes) // 2  # so much that half of what it needs is left
    with idle._database.write() as connection:
        memory.insert(connection, row(settled_bytes=held, rest_bytes=held, peaks="{}"))
    told = idle.forecasts.of(large)
    assert told.fits is False and told.change is not None
    lessened = idle.forecasts.of(large.model_copy(update=told.change.settings))
    assert lessened.peak_bytes < told.peak_bytes and "num_frames" in told.change.settings | {"num_frames": 0}


def test_a_size_that_ran_short_is_remembered(idle: Studio) -> None:
    with idle._database.write() as connection:
        memory.insert(connection, row(ran_short=True))
    assert idle.forecasts.of(GenerationRequest(prompt="a ball")).ran_short
    assert "ran short before" in idle.forecasts.of(GenerationRequest(prompt="a ball")).sentence
    smaller = GenerationRequest(prompt="a ball", height=64, width=64, num_frames=1)
    assert not idle.forecasts.of(smaller).ran_short


def test_only_the_latest_runs_are_kept(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    with database.write() as connection:
        memory.insert(connection, row(model="other"))
        for number in range(KEPT + 3):
            memory.insert(connection, row(rest_bytes=number))
        kept = memory.latest(connection, "cpu", "pocket")
        assert [each.rest_bytes for each in kept] == list(range(3, KEPT + 3))
        assert len(memory.latest(connection, "cpu", "other")) == 1 and memory.latest(connection, "cuda", "pocket") == []
        assert memory.latest_device(connection) == "cpu"
    database.close()


def test_edits_and_runs_that_nobody_weighed_are_no_evidence(idle: Studio) -> None:
    request = idle.catalogue.complete(GenerationRequest(prompt="a ball"))
    edit = EditRequest(prompt="a ball", source=f"clip:{'0' * 32}", edit={"kind": "mute"})
    metrics = {"memory.cpu.rest": 1.0, "memory.cpu.settled": 2.0, "memory.cpu.free": 3.0, "memory.cpu.write": 4.0}
    assert memory_row(request, {"seconds.mux": 1.0}) is None and memory_row(edit, metrics) is None
    found = memory_row(request, metrics)
    assert found is not None and (found.rest_bytes, found.settled_bytes, found.free_bytes) == (1, 2, 3)
    assert json.loads(found.peaks) == {"write": 4} and not found.ran_short


def test_a_family_is_foretold_once_it_was_seen(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "twin"
    wan.build().save_pretrained(folder)
    with closing_studio(settings.model_copy(update={"models": {"twin": folder}})) as studio:
        request = GenerationRequest(prompt="a dog", model="twin", height=64, width=64, num_frames=9)
        with pytest.raises(InvalidRequest, match="known once one of about its size was made here"):
            studio.forecasts.of(request)
        assert studio.models.state("twin").fits is None
        work = json.dumps(asdict(Work.of(studio.catalogue.complete(request))))
        peaks = json.dumps({"denoise": 3 * GIB, "decode picture": 2 * GIB})
        with studio._database.write() as connection:
            memory.insert(connection, row(model="twin", work=work, peaks=peaks))
        told = studio.forecasts.of(request)
        assert told.runs == 1 and told.peak_stage == "denoise" and told.peak_bytes == pytest.approx(3 * GIB, rel=0.1)
        assert [each.stage for each in told.stages] == ["denoise", "decode picture"]
        larger = request.model_copy(update={"num_frames": 41})
        with pytest.raises(InvalidRequest, match="of about its size"):
            studio.forecasts.of(larger)
        assert studio.models.state("twin").fits is None, "its own settings are larger by far"


def test_what_cannot_be_made_cannot_be_forecast(idle: Studio) -> None:
    with pytest.raises(InvalidRequest, match="height"):
        idle.forecasts.of(GenerationRequest(prompt="a ball", height=100))
    with pytest.raises(ModelNotFound):
        idle.forecasts.of(GenerationRequest(prompt="a ball", model="nothing"))
