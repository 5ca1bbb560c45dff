"""A studio whose worker makes clips on two devices: a rank that is killed costs an attempt, never the job."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from pipelines.clip_io import read_origin
from pipelines.contract import GenerationRequest
from pipelines.models.ltx2 import twin
from studio.settings import Settings
from studio.studio import Studio
from tests.studio.rooms import OWNER, finished, wait_for

pytestmark = pytest.mark.fault


def ranks() -> list[int]:
    """The other ranks of this process's workers."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "pipelines.optimize.parallel.rank" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def test_a_killed_rank_sends_the_job_back_and_the_next_attempt_finishes_it(tmp_path):
    twin.build("2.3").save_pretrained(tmp_path / "twin")
    settings = Settings(
        data_dir=tmp_path / "data", device="cpu+cpu", parallel="branches=2", models={"twin": tmp_path / "twin"}, preload=False
    )
    request = GenerationRequest(
        prompt="a red ball", model="twin", seed=1, height=64, width=64, num_frames=9, num_inference_steps=200, guidance_scale=3.0
    )
    with Studio.open(settings) as studio:
        job = studio.jobs.submit(OWNER, request)
        wait_for(lambda: studio.jobs.preview(OWNER, job.id), 180)
        (victim,) = ranks()
        killed_at = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: studio.jobs.get(OWNER, job.id).attempts == 2, 60)
        assert time.monotonic() - killed_at < 60
        assert "rank 1 of 2 on cpu was ended by signal 9" in (settings.logs_dir / "worker-1.log").read_text()
        done = finished(studio, job, 200)
        assert (done.state, done.attempts) == ("done", 2)
        assert read_origin(studio.library.file(OWNER, done.result.id)).request.prompt == "a red ball"
    wait_for(lambda: not ranks(), 20)


def test_a_rank_that_dies_each_time_ends_the_job_with_a_reason(tmp_path):
    twin.build("2.3").save_pretrained(tmp_path / "twin")
    settings = Settings(
        data_dir=tmp_path / "data", device="cpu+cpu", models={"twin": tmp_path / "twin"}, preload=False, max_attempts=1
    )
    with Studio.open(settings) as studio:
        job = studio.jobs.submit(OWNER, GenerationRequest(prompt="a bee", model="twin", height=64, width=64, num_frames=9))
        wait_for(ranks, 180)
        os.kill(ranks()[0], signal.SIGKILL)
        told = finished(studio, job, 120)
        assert told.state == "failed"
        assert "stopped the worker once, the last time because rank 1 of 2 on cpu was ended by signal 9" in told.error.message


def test_devices_that_are_not_here_are_refused_in_one_sentence(tmp_path):
    twin.build("2.3").save_pretrained(tmp_path / "twin")
    settings = Settings(data_dir=tmp_path / "data", device="cuda:98+cuda:99", models={"twin": tmp_path / "twin"}, preload=False)
    with Studio.open(settings) as studio:
        job = studio.jobs.submit(OWNER, GenerationRequest(prompt="a bee", model="twin", height=64, width=64, num_frames=9))
        told = finished(studio, job, 120)
        assert (told.state, told.attempts, told.error.field) == ("failed", 1, "device")
        assert told.error.message.startswith("device names cuda:98 and cuda:99, but this machine has 0 CUDA GPUs")
