"""Grids: combinations, all or nothing, what varies, and the best clip marked."""

from __future__ import annotations

import pytest

from pipelines.contract import Conflict, GenerationRequest, InvalidRequest, NotFound, TooLarge
from pipelines.metrics.catalogue import BY_NAME
from studio.services.axes import Axis, GridRequest
from studio.services.grids import best_of
from studio.studio import Studio
from tests.studio.rooms import OWNER, fast_settings, finished, wait_for

REQUEST = {"prompt": "a red ball", "num_inference_steps": 4}


def grid(request: dict = REQUEST, **axes: tuple) -> GridRequest:
    return GridRequest(request=request, axes=tuple(Axis(field=name, values=values) for name, values in axes.items()))


def queued(studio: Studio) -> int:
    return studio.jobs.counts()[0]


def test_every_combination_is_a_job_in_order(idle):
    made = idle.grids.submit(OWNER, grid(prompt=("a cat", "a dog"), guidance_scale=(1.0, 3.0)))
    assert [tuple(cell.settings.values()) for cell in made.cells] == [
        ("a cat", 1.0),
        ("a cat", 3.0),
        ("a dog", 1.0),
        ("a dog", 3.0),
    ]
    assert [cell.job.request.prompt for cell in made.cells] == ["a cat", "a cat", "a dog", "a dog"]
    assert [cell.job.position for cell in made.cells] == [1, 2, 3, 4]
    assert len({cell.job.request.seed for cell in made.cells}) == 1, "a difference must come from the axes"
    assert idle.grids.get(OWNER, made.id) == made


def test_a_grid_belongs_to_its_owner(idle):
    made = idle.grids.submit(OWNER, grid(seed=(1, 2)))
    with pytest.raises(NotFound):
        idle.grids.get("somebody else", made.id)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (grid(nonsense=(1,)), InvalidRequest),
        (grid(kind=("edit",)), InvalidRequest),
        (grid(seed=(1, 1)), InvalidRequest),
        (grid(seed=(1, "many")), InvalidRequest),
        (grid(seed=tuple(range(16)), num_inference_steps=(2, 3, 4, 5, 6)), TooLarge),
    ],
)
def test_a_bad_grid_queues_nothing(idle, asked, error):
    with pytest.raises(error):
        idle.grids.submit(OWNER, asked)
    assert queued(idle) == 0


def test_a_grid_that_does_not_fit_into_the_queue_is_not_begun(tmp_path):
    studio = Studio.open(fast_settings(tmp_path, max_queued_jobs=3))
    with pytest.raises(TooLarge, match="queue is full"):
        studio.grids.submit(OWNER, grid(seed=(1, 2, 3, 4)))
    assert queued(studio) == 0
    studio.stop()


def test_the_best_of_several_seeds_is_kept(busy, small):
    request = small().model_dump(mode="json", exclude_none=True, exclude={"seed"})
    made = busy.grids.submit(OWNER, grid(request, seed=(5, 6, 7)))
    clips = [finished(busy, cell.job).result for cell in made.cells]
    with pytest.raises(Conflict, match="measure its clips again"):
        busy.grids.keep_best(OWNER, made.id, "picture.sharpness")
    for clip, value in zip(clips, (1.0, 9.0, 4.0), strict=True):
        busy.library.set_measurements(OWNER, clip.id, {"picture.sharpness": value, "temporal.flicker": value})
    assert busy.grids.get(OWNER, made.id, "temporal.flicker").best == clips[0].id, "less flicker is better"
    kept = busy.grids.keep_best(OWNER, made.id, "picture.sharpness")
    assert kept.best == clips[1].id
    assert [cell.job.result.favourite for cell in kept.cells] == [False, True, False]
    with pytest.raises(InvalidRequest, match="not measured"):
        busy.grids.get(OWNER, made.id, "beauty")


def test_an_unfinished_grid_keeps_nothing(idle):
    made = idle.grids.submit(OWNER, grid(seed=(1, 2)))
    with pytest.raises(Conflict, match="not finished"):
        idle.grids.keep_best(OWNER, made.id, "picture.sharpness")


def test_a_plan_counts_and_times_and_queues_nothing(busy, small):
    request = small().model_dump(mode="json", exclude_none=True, exclude={"seed"})
    asked = grid(request, seed=(5, 6), num_inference_steps=(4, 8))
    unknown = busy.grids.plan(OWNER, asked)
    assert (unknown.clips, unknown.seconds, unknown.waiting) == (4, None, 0)
    finished(busy, busy.jobs.submit(OWNER, small()))  # 0.1 s for its 4 steps, as the fast engine tells
    assert busy.grids.plan(OWNER, asked).seconds == pytest.approx(2 * 0.1 + 2 * 0.2)
    assert [job.request.seed for job in busy.jobs.list(OWNER)] == [1]


def test_a_guest_plans_within_what_a_guest_may_queue(tmp_path):
    studio = Studio.open(fast_settings(tmp_path, max_queued_jobs_per_guest=3))
    studio.jobs.submit("guest", GenerationRequest(prompt="a cat"))
    assert studio.grids.plan("guest", grid(seed=(1, 2))).waiting == 1
    with pytest.raises(TooLarge, match="3 clips; the queue takes 2 more of yours now") as refused:
        studio.grids.plan("guest", grid(seed=(1, 2, 3)))
    assert refused.value.field == "axes"
    with pytest.raises(TooLarge, match="you have 3 clips waiting"):
        studio.grids.submit("guest", grid(seed=(1, 2, 3)))
    assert studio.grids.list("guest") == []
    studio.stop()


