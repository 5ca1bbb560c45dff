"""Clips measured again, and the library in the order of a measurement."""

from __future__ import annotations

import pytest

from pipelines.contract import GenerationRequest, InvalidRequest, ModelNotFound, NotFound
from pipelines.metrics.ceiling import save
from pipelines.world import Scene, make_clip
from pipelines.world.scene import Subject
from studio.services.records import ClipFilter
from studio.settings import Settings
from studio.studio import Studio
from tests.studio.shelf import OWNER, fill_shelf
from tests.twins import clip_twin, instruction_twin


@pytest.fixture
def studio(tmp_path):
    opened = Studio.open(Settings(data_dir=tmp_path, workers=0))
    yield opened
    opened.stop()


def shelf(studio: Studio, prompts: list[str]) -> list[str]:
    return fill_shelf(studio._database, studio.settings.data_dir, prompts)


def names(studio: Studio, **wanted) -> list[str]:
    return [clip.name for clip in studio.library.page(OWNER, ClipFilter(**wanted)).clips]


def test_an_old_clip_is_measured_again(studio):
    (clip_id,) = shelf(studio, ["a red ball bouncing on grass"])
    clip = make_clip(Scene((Subject("ball", colour="red"),), "grass", "bouncing"), size=64)
    path = studio.library.file(OWNER, clip_id)
    save(
        path,
        clip.frames,
        clip.waveform,
        studio.catalogue.complete(GenerationRequest(prompt="a red ball bouncing on grass", seed=1)),
    )
    assert "sync.impact_ms" not in studio.library.get(OWNER, clip_id).measurements
    studio.library.set_measurements(OWNER, clip_id, {"loudness_dbfs": -13.0, "seam.in_s": 0.5, "seam.in_colour": 3.0})
    measured = studio.quality.measure(OWNER, clip_id)
    assert measured == studio.library.get(OWNER, clip_id)
    assert {"sync.impact_ms", "sound.lufs", "semantic.match"} <= set(measured.measurements)
    assert measured.measurements["seam.in_colour"] == 3.0, "only the run of an edit can tell"
    assert "loudness_dbfs" not in measured.measurements and measured.name == "a red ball bouncing on grass"
    assert studio.library.page(OWNER, ClipFilter(best="semantic.match")).total == 1
    heard = studio.quality.onsets(OWNER, clip_id)
    assert heard and heard == sorted(heard) and 0 <= heard[0] < heard[-1] < 2.1
    moments = measured.moments
    assert moments is not None and list(moments.heard_s) == pytest.approx(heard, abs=1e-3) and moments.mouth is None
    truth = [impact.time_s for impact in clip.events.impacts]
    assert truth and all(min(abs(seen - real) for seen in moments.impacts_s) <= 1 / 12 for real in truth)
    with pytest.raises(NotFound):
        studio.quality.measure("somebody else", clip_id)


def test_a_text_image_model_measures_too_and_the_library_follows_it(tmp_path):
    folder = clip_twin(tmp_path / "clip")
    studio = Studio.open(Settings(data_dir=tmp_path / "data", workers=0, text_image_model=str(folder)))
    try:
        assert studio.quality.judge == "semantic.clip"
        ids = shelf(studio, ["a red ball bouncing on grass", "not measured"])
        clip = make_clip(Scene((Subject("ball", colour="red"),), "grass", "bouncing"), size=64)
        request = studio.catalogue.complete(GenerationRequest(prompt="a red ball bouncing on grass", seed=1))
        save(studio.library.file(OWNER, ids[0]), clip.frames, clip.waveform, request)
        assert -1 <= studio.quality.measure(OWNER, ids[0]).measurements["semantic.clip"] <= 1
        assert names(studio, best="semantic.clip") == ["a red ball bouncing on grass"]
        (folder / "model.safetensors").unlink()  # lost while the studio runs
        with pytest.raises(ModelNotFound, match="text_image_model clip lacks its weights"):
            studio.quality.measure(OWNER, ids[0])
    finally:
        studio.stop()


def test_a_wrong_text_image_model_is_told_at_once(tmp_path):
    with pytest.raises(ModelNotFound, match="text_image_model none is not on this machine"):
        Studio.open(Settings(data_dir=tmp_path, workers=0, text_image_model=str(tmp_path / "none")))
    folder = instruction_twin(tmp_path / "chat", [("a", "b", "c")])
    with pytest.raises(ModelNotFound, match="choose a CLIP or SigLIP model"):
        Studio.open(Settings(data_dir=tmp_path, workers=0, text_image_model=str(folder)))
    Studio.open(Settings(data_dir=tmp_path, workers=0)).stop()  # nothing of it stays locked


def test_a_damaged_file_is_one_sentence(studio):
    (clip_id,) = shelf(studio, ["a file that is no clip"])
    with pytest.raises(InvalidRequest, match="damaged"):
        studio.quality.measure(OWNER, clip_id)


def test_the_library_in_the_order_of_a_measurement(studio):
    ids = shelf(studio, ["late", "early", "together", "unmeasured"])
    for clip_id, offset, sharp in zip(ids, (200.0, -80.0, 10.0), (1.0, 5.0, 3.0), strict=False):
        studio.library.set_measurements(OWNER, clip_id, {"sync.offset_ms": offset, "picture.sharpness": sharp})
    studio.library.set_measurements(OWNER, ids[3], {"temporal.flicker": 1.0})
    assert names(studio, best="sync.offset_ms") == ["together", "early", "late"]
    assert names(studio, best="picture.sharpness") == ["early", "together", "late"]
    assert names(studio, best="temporal.flicker") == ["unmeasured"]
    assert names(studio, best="sync.offset_ms", text="late") == ["late"]
    studio.library.delete(OWNER, ids[2])
    assert names(studio, best="sync.offset_ms") == ["early", "late"]
    with pytest.raises(InvalidRequest, match="not measured"):
        names(studio, best="beauty")


def test_pages_follow_each_other(studio):
    ids = shelf(studio, [f"clip {index}" for index in range(7)])
    for index, clip_id in enumerate(ids):
        studio.library.set_measurements(OWNER, clip_id, {"temporal.flicker": float(index // 2)})  # ties are told apart by id
    seen, cursor = [], None
    while True:
        page = studio.library.page(OWNER, ClipFilter(best="temporal.flicker"), cursor=cursor, limit=3)
        assert page.total == 7
        seen += [clip.id for clip in page.clips]
        if (cursor := page.next) is None:
            break
    assert sorted(seen) == sorted(ids) and [ids.index(each) // 2 for each in seen] == [0, 0, 1, 1, 2, 2, 3]
    newest = studio.library.page(OWNER, limit=3).next
    with pytest.raises(InvalidRequest, match="another order"):
        studio.library.page(OWNER, ClipFilter(best="temporal.flicker"), cursor=newest)
