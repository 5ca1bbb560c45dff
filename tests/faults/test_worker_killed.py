"""Workers that die: 20 times in the middle of a batch, and three times over the same job."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial

import psutil
import pytest

from studio.services.records import JobState
from studio.studio import Studio
from tests.studio.rooms import OWNER, fast_settings, finished, wait_for

pytestmark = pytest.mark.fault
KILLS = 20
LEASE_S = 5.0


def worker_pid() -> int | None:
    """The one child of this process that works for the studio."""
    for child in psutil.Process().children():
        try:
            if "studio.workers.child" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                return child.pid
        except psutil.NoSuchProcess:
            continue
    return None


def running_attempt(studio: Studio) -> tuple[str, int] | None:
    """The running job and which attempt at it this is."""
    jobs = studio.jobs.list(OWNER, states=[JobState.RUNNING])
    return (jobs[0].id, jobs[0].attempts) if jobs else None


def is_back(studio: Studio, victim: int, attempt: tuple[str, int]) -> bool:
    """Whether another worker runs another attempt."""
    return worker_pid() not in (victim, None) and running_attempt(studio) not in (attempt, None)


def test_twenty_kills_lose_nothing_and_repeat_nothing(tmp_path, small):
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    settings = fast_settings(tmp_path / "data", lease_s=LEASE_S, max_attempts=KILLS + 1)
    recoveries, submitted, hit = [], [], 0
    with Studio.open(settings) as studio:
        for _ in range(KILLS):
            while studio.jobs.counts()[0] < 3:
                submitted.append(
                    studio.jobs.submit(OWNER, small(f"job {len(submitted)}", num_inference_steps=chance.randint(5, 40))).id
                )
            wait_for(lambda: running_attempt(studio) and worker_pid())
            time.sleep(chance.uniform(0, 0.6))
            victim, attempt = worker_pid(), running_attempt(studio)
            killed_at = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            # Back at work: another attempt runs, on this job or (when it was just done) on the next one.
            wait_for(partial(is_back, studio, victim, attempt), LEASE_S)
            recoveries.append(time.monotonic() - killed_at)
            hit += attempt is not None and studio.jobs.get(OWNER, attempt[0]).attempts > attempt[1]
        wait_for(lambda: studio.jobs.counts() == (0, 0), 60)
        jobs = {job.id: job for job in studio.jobs.list(OWNER, limit=1000)}
        clips = studio.library.page(OWNER, limit=200).clips
        files = {path for path in settings.clips_dir.rglob("*.mp4") if not path.name.startswith(".")}
        assert set(jobs) == set(submitted), f"jobs were lost or made up (seed {seed})"
        assert {job.state for job in jobs.values()} == {"done"}, f"not every job is done (seed {seed})"
        assert sorted(clip.job_id for clip in clips) == sorted(submitted), f"a job is done twice or not at all (seed {seed})"
        assert {studio.library.file(OWNER, clip.id) for clip in clips} <= files
        assert hit >= KILLS // 2, "most kills are meant to hit a running job"
        assert max(recoveries) < LEASE_S
    with Studio.open(settings.model_copy(update={"workers": 0})) as studio:
        left = [path for path in settings.clips_dir.rglob("*") if path.is_file()]
        assert sorted(left) == sorted(studio.library.file(OWNER, clip.id) for clip in clips), "what a killed worker left is swept"
    print(f"{KILLS} kills, {hit} in a running job, recovery at most {max(recoveries):.2f} s (seed {seed})")


def test_a_job_that_kills_its_worker_three_times_is_given_up(busy, small):
    poison, next_one = (busy.jobs.submit(OWNER, small(prompt)) for prompt in ("crash", "harmless"))
    failed = finished(busy, poison)
    assert (failed.state, failed.attempts) == ("failed", 3)
    assert "stopped the worker three times" in failed.error.message and "smaller or shorter" in failed.error.message
    assert finished(busy, next_one).state == "done"
    assert busy.health().live


def test_cancelling_a_hanging_job_works_when_its_lease_is_over(busy, small):
    job = busy.jobs.submit(OWNER, small("hang"))
    wait_for(lambda: busy.jobs.preview(OWNER, job.id))
    busy.jobs.cancel(OWNER, job.id)
    assert finished(busy, job, timeout_s=busy.settings.lease_s + 5).state == "cancelled"
