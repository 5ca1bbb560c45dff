"""Submitting, watching, cancelling, reordering and pausing jobs."""

from __future__ import annotations

import io
import threading

import pytest
from PIL import Image

from pipelines.contract import Conflict, InvalidRequest, ModelNotFound, NotAllowed, NotFound, TooLarge
from studio.services.records import Job, JobState
from studio.studio import Studio
from tests.studio.rooms import OWNER, fast_settings, finished, wait_for


def submit(studio: Studio, request, **options) -> Job:
    return studio.jobs.submit(OWNER, request, **options)


def queue(studio: Studio, owner: str = OWNER) -> list[str]:
    return [job.id for job in studio.jobs.list(owner, states=[JobState.QUEUED])]


def test_a_prompt_becomes_a_clip_in_the_library(busy, small):
    job = submit(busy, small("a red ball bouncing", seed=None))
    assert (job.state, job.attempts, job.error, job.result, job.progress) == ("queued", 0, None, None, None)
    done = finished(busy, job)
    assert (done.state, done.attempts, done.position, done.error) == ("done", 1, None, None)
    assert done.request.seed is not None and done.request == done.result.request
    assert done.result == busy.library.get(OWNER, done.result.id)
    assert done.result.job_id == job.id and done.result.name == "a red ball bouncing"
    assert done.created_at < done.started_at < done.finished_at
    assert busy.library.restore(OWNER, busy.library.file(OWNER, done.result.id)) == done.request


def test_watching_a_job_from_start_to_end(busy, small):
    job = submit(busy, small("slowly", num_inference_steps=8))
    events, last = [], 0
    while not (events and events[-1].job.state.is_final):
        news = busy.jobs.events_after(OWNER, job.id, last)
        assert [event.id for event in news] == sorted({event.id for event in news}) and all(event.id > last for event in news)
        events += news
        last = news[-1].id if news else last
    assert events[0].kind == "state" and events[-1].kind == "done" and events[-1].job.result is not None
    fractions = [event.job.progress.fraction for event in events if event.job.progress]
    assert fractions == sorted(fractions) and fractions[-1] > 0.9 and len(set(fractions)) > 5
    versions = [event.job.progress.preview_version for event in events if event.kind == "preview"]
    assert versions == sorted(set(versions)) and versions
    assert any(event.metric and event.metric.name == "seconds.denoise" for event in events)
    remaining = [event.job.progress.remaining_s for event in events if event.job.progress and event.job.progress.remaining_s]
    assert remaining and all(0 <= seconds < 10 for seconds in remaining)
    assert busy.jobs.events_after(OWNER, job.id, last) == []
    assert [event.kind for event in busy.jobs.events_after(OWNER, job.id, 0)] == ["state", "done"]
    assert [event.id for event in busy.jobs.events_after(OWNER, job.id, last - 1)] == [last]


def test_previews_belong_to_their_owner(busy, small):
    job = submit(busy, small("slowly", num_inference_steps=20))
    assert busy.jobs.preview(OWNER, job.id) is None
    wait_for(lambda: busy.jobs.preview(OWNER, job.id))
    assert busy.jobs.preview(OWNER, job.id).mime == "image/webp"
    with pytest.raises(NotFound):
        busy.jobs.preview("somebody", job.id)
    busy.jobs.cancel(OWNER, job.id)


def test_everything_of_a_stranger_is_not_found(idle, small):
    job = submit(idle, small())
    for ask in (
        lambda: idle.jobs.get("somebody", job.id),
        lambda: idle.jobs.cancel("somebody", job.id),
        lambda: idle.jobs.retry("somebody", job.id),
        lambda: idle.jobs.move("somebody", job.id, 1),
        lambda: idle.jobs.events_after("somebody", job.id, 0),
        lambda: idle.jobs.get(OWNER, "nonsense"),
    ):
        with pytest.raises(NotFound, match="no such job"):
            ask()
    assert idle.jobs.list("somebody") == [] and idle.jobs.get(OWNER, job.id).state == "queued"


