"""Timelines for other editors, read back: OTIO by its own library, FCPXML against the rules of its DTD; captions."""

from __future__ import annotations

import re
import zipfile
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import opentimelineio as otio
import pytest

from pipelines.contract import InvalidRequest
from studio.timelines.captions import Caption, captions_of, captions_of_cut, srt
from studio.timelines.cut import Cut, Footage, Piece, piece_of
from studio.timelines.interchange import fcpxml_text, media_names, seconds, write_fcpxml, write_otioz
from studio.timelines.values import Trim

NTSC = Fraction(24000, 1001)


def take(folder: Path, letter: str, rate: Fraction = Fraction(12), frames: int = 24, **about: object) -> Footage:
    path = folder / f"{letter}.mp4"
    path.write_bytes(letter.encode() * 100)
    known = {"prompt": f"prompt {letter}", "height": 64, "width": 128, "has_video": True, "has_audio": True} | about
    return Footage(id=letter * 32, path=path, num_frames=frames, rate=rate, **known)


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    """Three shots: a trimmed one, one of another rate, and the first take again."""
    one, two = take(tmp_path, "a"), take(tmp_path, "b", NTSC, 48, height=32, has_audio=False)
    return Cut(
        "My film & more",
        (piece_of("Opening", Trim(start_s=0.5, end_s=1.5), one), piece_of("../Zwölf", Trim(), two), piece_of("End", Trim(), one)),
    )


def test_otio_comes_back_as_it_went_out(cut: Cut, tmp_path: Path) -> None:
    write_otioz(cut, tmp_path / "film.otioz")
    (tmp_path / "out").mkdir()
    timeline = otio.adapters.read_from_file(str(tmp_path / "film.otioz"), extract_to_directory=str(tmp_path / "out"))
    assert timeline.name == "My film & more" and len(timeline.video_tracks()) == 1 and len(timeline.audio_tracks()) == 1
    picture, sound = timeline.video_tracks()[0], timeline.audio_tracks()[0]
    assert [clip.name for clip in picture] == ["Opening", "../Zwölf", "End"]
    for clip, piece in zip(picture, cut.pieces, strict=True):
        shown, whole = clip.source_range, clip.media_reference.available_range
        assert (shown.start_time.value, shown.duration.value) == (piece.first, piece.count)
        assert (whole.start_time.value, whole.duration.value) == (0, piece.footage.num_frames)
        assert Fraction(shown.duration.rate).limit_denominator(1001) == piece.footage.rate
        assert clip.metadata["aiprod"] == {"clip": piece.footage.id, "prompt": piece.footage.prompt}
        assert Path(clip.media_reference.target_url.removeprefix("file://")).name.endswith(f"-{piece.footage.id[:8]}.mp4")
    assert [type(each).__name__ for each in sound] == ["Clip", "Gap", "Clip"]
    assert abs(sound.duration().to_seconds() - float(cut.moments[-1])) < 1e-9
    assert len(list((tmp_path / "out" / "media").iterdir())) == 2
    again = otio.adapters.read_from_string(otio.adapters.write_to_string(timeline, "otio_json"), "otio_json")
    assert again.is_equivalent_to(timeline)


# What the DTD of FCPXML 1.10 asks for: the attributes that must and may be there, and the children in their order.
SOUND = ("audioSources", "audioChannels", "audioRate")
DTD = {
    "fcpxml": (("version",), (), r"(resources )?library"),
    "resources": ((), (), r"((format|asset) ?)*"),
    "format": (("id",), ("name", "frameDuration", "width", "height", "colorSpace"), r""),
    "asset": (
        ("id",),
        ("name", "start", "duration", "hasVideo", "videoSources", "format", "hasAudio", *SOUND),
        r"media-rep",
    ),
    "media-rep": (("src",), ("kind",), r""),
    "library": ((), ("location",), r"event"),
    "event": ((), ("name", "uid"), r"project"),
    "project": ((), ("name", "uid", "id", "modDate"), r"sequence"),
    "sequence": (("format",), ("duration", "tcStart", "tcFormat", "audioLayout", "audioRate"), r"spine"),
    "spine": ((), ("lane", "offset", "name", "format"), r"(asset-clip ?)*"),
    "asset-clip": (("ref",), ("offset", "name", "start", "duration", "tcFormat", "format"), r""),
}  # fmt: skip


