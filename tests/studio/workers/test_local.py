"""Real worker processes: failures, crashes, hangs, stopping, and a single run without a studio."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import psutil
import pytest

from pipelines.clip_io import read_request
from pipelines.contract import InvalidRequest, Metric, Preview, Progress, StudioError
from pipelines.models.ltx2 import twin
from pipelines.optimize.memory import Work
from studio.services.records import now
from studio.settings import Settings
from studio.storage import memory
from studio.storage.memory import MemoryRow
from studio.studio import Studio
from studio.workers.local import run_once
from tests.studio.rooms import OWNER, fast_settings, finished, wait_for


@pytest.mark.parametrize(
    ("prompt", "message", "field"),
    [
        ("refuse", "upload the image again", "first_frame"),
        ("starve", "make the clip smaller", "num_frames"),
        ("stumble", "ValueError", None),
    ],
)
def test_a_failure_has_a_reason_and_is_not_tried_again(busy, small, prompt, message, field):
    job = finished(busy, busy.jobs.submit(OWNER, small(prompt)))
    assert (job.state, job.attempts, job.error.field) == ("failed", 1, field) and message in job.error.message
    assert finished(busy, busy.jobs.submit(OWNER, small("next"))).state == "done"
    log = (busy.settings.logs_dir / "worker-1.log").read_text()
    assert ("a bug" in log) == (prompt == "stumble")


def test_a_worker_that_hangs_is_replaced_within_its_lease(busy, small):
    job = busy.jobs.submit(OWNER, small("hang"))
    wait_for(lambda: busy.jobs.get(OWNER, job.id).attempts == 2, timeout_s=2 * busy.settings.lease_s + 15)
    assert finished(busy, job).error.message.count("no sign of life") == 1
    assert finished(busy, busy.jobs.submit(OWNER, small())).state == "done"


def test_cancelling_does_not_wait_for_a_download(busy, small):
    job, waiting = busy.jobs.submit(OWNER, small("download")), busy.jobs.submit(OWNER, small("next"))
    wait_for(lambda: busy.jobs.get(OWNER, job.id).state == "running")
    busy.jobs.cancel(OWNER, job.id)
    assert finished(busy, job).state == "cancelled"
    assert finished(busy, waiting).state == "done"


def test_a_worker_that_dies_while_it_loads_is_a_problem_and_not_started_in_a_hurry(tmp_path):
    with Studio.open(fast_settings(tmp_path, engine="tests.studio.fast_engine:DiesLoading", preload=True)) as studio:
        wait_for(lambda: studio.health().problems)
        assert "does not start" in studio.health().problems[0] and not studio.health().ready


def test_a_worker_is_told_what_was_measured_and_what_comes_next(tmp_path, small):
    with Studio.open(fast_settings(tmp_path)) as studio:
        work = json.dumps(asdict(Work(64, 64, 5, 0.4)))
        measured = MemoryRow("cpu", "pocket", work, 1, 1, 1, "{}", False, now())
        with studio._database.write() as connection:
            memory.insert(connection, measured)
            memory.insert(connection, replace(measured, work='{"of": "a later studio"}'))
        studio.jobs.pause()
        lengths = {"first": 9, "second": 17, "third": 25}  # so that none are made together
        jobs = [studio.jobs.submit(OWNER, small(prompt, num_frames=frames)) for prompt, frames in lengths.items()]
        studio.jobs.resume()
        for job in jobs:
            assert finished(studio, job).state == "done"
        told = {
            name: (studio.settings.media_dir / f"{name}.jsonl").read_text().splitlines() for name in ("expected", "remembered")
        }
    assert list(map(json.loads, told["expected"])) == [["second", "third"], ["third"], []]
    assert list(map(json.loads, told["remembered"])) == [["pocket", 1]] * 3


def test_two_workers_share_the_queue(tmp_path, small):
    with Studio.open(fast_settings(tmp_path, workers=2, device="cpu, cpu")) as studio:
        wait_for(lambda: [worker.state for worker in studio.health().workers] == ["idle", "idle"])
        both = [studio.jobs.submit(OWNER, small("slowly", num_inference_steps=20)) for _ in range(2)]
        wait_for(lambda: studio.health().running == 2)
        assert studio.health().ready
        assert [finished(studio, job).state for job in both] == ["done", "done"]


def test_a_worker_that_cannot_start_is_a_problem_and_keeps_the_queue(tmp_path, small):
    with Studio.open(fast_settings(tmp_path, engine="tests.studio.fast_engine:Missing")) as studio:
        job = studio.jobs.submit(OWNER, small())
        wait_for(lambda: studio.health().problems)
        health = studio.health()
        assert (
            health.live and not health.ready and "does not start" in health.problems[0] and "worker-1.log" in health.problems[0]
        )
        assert studio.jobs.get(OWNER, job.id).state == "queued"


def test_stopping_leaves_no_process_behind(tmp_path, small):
    studio = Studio.open(fast_settings(tmp_path, drain_s=0.2))
    studio.start()
    job = studio.jobs.submit(OWNER, small("slowly", num_inference_steps=100))
    wait_for(lambda: studio.jobs.preview(OWNER, job.id))
    (pid,) = studio._workers.pids()
    studio.stop()
    assert not psutil.pid_exists(pid)
    studio = Studio.open(fast_settings(tmp_path, workers=0))
    back = studio.jobs.get(OWNER, job.id)
    studio.stop()
    assert (back.state, back.attempts) == ("queued", 0)


def test_ctrl_c_and_termination_are_not_for_the_worker(busy, small):
    wait_for(lambda: busy.health().workers[0].state == "idle")
    (pid,) = busy._workers.pids()
    job = busy.jobs.submit(OWNER, small("slowly", num_inference_steps=10))
    wait_for(lambda: busy.jobs.preview(OWNER, job.id))
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    done = finished(busy, job)
    assert (done.state, done.attempts) == ("done", 1) and busy._workers.pids() == (pid,)


def test_the_studio_loads_no_torch(tmp_path):
    code = (
        "import sys, pathlib; from studio.settings import Settings; from studio.studio import Studio;"
        f"studio = Studio.open(Settings(data_dir=pathlib.Path({str(tmp_path)!r}))); studio.stop();"
        "print(sorted({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.fixture(scope="module")
def twin_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin")
    twin.build("2.3").save_pretrained(folder)
    return folder


QUICK = {"model": "twin", "height": 64, "width": 64, "num_frames": 9, "frame_rate": 12.0, "num_inference_steps": 3}


def test_the_real_engine_from_prompt_to_library(tmp_path, twin_folder, small):
    settings = Settings(data_dir=tmp_path, models={"twin": twin_folder}, device="cpu", preload=False)
    with Studio.open(settings) as studio:
        job = finished(studio, studio.jobs.submit(OWNER, small("a red ball", **QUICK)), timeout_s=180)
        assert job.state == "done", job.error
        again = finished(studio, studio.jobs.submit(OWNER, small("a red ball", **QUICK, crf=30)), timeout_s=60)
        assert set(again.result.stage_seconds) == {"mux"}, "the same worker still knows what it imagined"
        for made in (job, again):
            assert studio.library.restore(OWNER, studio.library.file(OWNER, made.result.id)) == made.request
            assert studio.library.thumbnail(OWNER, made.result.id).exists()
        assert {"sound.peak_dbfs", "temporal.flicker"} <= set(job.result.measurements)
        long = studio.jobs.submit(OWNER, small("a blue star", **(QUICK | {"num_inference_steps": 200})))
        wait_for(lambda: (studio.jobs.get(OWNER, long.id).progress or job.result).model_dump().get("stage") == "denoise", 60)
        studio.jobs.cancel(OWNER, long.id)
        assert finished(studio, long, timeout_s=10).state == "cancelled"


def test_a_single_run_without_a_studio(tmp_path, small):
    events = []
    path = tmp_path / "clip.mp4"
    settings = fast_settings(tmp_path / "data")
    clip = run_once(settings, small("a red ball", seed=None), events.append, path=path)
    assert clip.path == path and clip.request.seed is not None and read_request(path)[0] == clip.request
    assert {type(event) for event in events} == {Progress, Preview, Metric}
    assert not settings.data_dir.exists()


def test_a_single_run_tells_what_went_wrong(tmp_path, small):
    settings = fast_settings(tmp_path)
    with pytest.raises(InvalidRequest, match="upload the image again") as caught:
        run_once(settings, small("refuse"), print, path=tmp_path / "clip.mp4")
    assert caught.value.field == "first_frame"
    with pytest.raises(StudioError, match="went down"):
        run_once(settings, small("crash"), print, path=tmp_path / "clip.mp4")
    with pytest.raises(InvalidRequest, match="num_frames"):
        run_once(settings, small(num_frames=2), print, path=tmp_path / "clip.mp4")
    assert list(tmp_path.glob("*.mp4")) == []


def test_ctrl_c_during_a_single_run_leaves_nothing(tmp_path, small):
    def interrupt(event: object) -> None:
        if isinstance(event, Preview):
            raise KeyboardInterrupt

    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(KeyboardInterrupt):
        run_once(fast_settings(tmp_path), small("slowly", num_inference_steps=50), interrupt, path=tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []
    assert set(psutil.Process().children(recursive=True)) <= before, "the child process ended with its run"