def test_a_retried_submit_is_the_same_job(idle, small):
    first = submit(idle, small(seed=None), idempotency_key="k")
    again = submit(idle, small(seed=None), idempotency_key="k")
    assert again == first and len(idle.jobs.list(OWNER)) == 1
    with pytest.raises(Conflict, match="new key"):
        submit(idle, small("another"), idempotency_key="k")
    assert idle.jobs.submit("somebody", small("another"), idempotency_key="k").id != first.id
    with pytest.raises(InvalidRequest, match="1 to 200"):
        submit(idle, small(), idempotency_key="x" * 201)


def test_one_key_from_many_threads_is_one_job(idle, small):
    ids = []
    threads = [
        threading.Thread(target=lambda: ids.append(submit(idle, small(seed=None), idempotency_key="k").id)) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 16 and len(set(ids)) == 1


def test_priority_goes_before_order(idle, small):
    ids = [submit(idle, small(str(n)), priority=p).id for n, p in enumerate((0, 0, 5, -5, 5))]
    assert queue(idle) == [ids[2], ids[4], ids[0], ids[1], ids[3]]
    assert [idle.jobs.get(OWNER, job_id).position for job_id in ids] == [3, 4, 1, 5, 2]
    with pytest.raises(InvalidRequest, match="-100 to 100"):
        submit(idle, small(), priority=101)


def test_moving_within_ones_own_jobs(idle, small):
    mine = [submit(idle, small(str(n))).id for n in range(2)]
    theirs = idle.jobs.submit("somebody", small()).id
    mine += [submit(idle, small("2")).id]
    assert idle.jobs.move(OWNER, mine[2], 1).position == 1
    assert queue(idle) == [mine[2], mine[0], mine[1]]
    assert idle.jobs.get("somebody", theirs).position == 3
    assert idle.jobs.move(OWNER, mine[2], 99).position == 4
    with pytest.raises(InvalidRequest, match="use 1"):
        idle.jobs.move(OWNER, mine[0], 0)
    idle.jobs.cancel(OWNER, mine[0])
    with pytest.raises(Conflict, match="only waiting"):
        idle.jobs.move(OWNER, mine[0], 1)


def test_a_watcher_learns_its_place_in_the_queue(idle, small):
    ahead, job = submit(idle, small("first")), submit(idle, small("second"))
    shown = idle.jobs.events_after(OWNER, job.id, 0)[-1]
    assert shown.job.position == 2
    idle.jobs.cancel(OWNER, ahead.id)
    news = idle.jobs.events_after(OWNER, job.id, shown.id)
    assert [event.job.position for event in news] == [1]
    assert idle.jobs.events_after(OWNER, job.id, news[-1].id) == []


def test_cancelling_a_waiting_job_is_immediate(idle, small):
    job = idle.jobs.cancel(OWNER, submit(idle, small()).id)
    assert (job.state, job.position, job.cancel_requested) == ("cancelled", None, True)
    assert idle.jobs.cancel(OWNER, job.id) == job
    assert [event.kind for event in idle.jobs.events_after(OWNER, job.id, 0)] == ["state", "cancelled"]


def test_cancelling_a_running_job_takes_a_step(busy, small, settings):
    job = submit(busy, small("slowly", num_inference_steps=100))
    wait_for(lambda: busy.jobs.preview(OWNER, job.id))
    assert busy.jobs.cancel(OWNER, job.id).cancel_requested
    over = finished(busy, job, timeout_s=2)
    assert (over.state, over.result, over.error) == ("cancelled", None, None)
    assert [path for path in settings.clips_dir.rglob("*") if path.is_file()] == []
    assert finished(busy, submit(busy, small("next"))).state == "done"
    with pytest.raises(Conflict, match="done already"):
        busy.jobs.cancel(OWNER, busy.jobs.list(OWNER)[0].id)


def test_a_finished_job_can_be_tried_again(busy, small):
    job = finished(busy, submit(busy, small()))
    again = busy.jobs.retry(OWNER, job.id)
    assert again.id != job.id and again.request == job.request
    assert finished(busy, again).state == "done"


def test_a_waiting_job_cannot_be_tried_again(idle, small):
    with pytest.raises(Conflict, match="still queued"):
        idle.jobs.retry(OWNER, submit(idle, small()).id)


def test_the_list_shows_what_matters_first(busy, small):
    old = finished(busy, submit(busy, small("old")))
    newer = finished(busy, submit(busy, small("newer")))
    running = submit(busy, small("slowly", num_inference_steps=100))
    waiting = submit(busy, small("waiting"))
    wait_for(lambda: busy.jobs.get(OWNER, running.id).state == "running")
    assert [job.id for job in busy.jobs.list(OWNER)] == [running.id, waiting.id, newer.id, old.id]
    assert [job.id for job in busy.jobs.list(OWNER, states=["done"], limit=1)] == [newer.id]
    assert busy.jobs.counts() == (1, 1)
    for job in (waiting, running):
        busy.jobs.cancel(OWNER, job.id)


def test_a_pause_lasts_over_a_restart(settings, small):
    with Studio.open(settings) as studio:
        studio.jobs.pause()
        job = submit(studio, small())
        wait_for(lambda: studio.health().workers[0].state == "idle")
        assert studio.jobs.get(OWNER, job.id).state == "queued" and studio.health().paused
    with Studio.open(settings) as studio:
        assert studio.jobs.is_paused and studio.jobs.get(OWNER, job.id).state == "queued"
        studio.jobs.resume()
        assert finished(studio, job).state == "done"


def test_a_full_queue_says_so(tmp_path, small):
    studio = Studio.open(fast_settings(tmp_path, max_queued_jobs=2))
    try:
        for _ in range(2):
            submit(studio, small())
        with pytest.raises(TooLarge, match="queue is full with 2"):
            submit(studio, small())
    finally:
        studio.stop()


def test_a_guest_cannot_take_the_whole_queue(tmp_path, small):
    studio = Studio.open(fast_settings(tmp_path, max_queued_jobs_per_guest=2))
    try:
        for _ in range(2):
            studio.jobs.submit("guest-1", small())
            studio.jobs.submit("guest-2", small())
        with pytest.raises(TooLarge, match="you have 2 clips waiting"):
            studio.jobs.submit("guest-1", small())
        assert [submit(studio, small()).position for _ in range(3)] == [5, 6, 7]
    finally:
        studio.stop()


def test_what_the_model_cannot_do_is_refused_at_once(idle, small):
    with pytest.raises(InvalidRequest, match="num_frames"):
        submit(idle, small(num_frames=2))
    with pytest.raises(ModelNotFound, match="did you mean"):
        submit(idle, small(model="poket"))
    with pytest.raises(InvalidRequest, match="upload it again") as caught:
        submit(idle, small(first_frame=f"sha256:{'0' * 64}"))
    assert caught.value.field == "first_frame"
    assert idle.jobs.list(OWNER) == []


def test_a_first_frame_must_be_ones_own(idle, small):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    reference = idle.media.add_image("somebody", buffer.getvalue())
    with pytest.raises(InvalidRequest, match="upload it again"):
        submit(idle, small(first_frame=reference))
    assert idle.jobs.submit("somebody", small(first_frame=reference)).request.first_frame == reference


def test_references_must_be_ones_own(idle, small):
    for reference, says in (("clip:" + "0" * 32, "no longer in your library"), (f"sha256:{'0' * 64}", "upload it again")):
        with pytest.raises(InvalidRequest, match=says) as caught:
            submit(
                idle,
                small(model="wan-2.1-vace-1.3b", height=64, width=64, modality="video", stg_scale=0.0, references=[reference]),
            )
        assert caught.value.field == "references"


def test_nobody_rules_a_shared_studio(idle, small, monkeypatch):
    monkeypatch.setenv("SPACE_ID", "somebody/studio")
    with pytest.raises(NotAllowed, match="shared studio"):
        submit(idle, small(), priority=1)
    with pytest.raises(NotAllowed, match="shared studio"):
        idle.jobs.pause()
    assert submit(idle, small()).position == 1
