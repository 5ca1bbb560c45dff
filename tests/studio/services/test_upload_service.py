"""Uploads into a library: what the clip says about itself, what can be done with it, and what is refused."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from pipelines.clip_io import read_origin
from pipelines.contract import (
    Conflict,
    GenerationRequest,
    ImportRequest,
    InvalidRequest,
    ModelNotFound,
    TooLarge,
    parse_request,
    stored_request,
)
from studio.services.uploads import Upload
from studio.studio import Studio
from tests.studio.importing.foreign import FAST, Film, write
from tests.studio.rooms import OWNER, fast_settings, finished


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A phone's film."""
    write(tmp_path / "IMG_0042.mov", Film(format="mov", size=(320, 180), options=FAST, sounds=("aac",)))
    return tmp_path / "IMG_0042.mov"


def test_a_file_becomes_a_clip_that_says_where_it_came_from(idle: Studio, film: Path) -> None:
    added = idle.uploads.add(OWNER, Upload(film, "C:\\films\\IMG_0042.mov"))
    clip, request = added.clip, added.clip.request
    assert isinstance(request, ImportRequest)
    assert (request.file_name, request.prompt, clip.name) == ("IMG_0042.mov", "IMG 0042", "IMG_0042")
    assert request.file_sha256 == hashlib.sha256(film.read_bytes()).hexdigest()
    assert (clip.width, clip.height, clip.num_frames, clip.has_audio, clip.sample_rate) == (320, 192, 12, True, 48000)
    assert added.notices[0].startswith("The picture was scaled from 320x180")
    assert idle.library.page(OWNER).clips == (clip,) and idle.library.page(OWNER, model_filter("pocket")).total == 1
    path = idle.library.file(OWNER, clip.id)
    origin = read_origin(path)
    assert origin.request == request and origin.code_version == clip.code_version and origin.model_sha256 == ""
    assert idle.library.thumbnail(OWNER, clip.id).read_bytes()[8:12] == b"WEBP"
    assert idle.library.restore(OWNER, path) == request
    idle.library.purge()
    assert path.exists() and film.exists()


def model_filter(model: str):
    from studio.services.records import ClipFilter

    return ClipFilter(model=model)


def test_an_edit_of_it_begins_with_the_models_own_settings(busy: Studio, film: Path) -> None:
    clip = busy.uploads.add(OWNER, Upload(film, film.name, prompt="a dog runs")).clip
    request, _ = busy.edits.plan(OWNER, {"source": f"clip:{clip.id}", "edit": {"kind": "dub"}})
    assert request.prompt == "a dog runs" and request.num_inference_steps is not None and request.model == "pocket"
    job = finished(busy, busy.edits.submit(OWNER, {"source": f"clip:{clip.id}", "edit": {"kind": "trim", "start_s": 0.5}}))
    assert job.result is not None, job.error
    assert [each.id for each in busy.library.family(OWNER, clip.id).edits] == [job.result.id]


def test_it_cannot_be_made_again(idle: Studio, film: Path) -> None:
    request = idle.uploads.add(OWNER, Upload(film, film.name)).clip.request
    with pytest.raises(InvalidRequest, match="kind is 'import'") as refused:
        idle.jobs.submit(OWNER, request)
    assert refused.value.field == "kind" and idle.jobs.list(OWNER) == []


def test_a_file_that_nobody_waits_for_leaves_nothing(idle: Studio, film: Path) -> None:
    gone = threading.Event()
    gone.set()
    with pytest.raises(Conflict, match="went away"):
        idle.uploads.add(OWNER, Upload(film, film.name), gone)
    assert idle.library.page(OWNER).total == 0
    assert [path for path in idle.settings.clips_dir.rglob("*") if path.is_file()] == []


def test_a_guest_cannot_fill_the_line(idle: Studio, film: Path) -> None:
    gone, told = threading.Event(), []

    def add() -> None:
        try:
            idle.uploads.add("guest:one", Upload(film, film.name), gone)
        except (TooLarge, Conflict) as refusal:
            told.append(type(refusal))

    senders = [threading.Thread(target=add) for _ in range(6)]
    for sender in senders:
        sender.start()
    gone.set()
    for sender in senders:
        sender.join()
    assert told.count(TooLarge) >= 1 and told.count(Conflict) <= 3
    assert idle.uploads.add("guest:one", Upload(film, film.name)).clip.num_frames == 12


def test_two_people_have_libraries_of_their_own(idle: Studio, film: Path) -> None:
    clip = idle.uploads.add("guest:one", Upload(film, film.name)).clip
    assert idle.library.page("guest:two").total == 0 and idle.library.page("guest:one").clips[0].id == clip.id


@pytest.mark.parametrize(
    "name", ["", "   ", "..", "\u202e\x00\n", ".mp4", "a" * 5000 + ".mp4", "<script>.mov", "日本\ud800語.mp4"]
)
def test_any_name_is_taken_and_none_is_believed(idle: Studio, film: Path, name: str) -> None:
    clip = idle.uploads.add(OWNER, Upload(film, name)).clip
    assert clip.name and clip.request.prompt and isinstance(clip.request, ImportRequest)
    assert len(clip.request.file_name) <= 255 and "\x00" not in clip.request.file_name
    assert idle.library.file(OWNER, clip.id).name == f"{clip.id}.mp4"


def test_what_is_refused_leaves_nothing(tmp_path: Path, film: Path) -> None:
    studio = Studio.open(fast_settings(tmp_path / "small", max_video_bytes=film.stat().st_size - 1))
    with pytest.raises(TooLarge, match=r"video is .* MB; the limit is"):
        studio.uploads.add(OWNER, Upload(film, film.name))
    (tmp_path / "text.mp4").write_text("text")
    for upload, error in (
        (Upload(tmp_path / "text.mp4", "text.mp4"), InvalidRequest),
        (Upload(tmp_path / "text.mp4", "text.mp4", model="none"), ModelNotFound),
        (Upload(tmp_path / "text.mp4", "text.mp4", prompt="x" * 5000), InvalidRequest),
    ):
        with pytest.raises(error):
            studio.uploads.add(OWNER, upload)
    assert studio.library.page(OWNER).total == 0
    assert [path for path in studio.settings.clips_dir.rglob("*") if path.is_file()] == []
    studio.stop()


def test_requests_of_every_kind_are_read_back() -> None:
    body = {"kind": "import", "prompt": "x", "file_name": "x.mp4", "file_sha256": "0" * 64}
    request = parse_request(body)
    assert isinstance(request, ImportRequest) and stored_request(request.model_dump_json()) == request
    assert isinstance(parse_request({"prompt": "x"}), GenerationRequest)
    for wrong in (
        {**body, "file_sha256": "../x"},
        {**body, "kind": "unknown"},
        {**body, "kind": ["import"]},
        {**body, "seed": "x"},
    ):
        with pytest.raises(InvalidRequest):
            parse_request(wrong)