def check(element: ElementTree.Element) -> None:
    must, may, children = DTD[element.tag]
    assert set(must) <= set(element.attrib) <= {*must, *may}, (element.tag, element.attrib)
    assert re.fullmatch(children, " ".join(child.tag for child in element)), element.tag
    for name in ("frameDuration", "start", "duration", "offset", "tcStart"):
        assert re.fullmatch(r"\d+(/[1-9]\d*)?s", element.get(name, "0s")), (element.tag, name)
    for child in element:
        check(child)


def exact(time: str) -> Fraction:
    return Fraction(time.removesuffix("s"))


def test_fcpxml_is_valid_and_exact(cut: Cut, tmp_path: Path) -> None:
    text = fcpxml_text(cut, media_names(cut))
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n<fcpxml version="1.10">')
    root = ElementTree.fromstring(text)
    check(root)
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(set(ids)) == len(ids) == 4, "two formats and two assets"
    assets = {asset.get("id"): asset for asset in root.iter("asset")}
    assert {asset.get("format") for asset in assets.values()} <= {each.get("id") for each in root.iter("format")}
    sequence = next(root.iter("sequence"))
    frame = exact(next(each for each in root.iter("format") if each.get("id") == sequence.get("format")).get("frameDuration"))
    assert frame == Fraction(1, 12)
    at = Fraction(0)
    for clip, piece in zip(root.iter("asset-clip"), cut.pieces, strict=True):
        assert exact(clip.get("offset")) == at and clip.get("ref") in assets
        assert (exact(clip.get("duration")) / frame).denominator == 1, "a whole number of the sequence's frames"
        assert exact(clip.get("start")) == piece.start
        at += exact(clip.get("duration"))
    assert at == exact(sequence.get("duration"))
    assert exact(assets[next(root.iter("asset-clip")).get("ref")].get("duration")) == 2


def test_the_package_of_fcpxml_holds_what_it_names(cut: Cut, tmp_path: Path) -> None:
    write_fcpxml(cut, tmp_path / "film.zip")
    with zipfile.ZipFile(tmp_path / "film.zip") as archive:
        names = archive.namelist()
        root = ElementTree.fromstring(archive.read("My film  more.fcpxml"))
        sources = {each.get("src") for each in root.iter("media-rep")}
        assert sources == set(names) - {"My film  more.fcpxml"}
        assert all(re.fullmatch(r"media/\d{3}-[A-Za-z0-9._-]+-[ab]{8}\.mp4", name) and ".." not in name for name in sources)
        assert archive.read(min(sources)) == b"a" * 100


def test_times_are_written_exactly() -> None:
    assert seconds(Fraction(2)) == "2s" and seconds(1 / NTSC) == "1001/24000s" and seconds(Fraction(0)) == "0s"


def test_captions_say_when(tmp_path: Path) -> None:
    stamped = "a street [0.0-1.0 s] a car comes [1.0-2.0 s] it honks"
    assert captions_of(stamped, Fraction(0), Fraction(2)) == [Caption(0, 1, "a car comes"), Caption(1, 2, "it honks")]
    assert captions_of(stamped, Fraction(1, 2), Fraction(1)) == [Caption(0, Fraction(1, 2), "a car comes")]
    assert captions_of(" ", Fraction(0), Fraction(2)) == []
    assert captions_of("plain words", Fraction(1), Fraction(3)) == [Caption(0, 2, "plain words")]
    with pytest.raises(InvalidRequest, match="runs backwards"):
        captions_of("[2-1 s] wrong", Fraction(0), Fraction(2))


def test_captions_of_a_cut_follow_its_shots(tmp_path: Path) -> None:
    one = take(tmp_path, "a", prompt="[0.0-1.0 s] one\n\nand on [1.0-2.0 s] two")
    two = take(tmp_path, "b", prompt="three")
    cut = Cut("film", (piece_of("x", Trim(start_s=0.5), one), Piece("y", two, 0, 18)))
    assert srt(captions_of_cut(cut)) == (
        "1\n00:00:00,000 --> 00:00:00,500\none\nand on\n\n"
        "2\n00:00:00,500 --> 00:00:01,500\ntwo\n\n"
        "3\n00:00:01,500 --> 00:00:03,000\nthree\n"
    )
    assert srt([Caption(Fraction(3661), Fraction(3661) + Fraction(2, 3), "x")]).startswith("1\n01:01:01,000 --> 01:01:01,667\n")
