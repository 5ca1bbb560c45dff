"""Full and read-only disks: one clear sentence, nothing half-written, the studio alive."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pipelines.contract import StorageFull
from studio.services.records import JobState
from studio.studio import Studio
from tests.disks import disk, fill, make_read_only
from tests.studio.rooms import OWNER, fast_settings, finished, wait_for

pytestmark = pytest.mark.fault


def image() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((600, 600), 90).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def test_a_full_disk_stops_submits_but_not_the_studio(tmp_path, small):
    with disk(tmp_path / "disk", "8m") as folder, Studio.open(fast_settings(folder)) as studio:
        before = finished(studio, studio.jobs.submit(OWNER, small("before")))
        filler = fill(folder)
        with pytest.raises(StorageFull, match="free some space"):
            for _ in range(1000):
                studio.jobs.submit(OWNER, small("x" * 3000))
        with pytest.raises(StorageFull, match="free some space"):
            studio.media.add_image(OWNER, image())
        assert studio.library.page(OWNER).total == 1 and studio.jobs.get(OWNER, before.id) == before
        assert not list(folder.rglob("*.part*")), "nothing half-written"
        filler.unlink()
        assert finished(studio, studio.jobs.submit(OWNER, small("after"))).state == "done"
        assert studio.health().live


def test_jobs_wait_while_the_disk_is_full_and_go_on_when_it_is_not(tmp_path, small):
    with disk(tmp_path / "disk", "8m") as folder, Studio.open(fast_settings(folder)) as studio:
        job, next_one = (studio.jobs.submit(OWNER, small("slowly", num_inference_steps=20, seed=seed)) for seed in (1, 2))
        wait_for(lambda: studio.jobs.preview(OWNER, job.id))
        filler = fill(folder)
        wait_for(lambda: any("free some space" in problem for problem in studio.health().problems))
        assert not studio.health().ready
        assert studio.jobs.list(OWNER, states=[JobState.DONE, JobState.FAILED]) == []
        filler.unlink()
        assert [finished(studio, each, 60).state for each in (job, next_one)] == ["done", "done"]
        assert finished(studio, job).attempts == 1, "a full disk is not the job's fault"
        assert studio.library.page(OWNER).total == 2 == len(list((folder / "clips").rglob("*.mp4")))
        wait_for(lambda: studio.health().ready)


def test_a_studio_whose_disk_has_room_again_is_ready_without_another_clip(tmp_path, small):
    with disk(tmp_path / "disk", "8m") as folder, Studio.open(fast_settings(folder)) as studio:
        job = studio.jobs.submit(OWNER, small("slowly", num_inference_steps=20))
        wait_for(lambda: studio.jobs.preview(OWNER, job.id))
        filler = fill(folder)
        wait_for(lambda: any("free some space" in problem for problem in studio.health().problems))
        filler.unlink()
        studio.jobs.cancel(OWNER, job.id)
        assert finished(studio, job).state == "cancelled"
        wait_for(lambda: studio.health().ready)


def test_a_read_only_folder_is_refused_at_the_door(tmp_path):
    with disk(tmp_path / "disk", "8m") as folder:
        Studio.open(fast_settings(folder / "data")).stop()
        make_read_only(folder)
        for data_dir in (folder / "data", folder / "new"):
            with pytest.raises(StorageFull, match="cannot write to its data folder") as caught:
                Studio.open(fast_settings(data_dir))
            assert "STUDIO_DATA_DIR" in caught.value.message or "writable" in caught.value.message


def test_a_full_disk_is_refused_at_the_door(tmp_path):
    with disk(tmp_path / "disk", "1m") as folder:
        (folder / "data").mkdir()
        fill(folder)
        with pytest.raises(StorageFull, match="free some space"):
            Studio.open(fast_settings(folder / "data"))
