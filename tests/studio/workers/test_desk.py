"""Leases and fencing at the desk: a late worker is not listened to, and a clip and its job appear together or not at all."""

from __future__ import annotations

import dataclasses
import time

import pytest

from pipelines.contract import Clip, Done
from pipelines.optimize.memory import Work
from studio.services.records import ClipFilter
from studio.storage.database import sqlite3
from studio.studio import Studio
from studio.workers.desk import Lease
from tests.studio.fast_engine import FastEngine
from tests.studio.rooms import OWNER, fast_settings

GIB = 2**30


def made(studio: Studio, lease: Lease) -> Clip:
    engine = FastEngine(studio.catalogue, media_dir=studio.settings.media_dir)
    return next(event.result for event in engine.run(lease.request, lease.path) if isinstance(event, Done))


@pytest.fixture
def short(tmp_path):
    """A studio without workers whose leases are over at once."""
    studio = Studio.open(fast_settings(tmp_path, workers=0, lease_s=0.05))
    yield studio
    studio.stop()


def test_a_late_result_is_refused_and_swept_away(short, small):
    job = short.jobs.submit(OWNER, small())
    first = short._desk.claim()
    clip = made(short, first)
    time.sleep(0.1)
    second = short._desk.claim()
    assert (second.job_id, second.fence, second.attempts) == (job.id, first.fence + 1, 2)
    assert not short._desk.renew(first) and short._desk.renew(second)
    assert not short._desk.finish(first, clip) and not first.path.exists()
    assert short.jobs.get(OWNER, job.id).state == "running" and short.library.page(OWNER).total == 0
    assert short._desk.finish(second, made(short, second))
    assert not short._desk.finish(second, made(short, second))
    assert short.jobs.get(OWNER, job.id).state == "done" and short.library.page(OWNER).total == 1


def test_the_studios_own_end_is_not_the_jobs_fault_but_not_for_ever(short, small):
    job = short.jobs.submit(OWNER, small())
    for _ in range(9):
        assert short._desk.claim().attempts == 1
        short._desk.recover()  # what the next start does with what a killed studio left running
        assert (short.jobs.get(OWNER, job.id).state, short.jobs.get(OWNER, job.id).attempts) == ("queued", 0)
    short._desk.claim()
    short._desk.recover()
    assert "the studio itself went down 10 times" in short.jobs.get(OWNER, job.id).error.message


def test_a_cancelled_job_does_not_come_back_after_the_studios_end(short, small):
    job = short.jobs.submit(OWNER, small())
    short._desk.claim()
    short.jobs.cancel(OWNER, job.id)
    short._desk.recover()
    assert short.jobs.get(OWNER, job.id).state == "cancelled"


def test_clip_and_job_are_one_transaction(short, small):
    job = short.jobs.submit(OWNER, small())
    lease = short._desk.claim()
    clip = made(short, lease)
    with short._database.write() as connection:
        connection.execute("CREATE TRIGGER no_clips BEFORE INSERT ON clips BEGIN SELECT RAISE(ABORT, 'not now'); END")
    with pytest.raises(sqlite3.IntegrityError, match="not now"):
        short._desk.finish(lease, clip)
    assert short.jobs.get(OWNER, job.id).state == "running"
    with short._database.write() as connection:
        connection.execute("DROP TRIGGER no_clips")
    assert short._desk.finish(lease, clip)
    done = short.jobs.get(OWNER, job.id)
    assert done.state == "done" and done.result.created_at == done.finished_at


def test_an_expired_lease_costs_an_attempt_and_the_third_the_job(short, small):
    job, other = short.jobs.submit(OWNER, small()), short.jobs.submit(OWNER, small())
    for attempt in (1, 2, 3):
        assert short._desk.claim().attempts == attempt
        time.sleep(0.1)
    assert short._desk.claim().job_id == other.id
    failed = short.jobs.get(OWNER, job.id)
    assert failed.state == "failed" and "stopped the worker three times" in failed.error.message
    assert [event.kind for event in short.jobs.events_after(OWNER, job.id, 0)] == ["state", "failed"]


def test_an_interrupted_job_keeps_its_attempts(short, small):
    job = short.jobs.submit(OWNER, small())
    short._desk.give_back(short._desk.claim())
    back = short.jobs.get(OWNER, job.id)
    assert (back.state, back.attempts, back.progress) == ("queued", 0, None)


def test_a_job_that_was_to_be_cancelled_is_not_tried_again(short, small):
    for lose in (short._desk.give_back, lambda lease: short._desk.crashed(lease, "it fell")):
        job = short.jobs.submit(OWNER, small())
        lease = short._desk.claim()
        short.jobs.cancel(OWNER, job.id)
        lose(lease)
        assert short.jobs.get(OWNER, job.id).state == "cancelled"


def test_names_come_from_the_prompt(short, small):
    short.jobs.submit(OWNER, small("x" * 100))
    lease = short._desk.claim()
    assert short._desk.finish(lease, made(short, lease))
    (clip,) = short.library.page(OWNER, ClipFilter()).clips
    assert clip.name == "x" * 59 + "…" and clip.id == lease.clip_id
    assert not dataclasses.is_dataclass(clip)


def test_a_lease_says_what_is_next_in_line(short, small):
    for prompt in ("first", "second", "third"):
        short.jobs.submit(OWNER, small(prompt))
    lease = short._desk.claim()
    assert [lease.request.prompt, *(each.prompt for each in lease.coming)] == ["first", "second", "third"]


def test_a_lease_brings_what_its_models_runs_took_before(short, small):
    short.jobs.submit(OWNER, small())
    short.jobs.submit(OWNER, small())
    first = short._desk.claim()
    assert first.evidence is None, "nothing was measured here yet"
    told = {"rest": GIB, "settled": GIB, "free": GIB, "denoise": 2 * GIB, "short": 1}
    first.metrics.update({f"memory.cpu.{name}": float(value) for name, value in told.items()})
    assert short._desk.finish(first, made(short, first))
    evidence = short._desk.claim().evidence
    assert evidence.device == "cpu" and evidence.short_pixels() == Work.of(first.request).made_pixels
    assert evidence.runs[0].peaks == {"denoise": 2 * GIB} and evidence.runs[0].settled_bytes == GIB
