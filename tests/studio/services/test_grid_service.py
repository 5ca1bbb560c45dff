"""Grids: combinations, all or nothing, what varies, and the best clip marked."""

from __future__ import annotations

import pytest

from pipelines.contract import Conflict, InvalidRequest, NotFound, TooLarge
from pipelines.metrics.catalogue import BY_NAME
from studio.services.grids import Axis, GridRequest, best_of
from studio.studio import Studio
from tests.studio.rooms import OWNER, fast_settings, finished

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


def test_none_is_best_where_none_is_measured():
    assert best_of([], BY_NAME["picture.sharpness"]) is None
