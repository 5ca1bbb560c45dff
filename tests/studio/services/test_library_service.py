"""The library: pages, search, favourites, tags, the trash, restoring, and cleaning up."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from PIL import Image

from pipelines.clip_io import Origin, Sound, write_clip
from pipelines.contract import Conflict, InvalidRequest, NotFound, TooLarge
from pipelines.optimize.latent_store import beside
from studio.services.records import ClipFilter
from studio.storage import clips
from studio.studio import Studio
from tests.studio.rooms import OWNER, fast_settings, finished
from tests.studio.shelf import fill_shelf


@pytest.fixture
def shelf(idle, settings):
    return partial(fill_shelf, idle._database, settings.data_dir)


def names(studio: Studio, **wanted) -> list[str]:
    return [clip.name for clip in studio.library.page(OWNER, ClipFilter(**wanted)).clips]


def test_pages_follow_one_another_without_gap_or_repeat(idle, shelf):
    shelf([f"clip {n}" for n in range(25)], same_moment=True)
    for order in ("newest", "oldest"):
        seen, cursor = [], None
        while True:
            page = idle.library.page(OWNER, ClipFilter(order=order), cursor=cursor, limit=7)
            assert page.total == 25
            seen += [clip.id for clip in page.clips]
            cursor = page.next
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 25


def test_a_page_is_not_shifted_by_a_new_clip(idle, shelf):
    shelf([f"old {n}" for n in range(6)])
    first = idle.library.page(OWNER, limit=3)
    shelf(["new"])
    second = idle.library.page(OWNER, cursor=first.next, limit=3)
    assert [clip.name for clip in (*first.clips, *second.clips)] == [f"old {n}" for n in reversed(range(6))]
    assert second.next is None


ENDLESS, SURROGATE = (base64.urlsafe_b64encode(text).decode() for text in (b'["a", "b", 1e999]', b'["\\ud800", "b", 1]'))


@pytest.mark.parametrize("cursor", ["", "nonsense", "e30=", "W10=", "WzEsMl0=", "ÿ", ENDLESS, SURROGATE])
def test_a_broken_cursor_is_refused(idle, cursor):
    with pytest.raises(InvalidRequest, match="begin again"):
        idle.library.page(OWNER, cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_pages_have_a_size(idle, limit):
    with pytest.raises(InvalidRequest, match="1 to 200"):
        idle.library.page(OWNER, limit=limit)


def test_search_finds_words_and_beginnings_of_words(idle, shelf):
    shelf(["a red ball bouncing", "a blue star", "Ein Mädchen lacht", "a 🎈 rises", "雨 falls", 'it\'s "fine" AND well'])
    assert names(idle, text="red") == ["a red ball bouncing"]
    assert names(idle, text="ball BOUN") == ["a red ball bouncing"]
    assert names(idle, text="madchen") == ["Ein Mädchen lacht"]
    assert names(idle, text="🎈") == ["a 🎈 rises"]
    assert names(idle, text="雨") == ["雨 falls"]
    assert names(idle, text='"fine"') == ['it\'s "fine" AND well']
    assert names(idle, text="it's") == ['it\'s "fine" AND well']
    assert names(idle, text="AND") == ['it\'s "fine" AND well']
    assert names(idle, text="red star") == []
    assert len(names(idle, text="  ")) == 6


HOSTILE = [
    '"', '""', "*", "a*", "NOT", "OR red", "NEAR(red ball)", "prompt:red", "(", "^red", "-red", "'; DROP TABLE clips; --",
    "\0", "\0red", "%", "{red}", "red AND", "\\", "🎈" * 500, "x " * 5000, "\u200d", "؟", "ﷺ",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_the_search(idle, shelf, text):
    shelf(["a red ball"])
    page = idle.library.page(OWNER, ClipFilter(text=text))
    assert page.total == len(page.clips)


def test_search_follows_changes(idle, shelf):
    (clip_id,) = shelf(["a red ball"])
    idle.library.update(OWNER, clip_id, name="Sunday", tags=["blue note"])
    assert names(idle, text="sunday") == names(idle, text="blue") == names(idle, text="red") == ["Sunday"]
    idle.library.update(OWNER, clip_id, tags=[])
    assert names(idle, text="blue") == []


def test_filters_combine(idle, shelf):
    ids = shelf(["one", "two", "three"])
    idle.library.update(OWNER, ids[0], favourite=True, tags=["x", "y"])
    idle.library.update(OWNER, ids[1], tags=["x"])
    assert names(idle, favourite=True) == ["one"] and names(idle, favourite=False) == ["three", "two"]
    assert names(idle, tag="x") == ["two", "one"] and names(idle, tag="x", favourite=True) == ["one"] == names(idle, tag="y")
    assert names(idle, model="pocket") == ["three", "two", "one"] and names(idle, model="other") == []
    assert names(idle, modality="audio") == []
    assert names(idle, tag="x", text="tw", model="pocket") == ["two"]
    assert idle.library.tags(OWNER) == ["x", "y"] and idle.library.tags("somebody") == []


def test_names_and_tags_are_cleaned_and_checked(idle, shelf):
    (clip_id,) = shelf(["a red ball"])
    clip = idle.library.update(OWNER, clip_id, name="  Sun\u202eday\n ", tags=["b", " a ", "", "b"])
    assert (clip.name, clip.tags) == ("Sunday", ("a", "b")) and clip == idle.library.get(OWNER, clip_id)
    for fields, field in (
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"tags": ["x" * 41]}, "tags"),
        ({"tags": [str(n) for n in range(21)]}, "tags"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            idle.library.update(OWNER, clip_id, **fields)
        assert caught.value.field == field
    assert idle.library.get(OWNER, clip_id) == clip


def test_the_trash_gives_back(idle, shelf):
    clip_id, _ = shelf(["one", "two"])
    assert idle.library.delete(OWNER, clip_id).deleted_at is not None
    assert names(idle) == ["two"] and names(idle, deleted=True) == ["one"] == names(idle, deleted=True, text="one")
    with pytest.raises(Conflict, match="trash"):
        idle.library.update(OWNER, clip_id, name="x")
    deleted_at = idle.library.get(OWNER, clip_id).deleted_at
    assert idle.library.delete(OWNER, clip_id).deleted_at == deleted_at
    assert idle.library.undelete(OWNER, clip_id).deleted_at is None
    assert names(idle) == ["two", "one"] and names(idle, deleted=True) == []


def test_a_stranger_sees_nothing(idle, shelf):
    (clip_id,) = shelf(["one"])
    assert idle.library.page("somebody").total == 0
    for ask in (idle.library.get, idle.library.delete, idle.library.undelete, idle.library.file, idle.library.thumbnail):
        with pytest.raises(NotFound, match="no such clip"):
            ask("somebody", clip_id)
    with pytest.raises(NotFound):
        idle.library.update("somebody", clip_id, name="mine")


def test_the_trash_is_emptied_after_30_days_and_nobodys_files_go(tmp_path):
    settings = fast_settings(tmp_path / "data", workers=0)
    studio = Studio.open(settings)
    old, young, kept = fill_shelf(studio._database, settings.data_dir, ["old", "young", "kept"])
    with studio._database.write() as connection:
        for clip_id, days in ((old, 31), (young, 29)):
            clips.set_deleted(connection, clip_id, (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    folder = settings.clips_dir / ("0" * 16)
    folder.mkdir(parents=True)
    orphan, half, foreign = folder / f"{'a' * 32}.mp4", folder / ".x.1.part.mp4", folder / "holiday.mp4"
    latents = {clip_id: beside(studio.library.file(OWNER, clip_id)) for clip_id in (old, young, kept)}
    for path in (orphan, half, foreign, *latents.values()):
        path.write_bytes(b"x")
    with studio:
        assert names(studio) == ["kept"] and names(studio, deleted=True) == ["young"]
        assert studio.library.file(OWNER, kept).exists() and studio.library.file(OWNER, young).exists()
        assert (orphan.exists(), half.exists(), foreign.exists()) == (False, False, True)
        assert [latents[clip_id].exists() for clip_id in (old, young, kept)] == [False, True, True]


def test_thumbnails_are_made_again_when_lost(busy, small):
    for modality in ("video_and_audio", "audio"):
        clip = finished(busy, busy.jobs.submit(OWNER, small(modality=modality))).result
        path = busy.library.thumbnail(OWNER, clip.id)
        first = path.read_bytes()
        assert Image.open(io.BytesIO(first)).format == "WEBP"
        path.unlink()
        assert busy.library.thumbnail(OWNER, clip.id).read_bytes() == first
        busy.library.file(OWNER, clip.id).unlink()
        path.unlink()
        with pytest.raises(NotFound, match="no longer in the data folder"):
            busy.library.thumbnail(OWNER, clip.id)


def test_restoring_a_foreign_file_brings_its_first_frame(idle, small, tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    reference = idle.media.add_image("somebody", buffer.getvalue())
    request = idle.catalogue.complete(small(first_frame=reference))
    path = tmp_path / "clip.mp4"
    images = {reference: idle.media.path("somebody", reference).read_bytes()}
    sound = Sound(np.zeros((1, 1000), np.float32), 16000)
    write_clip(path, None, sound, Origin(request, "0" * 64, "test", images))
    restored = idle.library.restore(OWNER, path)
    assert restored == request
    assert idle.media.path(OWNER, restored.first_frame).exists()
    write_clip(path, None, sound, Origin(request, "0" * 64, "test"))
    with pytest.raises(InvalidRequest, match="lacks the first frame"):
        idle.library.restore(OWNER, path)


def test_restoring_something_else_is_refused(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"not a clip")
    (tmp_path / "large.mp4").write_bytes(b"\0" * 2000)
    studio = Studio.open(fast_settings(tmp_path / "data", max_upload_bytes=1000))
    try:
        with pytest.raises(InvalidRequest, match="choose an MP4"):
            studio.library.restore(OWNER, tmp_path / "x.mp4")
        with pytest.raises(TooLarge, match="larger"):
            studio.library.restore(OWNER, tmp_path / "large.mp4")
    finally:
        studio.stop()


def test_records_are_the_json_of_the_api(busy, small):
    job = finished(busy, busy.jobs.submit(OWNER, small()))
    body = json.loads(job.model_dump_json())
    assert body["state"] == "done" and body["result"]["urls"]["file"] == f"/api/v1/clips/{body['result']['id']}/file"
    assert {"id", "state", "attempts", "request", "progress", "result", "error"} <= set(body)
    assert "path" not in body["result"] and str(busy.settings.data_dir) not in job.model_dump_json()


def test_searches_count_what_they_show(idle, shelf):
    ids = shelf([f"a red ball {n}" for n in range(5)])
    fill_shelf(idle._database, idle.settings.data_dir, ["a red ball of somebody"], owner="somebody")
    idle.library.delete(OWNER, ids[0])
    idle.library.update(OWNER, ids[1], favourite=True, tags=["x"])
    for wanted, count in (
        ({}, 4),
        ({"deleted": True}, 1),
        ({"favourite": True}, 1),
        ({"tag": "x"}, 1),
        ({"modality": "audio"}, 0),
    ):
        page = idle.library.page(OWNER, ClipFilter(text="red ba", **wanted))
        assert page.total == len(page.clips) == count
    idle.library.undelete(OWNER, ids[0])
    assert idle.library.page(OWNER, ClipFilter(text="red"), limit=2).total == 5
    assert idle.library.page(OWNER, ClipFilter(text="live")).total == 0, "the index's own words are nobody's prompt"


def test_much_and_little_are_paged_alike(idle, shelf):
    shelf([f"a red ball {n}" for n in range(30)])
    query = clips.ClipQuery(OWNER, text="red")
    with idle._database.read() as connection:
        little = clips.page(connection, query, 10, total=30)
        much = clips.page(connection, query, 10, total=100_000)
    assert little == much and len(little) == 10
