"""Projects as one file: what comes back is equal, and every kind of broken or hostile file is refused in one sentence."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipelines.contract import InvalidRequest, StudioError, TooLarge
from studio.studio import Studio
from studio.timelines.package import CONTENTS, MOST_JSON_BYTES
from studio.timelines.values import AddTake, RenameShot, TrimShot
from tests.studio.rooms import OWNER, fast_settings
from tests.studio.takes import put_take

Members = dict[str, bytes]


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Studio]:
    """A second studio with a library of its own."""
    studio = Studio.open(fast_settings(tmp_path / "other"))
    yield studio
    studio.stop()


def save(studio: Studio, path: Path) -> Path:
    """A project of two shots, one of them with two takes and a trim, as a file."""
    one, two = put_take(studio, "one"), put_take(studio, "two", num_frames=24)
    better = put_take(studio, "one, better", source=one)
    project = studio.projects.create(OWNER, "My film", [one, two])
    for operation in (
        AddTake(shot=project.shots[0].id, clip=better),
        TrimShot(shot=project.shots[1].id, start_s=0.5, end_s=1.5),
        RenameShot(shot=project.shots[1].id, name="Zwölf 🎬"),
    ):
        project = studio.projects.change(OWNER, project.id, operation, revision=project.revision)
    studio.project_files.save(OWNER, project.id, path)
    return path


@pytest.fixture
def saved(idle: Studio, tmp_path: Path) -> Path:
    """A file of a project of ``idle``."""
    return save(idle, tmp_path / "film.aiprod")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same file, made once for all that break it."""
    studio = Studio.open(fast_settings(tmp_path_factory.mktemp("whole")))
    path = save(studio, studio.settings.data_dir / "film.aiprod")
    studio.stop()
    return path


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio into which nothing broken comes."""
    studio = Studio.open(fast_settings(tmp_path_factory.mktemp("empty")))
    yield studio
    studio.stop()


def members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, content: Members) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in content.items():
            archive.writestr(name, each)
    return path


def test_it_comes_back_equal_in_another_studio(idle: Studio, other: Studio, saved: Path) -> None:
    (before,) = idle.projects.list(OWNER)
    project, original = other.project_files.bring(OWNER, saved), idle.projects.get(OWNER, before.id)
    assert project.name == original.name and project.shots == original.shots and project.undo is None
    for shot in original.shots:
        for take in shot.takes:
            assert other.library.file(OWNER, take.id).read_bytes() == idle.library.file(OWNER, take.id).read_bytes()
            ours, theirs = (studio.library.get(OWNER, take.id).model_dump() for studio in (idle, other))
            assert {**ours, "job_id": None} == theirs
            assert other.library.thumbnail(OWNER, take.id).stat().st_size > 0
    better = original.shots[0].chosen
    assert [each.id for each in other.library.family(OWNER, better).ancestors] == [original.shots[0].takes[0].id]
    other.project_files.save(OWNER, project.id, saved.with_name("again.aiprod"))
    assert members(saved.with_name("again.aiprod")) == members(saved)


def test_the_same_clips_are_not_kept_twice(idle: Studio, saved: Path) -> None:
    total = idle.library.page(OWNER).total
    original = idle.projects.list(OWNER)[0]
    shots = idle.projects.get(OWNER, original.id).shots
    idle.library.delete(OWNER, shots[0].chosen)
    project = idle.project_files.bring(OWNER, saved)
    assert project.id != original.id and project.shots == shots
    assert idle.library.page(OWNER).total == total, "the one in the trash came back"


def test_clips_of_somebody_else_get_new_ids(idle: Studio, saved: Path) -> None:
    project = idle.project_files.bring("somebody", saved)
    original = idle.projects.get(OWNER, idle.projects.list(OWNER)[0].id)
    assert [shot.name for shot in project.shots] == [shot.name for shot in original.shots]
    assert not {take.id for shot in project.shots for take in shot.takes} & {
        take.id for shot in original.shots for take in shot.takes
    }
    better, first = project.shots[0].takes[1].id, project.shots[0].takes[0].id
    assert [each.id for each in idle.library.family("somebody", better).ancestors] == [first]
    assert idle.library.get("somebody", better).request.clips() == (f"clip:{first}",), "it can be made again from its settings"


def test_images_that_a_clip_started_from_come_along(idle: Studio, other: Studio, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(buffer, "PNG")
    reference = idle.media.add_image(OWNER, buffer.getvalue())
    clip = put_take(idle, "from a picture", first_frame=reference)
    project = idle.projects.create(OWNER, "film", [clip])
    idle.project_files.save(OWNER, project.id, tmp_path / "film.aiprod")
    with pytest.raises(InvalidRequest, match="without an image"):  # this clip's file holds none
        other.project_files.bring(OWNER, tmp_path / "film.aiprod")
    assert other.library.page(OWNER).total == 0


def change(content: Members, act: Callable[[dict[str, Any]], object]) -> Members:
    told = json.loads(content[CONTENTS])
    act(told)
    return {**content, CONTENTS: json.dumps(told).encode()}


def first(content: Members) -> str:
    return next(name for name in content if name.startswith("clips/"))


CLIP = "clips/" + "0" * 32 + ".mp4"
# Each makes broken members of whole ones.
BROKEN: dict[str, Callable[[Members], Members]] = {
    "no project.json": lambda c: {name: each for name, each in c.items() if name != CONTENTS},
    "not JSON": lambda c: {**c, CONTENTS: b"{name: film"},
    "not UTF-8": lambda c: {**c, CONTENTS: b'{"name": "\xff\xfe"}'},
    "a list": lambda c: {**c, CONTENTS: b"[]"},
    "null": lambda c: {**c, CONTENTS: b"null"},
    "deep": lambda c: {**c, CONTENTS: b"[" * 100_000 + b"]" * 100_000},
    "another maker": lambda c: change(c, lambda told: told.update(maker="somebody")),
    "a newer version": lambda c: change(c, lambda told: told.update(version=2)),
    "no version": lambda c: change(c, lambda told: told.pop("version")),
    "an unknown field": lambda c: change(c, lambda told: told.update(colour="red")),
    "no timeline": lambda c: change(c, lambda told: told.pop("timeline")),
    "an empty name": lambda c: change(c, lambda told: told["timeline"].update(name="\u200b")),
    "half a character": lambda c: {**c, CONTENTS: c[CONTENTS].replace(b"My film", b"\\ud800")},
    "a shot twice": lambda c: change(c, lambda told: told["timeline"]["shots"].append(told["timeline"]["shots"][0])),
    "a trim backwards": lambda c: change(c, lambda told: told["timeline"]["shots"][0].update(start_s=2, end_s=1)),
    "a trim that is no number": lambda c: change(c, lambda told: told["timeline"]["shots"][0].update(start_s=float("nan"))),
    "a trim after the take": lambda c: change(c, lambda told: told["timeline"]["shots"][0].update(start_s=500)),
    "a choice that is no take": lambda c: change(c, lambda told: told["timeline"]["shots"][0].update(chosen="0" * 32)),
    "a shot without takes": lambda c: change(c, lambda told: told["timeline"]["shots"][0].update(takes=[])),
    "a take without a clip": lambda c: change(c, lambda told: told["clips"].pop(0)),
    "a clip twice": lambda c: change(c, lambda told: told["clips"].append(told["clips"][0])),
    "an id that is a path": lambda c: change(c, lambda told: told["clips"][0].update(id="../../../etc/passwd")),
    "a moment that is none": lambda c: change(c, lambda told: told["clips"][0].update(created_at="yesterday")),
    "a request that is none": lambda c: change(c, lambda told: told["clips"][0]["made"].update(request={"kind": "dream"})),
    "an account that lacks its size": lambda c: change(c, lambda told: told["clips"][0]["made"].pop("height")),
    "a clip without length": lambda c: change(c, lambda told: told["clips"][0]["made"].update(num_frames=0)),
    "infinite measurements": lambda c: change(c, lambda told: told["clips"][0]["made"]["measurements"].update(x=float("inf"))),
    "another shape": lambda c: change(c, lambda told: told["clips"][0]["made"].update(width=128)),
    "another length": lambda c: change(c, lambda told: told["clips"][0]["made"].update(num_frames=500)),
    "frames without end": lambda c: change(c, lambda told: told["clips"][0]["made"].update(num_frames=13, frame_rate=13.0)),
    "no sound where it says sound": lambda c: change(c, lambda told: told["clips"][0]["made"].update(has_audio=False)),
    "a hash of something else": lambda c: change(c, lambda told: told["clips"][0].update(sha256="0" * 64)),
    "a hash that is none": lambda c: change(c, lambda told: told["clips"][0].update(sha256="x")),
    "a size that is too small": lambda c: change(c, lambda told: told["clips"][0].update(size_bytes=10)),
    "a size that is too large": lambda c: change(c, lambda told: told["clips"][0].update(size_bytes=10**12)),
    "a missing clip": lambda c: {name: each for name, each in c.items() if name != first(c)},
    "a clip too many": lambda c: {**c, CLIP: b"x"},
    "a clip cut short": lambda c: {**c, first(c): c[first(c)][:-100]},
    "a clip with a flipped bit": lambda c: {**c, first(c): c[first(c)][:500] + bytes([c[first(c)][500] ^ 1]) + c[first(c)][501:]},
    "a name that leads out": lambda c: {**c, "../clips/evil.mp4": b"x"},
    "an absolute name": lambda c: {**c, "/etc/passwd": b"x"},
    "a name with a backslash": lambda c: {**c, "clips\\..\\evil.mp4": b"x"},
    "a folder": lambda c: {**c, "clips/": b""},
    "a file that does not belong": lambda c: {**c, "setup.py": b"x"},
}  # fmt: skip


def refused(studio: Studio, path: Path, kind: type[StudioError] = InvalidRequest) -> str:
    """The one sentence; and nothing has come in."""
    before = {each for each in studio.settings.data_dir.rglob("*") if each.is_file() and each.suffix in (".mp4", ".part")}
    with pytest.raises(kind) as error:
        studio.project_files.bring(OWNER, path)
    assert studio.library.page(OWNER).total == 0 and studio.projects.list(OWNER) == []
    after = {each for each in studio.settings.data_dir.rglob("*") if each.is_file() and each.suffix in (".mp4", ".part")}
    assert before == after
    message = error.value.message
    assert error.value.field and message.endswith(".") and "\n" not in message and len(message) < 400
    return message


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_project_is_refused(empty: Studio, whole: Path, tmp_path: Path, name: str) -> None:
    refused(empty, packed(tmp_path / "broken.aiprod", BROKEN[name](members(whole))))


def test_files_that_are_no_packages_are_refused(empty: Studio, whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    for broken in (b"", b"hello", content[: len(content) // 2], content[:-30], b"PK\x05\x06" + bytes(18), bytes(100_000)):
        path = tmp_path / "broken.aiprod"
        path.write_bytes(broken)
        refused(empty, path)
    refused(empty, shutil.copy(next(whole.parent.rglob("*.mp4")), tmp_path / "clip.aiprod"))


def test_a_clip_that_only_names_other_files_is_refused(empty: Studio, whole: Path, tmp_path: Path) -> None:
    content = members(whole)
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(content[first(content)])
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n".encode()
    for lure in (playlist, f"ffconcat version 1.0\nfile '{secret.name}'\n".encode()):
        told = {"sha256": hashlib.sha256(lure).hexdigest(), "size_bytes": len(lure)}
        broken = change({**content, first(content): lure}, lambda whole, told=told: whole["clips"][0].update(told))
        assert "not the clip" in refused(empty, packed(tmp_path / "lure.aiprod", broken))


def test_a_clip_that_would_not_fit_into_memory_is_refused(empty: Studio, whole: Path, tmp_path: Path) -> None:
    huge = change(members(whole), lambda told: told["clips"][0]["made"].update(height=8192, width=8192, num_frames=10_000))
    assert "too large" in refused(empty, packed(tmp_path / "huge.aiprod", huge), TooLarge)


def test_bombs_are_not_unpacked(empty: Studio, whole: Path, tmp_path: Path) -> None:
    content = members(whole)
    path = tmp_path / "bomb.aiprod"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, each in content.items():
            archive.writestr(name, each)
        with archive.open(CLIP, "w", force_zip64=True) as stream:
            for _ in range(1100):
                stream.write(bytes(1 << 20))
    assert path.stat().st_size < 3e6
    assert "unpacks to" in refused(empty, path, TooLarge)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(CONTENTS, b" " * (MOST_JSON_BYTES + 1))
    assert "no project needs" in refused(empty, path, TooLarge)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(2100):
            archive.writestr(f"clips/{number:032x}.mp4", b"")
    assert "files" in refused(empty, path, TooLarge)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(12_000):
            archive.writestr(f"clips/{number:032x}.mp4", b"")
    assert "far more files" in refused(empty, path, TooLarge), "the directory is not even read"


def test_a_member_that_lies_about_its_size_is_caught(empty: Studio, whole: Path, tmp_path: Path) -> None:
    """The directory says 10 bytes, the clip is longer."""
    content = bytearray(whole.read_bytes())
    at = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)  # the first clip's entry of the directory
    for offset in (20, 24):
        content[at + offset : at + offset + 4] = struct.pack("<I", 10)
    (tmp_path / "lies.aiprod").write_bytes(content)
    refused(empty, tmp_path / "lies.aiprod")


def test_encrypted_linked_doubled_and_strangely_packed_members(empty: Studio, whole: Path, tmp_path: Path) -> None:
    content, path = members(whole), tmp_path / "odd.aiprod"
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in content.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o120777 << 16 if name == first(content) else 0
            archive.writestr(entry, each)
    assert "does not belong" in refused(empty, path)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as archive:
        for name, each in [*content.items(), (CONTENTS, b"{}")]:
            archive.writestr(name, each)
    assert "one name" in refused(empty, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, each in content.items():
            archive.writestr(name, each)
    assert "packed in a way" in refused(empty, path)
    locked = bytearray(whole.read_bytes())
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(locked)
    assert "encrypted" in refused(empty, path)