def test_a_cancelled_grid_begins_nothing_more(busy, small):
    request = small("a ball slowly", num_inference_steps=40).model_dump(mode="json", exclude_none=True, exclude={"seed"})
    made = busy.grids.submit(OWNER, grid(request, seed=tuple(range(9))))
    wait_for(lambda: busy.jobs.counts()[1] == busy.settings.batch)
    after = busy.grids.cancel(OWNER, made.id)
    assert all(cell.job.cancel_requested for cell in after.cells)
    assert [cell.job.state for cell in after.cells[busy.settings.batch :]] == ["cancelled"] * (9 - busy.settings.batch)
    wait_for(lambda: all(cell.job.state == "cancelled" for cell in busy.grids.get(OWNER, made.id).cells))
    assert busy.grids.cancel(OWNER, made.id).cells[0].job.state == "cancelled", "twice is no fault"
    with pytest.raises(NotFound):
        busy.grids.cancel("somebody else", made.id)


def test_what_failed_or_was_cancelled_is_made_again_in_its_place(busy, small):
    request = small("a ball", num_inference_steps=2).model_dump(mode="json", exclude_none=True, exclude={"prompt"})
    made = busy.grids.submit(OWNER, grid(request, prompt=("a ball", "refuse", "a cube")))

    def states() -> list[str]:
        return [cell.job.state.value for cell in busy.grids.get(OWNER, made.id).cells]

    wait_for(lambda: states() == ["done", "failed", "done"])
    before = busy.grids.get(OWNER, made.id)
    after = busy.grids.retry(OWNER, made.id)
    assert [cell.job.id for cell in after.cells] == [cell.job.id for cell in before.cells]
    assert after.cells[0].job == before.cells[0].job and after.cells[1].job.error is None
    wait_for(lambda: states() == ["done", "failed", "done"])
    again = busy.grids.get(OWNER, made.id).cells[1].job
    assert again.started_at > before.cells[1].job.started_at and again.attempts == 1
    whole = busy.grids.submit(OWNER, grid(request | {"prompt": "a ring"}, seed=(1, 2)))
    wait_for(lambda: all(cell.job.state == "done" for cell in busy.grids.get(OWNER, whole.id).cells))
    with pytest.raises(Conflict, match="there is nothing to make again"):
        busy.grids.retry(OWNER, whole.id)
    with pytest.raises(NotFound):
        busy.grids.retry("somebody else", made.id)


def test_a_retry_waits_for_room_in_the_queue(tmp_path):
    studio = Studio.open(fast_settings(tmp_path, max_queued_jobs=4))
    made = studio.grids.submit(OWNER, grid(seed=(1, 2, 3)))
    studio.grids.cancel(OWNER, made.id)
    for _ in range(2):
        studio.jobs.submit(OWNER, GenerationRequest(prompt="a cat"))
    with pytest.raises(TooLarge, match="3 clips are to be made again; the queue takes 2 more of yours now"):
        studio.grids.retry(OWNER, made.id)
    assert {cell.job.state for cell in studio.grids.get(OWNER, made.id).cells} == {"cancelled"}
    studio.stop()


def test_grids_are_listed_and_outlive_the_studio(settings):
    with Studio.open(settings) as studio:
        studio.jobs.submit(OWNER, GenerationRequest(prompt="no grid", num_inference_steps=1))
        first = studio.grids.submit(OWNER, grid(seed=(1, 2)))
        second = studio.grids.submit(OWNER, grid({"prompt": "a dog"}, num_inference_steps=(1, 2, 3)))
        studio.grids.cancel(OWNER, first.id)
    again = Studio.open(settings)
    told = again.grids.list(OWNER)
    assert [(each.id, each.prompt, each.clips) for each in told] == [(second.id, "a dog", 3), (first.id, "a red ball", 2)]
    assert [(axis.field, axis.title, axis.values) for axis in again.grids.get(OWNER, second.id).axes] == [
        ("num_inference_steps", "Steps", (1, 2, 3))
    ]
    assert again.grids.list("somebody else") == []
    again.stop()


def test_a_sheet_of_finished_clips_and_of_others(busy, small):
    request = small().model_dump(mode="json", exclude_none=True, exclude={"seed", "num_inference_steps"})
    made = busy.grids.submit(OWNER, grid(request, seed=(5, 6), num_inference_steps=(2, 3)))
    clips = [finished(busy, cell.job).result for cell in made.cells]
    busy.library.set_measurements(OWNER, clips[2].id, {"picture.sharpness": 3.0})
    busy.library.delete(OWNER, clips[0].id)
    busy.library.file(OWNER, clips[3].id).unlink()
    for still in busy.settings.thumbnails_dir.rglob(f"{clips[3].id}.webp"):
        still.unlink()
    plain, measured = busy.grids.sheet(OWNER, made.id), busy.grids.sheet(OWNER, made.id, "picture.sharpness")
    assert plain.startswith(b"\x89PNG") and measured.startswith(b"\x89PNG") and plain != measured
    with pytest.raises(InvalidRequest, match="not measured"):
        busy.grids.sheet(OWNER, made.id, "beauty")


def test_none_is_best_where_none_is_measured():
    assert best_of([], BY_NAME["picture.sharpness"]) is None
