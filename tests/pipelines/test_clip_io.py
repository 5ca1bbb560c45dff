"""Clip files: picture and sound that meet, what players need, the request inside, and files that are not ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.clip_io import Origin, Sound, read_media, read_origin, read_request, write_clip
from pipelines.contract import GenerationRequest, InvalidRequest

SIDE = 64


def origin(frames: int = 25, rate: float = 12.0, media: dict[str, bytes] | None = None, **fields) -> Origin:
    wanted = {"prompt": "a click", "height": SIDE, "width": SIDE, "num_frames": frames, "frame_rate": rate, "seed": 1}
    return Origin(GenerationRequest(**(wanted | fields)), "0" * 64, "test", media or {})


def flash_and_click(at_frame: int, frames: int, rate: float, sample_rate: int, channels: int = 1) -> tuple[np.ndarray, Sound]:
    """A white frame, and a click of 2 ms at the moment at which that frame appears."""
    pictures = np.full((frames, SIDE, SIDE, 3), 16, np.uint8)
    pictures[at_frame] = 240
    samples = np.zeros((channels, round(frames / rate * sample_rate)), np.float32)
    start = round(at_frame / rate * sample_rate)
    samples[:, start : start + round(0.002 * sample_rate)] = 0.9
    return pictures, Sound(samples, sample_rate)


def onset_s(samples: np.ndarray, sample_rate: int) -> float:
    """When the click begins: the first sample above half of the peak."""
    level = np.abs(samples).max(0)
    return int(np.argmax(level > level.max() / 2)) / sample_rate


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [16_000, 24_000, 48_000])
@pytest.mark.parametrize(
    ("at_frame", "frames", "rate"), [(0, 25, 12.0), (1, 25, 24.0), (11, 25, 12.0), (97, 121, 24.0), (30, 61, 29.97)]
)
def test_a_click_is_heard_with_its_flash(tmp_path, at_frame, frames, rate, sample_rate, channels):
    pictures, sound = flash_and_click(at_frame, frames, rate, sample_rate, channels)
    write_clip(tmp_path / "clip.mp4", pictures, sound, origin(frames, rate))
    media = read_media(tmp_path / "clip.mp4")
    seen = int(media.frames.mean((1, 2, 3)).argmax()) / media.frame_rate
    heard = onset_s(media.sound.samples, media.sound.sample_rate)
    assert media.frames.shape == pictures.shape and media.sound.samples.shape[0] == channels
    assert abs(heard - seen) <= 0.005
    length_s = media.sound.samples.shape[1] / media.sound.sample_rate
    assert abs(length_s - frames / media.frame_rate) < 1 / rate


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on PATH: apt-get install ffmpeg runs the second opinion")
def test_another_decoder_hears_the_same(tmp_path):
    pictures, sound = flash_and_click(11, 25, 12.0, 16_000)
    write_clip(tmp_path / "clip.mp4", pictures, sound, origin())
    command = ["ffmpeg", "-loglevel", "error", "-i", str(tmp_path / "clip.mp4"), "-map", "0:a", "-f", "f32le", "-"]
    samples = np.frombuffer(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout, np.float32)
    assert abs(onset_s(samples[None], 48_000) - 11 / 12) <= 0.005


@pytest.mark.parametrize("seconds_of_sound", [0.2, 2.0, 9.0])
def test_sound_is_as_long_as_its_picture(tmp_path, seconds_of_sound):
    sound = Sound(np.random.default_rng(0).uniform(-2, 2, (1, round(16_000 * seconds_of_sound))).astype(np.float32), 16_000)
    write_clip(tmp_path / "clip.mp4", np.zeros((25, SIDE, SIDE, 3), np.uint8), sound, origin())
    media = read_media(tmp_path / "clip.mp4")
    assert abs(media.sound.samples.shape[1] / media.sound.sample_rate - 25 / 12) < 1 / 12


def test_what_players_need(tmp_path):
    path = tmp_path / "clip.mp4"
    pictures, sound = flash_and_click(3, 9, 12.0, 16_000)
    write_clip(path, pictures, sound, origin(9))
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (audio.codec_context.name, audio.rate) == ("aac", 48_000)
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat"), "plays before it is loaded whole"
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("colour", [(222, 40, 44), (38, 166, 75), (42, 92, 226), (244, 244, 246), (0, 0, 0)])
def test_colours_survive(tmp_path, colour):
    write_clip(tmp_path / "clip.mp4", np.full((9, SIDE, SIDE, 3), colour, np.uint8), None, origin(9))
    media = read_media(tmp_path / "clip.mp4")
    assert media.sound is None and np.abs(media.frames.mean((0, 1, 2)) - colour).max() < 3


def test_the_whole_request_travels(tmp_path):
    picture = np.random.default_rng(0).bytes(3_000_000)
    reference = "sha256:" + "a" * 64
    told = origin(9, media={reference: picture}, prompt='球 "émoji" 🎈\nsecond line; \\ = #', first_frame=reference, crf=7)
    pictures, sound = flash_and_click(3, 9, 12.0, 16_000)
    write_clip(tmp_path / "clip.mp4", pictures, sound, told)
    assert read_origin(tmp_path / "clip.mp4") == told
    assert read_request(tmp_path / "clip.mp4") == (told.request, {reference: picture})


def with_comment(path: Path, comment: str | None) -> Path:
    """A playable file whose comment somebody else wrote."""
    with av.open(str(path), "w") as container:
        if comment is not None:
            container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=12)
        stream.height, stream.width, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((SIDE, SIDE, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return path


HONEST = json.loads(origin().to_json())


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        (None, "no settings of this studio"),
        ("made with love", "no settings of this studio"),
        ("[]", "no settings of this studio"),
        ("[" * 100_000, "no settings of this studio"),
        ('{"maker": "somebody else"}', "no settings of this studio"),
        (json.dumps(HONEST | {"media": {"sha256:x": "not base64!"}}), "no settings of this studio"),
        (json.dumps(HONEST | {"media": []}), "no settings of this studio"),
        (json.dumps(HONEST | {"request": HONEST["request"] | {"crf": 4000}}), "crf"),
        (json.dumps(HONEST | {"request": HONEST["request"] | {"prompt": ""}}), "prompt"),
    ],
)
def test_other_files_are_refused_in_one_sentence(tmp_path, comment, message):
    with pytest.raises(InvalidRequest, match=message) as caught:
        read_origin(with_comment(tmp_path / "other.mp4", comment))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("data", [b"", b"not a video", b"\x00" * 100_000, "half"])
def test_broken_files_are_refused_in_one_sentence(tmp_path, data):
    path = tmp_path / "broken.mp4"
    if data == "half":
        pictures, sound = flash_and_click(3, 25, 12.0, 16_000)
        write_clip(path, pictures, sound, origin())
        data = path.read_bytes()[:600]
    path.write_bytes(data)
    for reader in (read_origin, read_media):
        with pytest.raises(InvalidRequest, match=r"broken\.mp4") as caught:
            reader(path)
        assert caught.value.field == "file"


def test_wherever_a_file_is_cut_off_it_is_read_or_refused_in_a_sentence(tmp_path):
    """Its index stands at the front, so it opens; what that speaks of may be gone."""
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    frames = np.random.default_rng(0).integers(0, 256, (9, SIDE, SIDE, 3), dtype=np.uint8)
    write_clip(whole, frames, Sound(np.zeros((1, 12_000), np.float32), 16_000), origin(9))
    content, told = whole.read_bytes(), set()
    begin = content.index(b"mdat")
    for length in np.linspace(begin, len(content), 24, dtype=int):
        cut.write_bytes(content[:length])
        try:
            read_media(cut)
        except InvalidRequest as error:
            told.add(error.message)
    assert "cut.mp4 is cut off: it names a sound and holds none; make it again." in told and len(told) <= 2
