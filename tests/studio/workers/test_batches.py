"""Waiting jobs that real worker processes make together: fairly, each with an end of its own, nobody blamed for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.contract import GenerationRequest
from studio.services.records import JobState
from studio.studio import Studio
from studio.workers.batches import Batches
from tests.studio.rooms import OWNER, fast_settings, finished, wait_for


@pytest.fixture
def still(tmp_path: Path):
    """A studio without workers: jobs are claimed by hand."""
    studio = Studio.open(fast_settings(tmp_path, workers=0))
    yield studio
    studio.stop()


def queued(studio: Studio, requests: list[GenerationRequest], owner: str = OWNER) -> list[str]:
    return [studio.jobs.submit(owner, request).id for request in requests]


def in_one_go(studio: Studio, requests: list[GenerationRequest]) -> list[str]:
    """Jobs that all wait before the first of them is taken."""
    group = studio.jobs.submit_group(OWNER, requests)
    return [job.id for job, _ in studio.jobs.group(OWNER, group)]


def told(studio: Studio, job_id: str, name: str) -> list[float]:
    events = studio.jobs.events_after(OWNER, job_id, 1)
    return [event.metric.value for event in events if event.metric and event.metric.name == name]


def test_jobs_are_taken_as_they_stand_and_nobody_is_overtaken(still, small):
    ids = queued(still, [small(seed=1), small(seed=2), small(num_inference_steps=7), small(seed=3)])
    first = still._desk.claim()
    more = still._desk.claim_more(first, 3, 1)
    assert [first.job_id, *(lease.job_id for lease in more)] == ids[:2]
    assert [still.jobs.get(OWNER, job_id).state for job_id in ids] == ["running", "running", "queued", "queued"]
    other = still._desk.claim()
    assert other.job_id == ids[2] and not still._desk.claim_more(other, 3, 1)


def test_no_more_than_asked_for_and_each_worker_its_part(still, small):
    queued(still, [small(seed=seed) for seed in range(9)])
    assert len(still._desk.claim_more(still._desk.claim(), 3, 1)) == 3
    assert len(still._desk.claim_more(still._desk.claim(), 3, 4)) == 1, "five wait for four workers"
    still.jobs.pause()
    assert still._desk.claim() is None


def test_a_job_that_took_its_worker_down_is_made_alone(still, small):
    queued(still, [small(seed=1), small(seed=2), small(seed=3)])
    first = still._desk.claim()
    still._desk.crashed(first, "it fell")
    again = still._desk.claim()
    assert again.job_id == first.job_id and not still._desk.claim_more(again, 3, 1)
    second = still._desk.claim()
    still._desk.crashed(second, "it fell")
    third = still._desk.claim()
    assert third.job_id == second.job_id


def test_waiting_jobs_are_made_together_and_each_becomes_a_clip(busy, small):
    wait_for(lambda: busy.health().workers[0].state == "idle")
    ids = in_one_go(busy, [small(f"ball {seed}", seed=seed, num_inference_steps=10) for seed in range(4)])
    done = [finished(busy, busy.jobs.get(OWNER, job_id)) for job_id in ids]
    assert [job.state for job in done] == ["done"] * 4 and len({job.result.id for job in done}) == 4
    assert [job.result.request.seed for job in done] == [0, 1, 2, 3]
    assert [told(busy, job_id, "batch.size") for job_id in ids] == [[4.0]] * 4
    assert busy.library.page(OWNER).total == 4


def test_one_of_them_is_cancelled_at_once_and_the_others_go_on(busy, small):
    wait_for(lambda: busy.health().workers[0].state == "idle")
    ids = in_one_go(busy, [small(f"slowly {seed}", seed=seed, num_inference_steps=15) for seed in range(3)])
    wait_for(lambda: all(busy.jobs.get(OWNER, job_id).state == "running" for job_id in ids))
    busy.jobs.cancel(OWNER, ids[1])
    wait_for(lambda: busy.jobs.get(OWNER, ids[1]).state == "cancelled", 2.0)
    assert [busy.jobs.get(OWNER, job_id).state for job_id in (ids[0], ids[2])] == ["running"] * 2, "they are not done yet"
    assert [finished(busy, busy.jobs.get(OWNER, job_id)).state for job_id in ids] == ["done", "cancelled", "done"]


def test_one_that_takes_the_worker_down_costs_the_others_a_new_start_and_nothing_else(busy, small):
    wait_for(lambda: busy.health().workers[0].state == "idle")
    ids = in_one_go(busy, [small("crash"), small("ball", seed=2), small("ball", seed=3)])
    ends = [finished(busy, busy.jobs.get(OWNER, job_id), 60.0) for job_id in ids]
    assert [job.state for job in ends] == ["failed", "done", "done"]
    assert [job.attempts for job in ends] == [busy.settings.max_attempts, 2, 2]


def test_a_bug_of_one_is_told_to_it_alone(busy, small):
    wait_for(lambda: busy.health().workers[0].state == "idle")
    ids = in_one_go(busy, [small("ball", seed=1), small("stumble", seed=2), small("refuse", seed=3), small("ball", seed=4)])
    ends = [finished(busy, busy.jobs.get(OWNER, job_id)) for job_id in ids]
    assert [job.state for job in ends] == ["done", "failed", "failed", "done"]
    assert "ValueError" in ends[1].error.message and ends[2].error.field == "first_frame"
    assert [job.attempts for job in ends] == [1, 1, 1, 1]


def test_the_studios_end_gives_all_of_them_back(tmp_path, small):
    studio = Studio.open(fast_settings(tmp_path, drain_s=0.2))
    studio.start()
    wait_for(lambda: studio.health().workers[0].state == "idle")
    ids = in_one_go(studio, [small(f"slowly {seed}", num_inference_steps=100) for seed in range(3)])
    wait_for(lambda: all(studio.jobs.get(OWNER, job_id).state == "running" for job_id in ids))
    studio.stop()
    studio = Studio.open(fast_settings(tmp_path, workers=0))
    back = [studio.jobs.get(OWNER, job_id) for job_id in ids]
    studio.stop()
    assert [(job.state, job.attempts) for job in back] == [(JobState.QUEUED, 0)] * 3


def test_how_many_is_learned_and_has_a_limit(tmp_path, small):
    settings = fast_settings(tmp_path, batch=4)
    request = settings.catalogue.complete(small())
    batches = Batches(settings, shares_out=False)
    assert batches.most(request) == 4 and Batches(settings, shares_out=True).most(request) == 1
    assert Batches(fast_settings(tmp_path, batch=1), shares_out=False).most(request) == 1
    for size, seconds in ((1.0, 2.0), (4.0, 2.1)):
        batches.learn([(request, {"batch.size": size, "seconds.denoise": seconds})])
    assert batches.most(request) == 1
    assert batches.most(settings.catalogue.complete(small(num_inference_steps=9))) == 4, "nothing is known of those yet"


def test_one_slow_batch_is_one_of_several_whatever_its_size(tmp_path, small):
    settings = fast_settings(tmp_path, batch=4)
    request = settings.catalogue.complete(small())
    batches = Batches(settings, shares_out=False)
    batches.learn([(request, {"seconds.denoise": 2.0})])
    for seconds in (1.0, 9.0, 1.1):
        batches.learn([(request, {"batch.size": 4.0, "seconds.denoise": seconds})] * 4)
    assert batches.most(request) == 4
