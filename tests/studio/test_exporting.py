"""Exports read back: frames, size, length and colours of every format, and the clips that do not fit one."""

from __future__ import annotations

import io
import wave
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from pipelines.clip_io import Origin, Sound, read_media, read_request, write_clip
from pipelines.contract import InvalidRequest, Modality, StorageFull, StudioError
from studio.exporting import FORMATS, encoder, export, export_apart

RATE, HEIGHT, WIDTH = 12.0, 64, 96


@pytest.fixture
def clip(idle, small, tmp_path):
    """Writes a clip with a red square that moves over green, and a tone; returns its path and its number of frames."""

    def written(modality: Modality = Modality.VIDEO_AND_AUDIO, rate: float = RATE) -> tuple[Path, int]:
        request = idle.catalogue.complete(small(frame_rate=rate, modality=modality))
        frames = np.full((request.num_frames, HEIGHT, WIDTH, 3), (20, 130, 60), np.uint8)
        for number, frame in enumerate(frames):
            frame[16:48, 2 * number + 4 : 2 * number + 36] = (220, 30, 30)
        seconds = np.arange(round(16000 * request.num_frames / rate)) / 16000
        sound = Sound(np.stack([0.5 * np.sin(2 * np.pi * 440 * seconds)] * 2).astype(np.float32), 16000)
        path = tmp_path / "clip.mp4"
        origin = Origin(request, "0", "test")
        write_clip(path, None if modality == Modality.AUDIO else frames, None if modality == Modality.VIDEO else sound, origin)
        return path, request.num_frames

    return written


def loudest_hz(samples: np.ndarray, rate: int) -> float:
    """The frequency of a tone in samples ``[n]``."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / samples.size)


@pytest.mark.parametrize(
    ("name", "codecs"), [("webm", ("vp9", "opus")), ("webm-av1", ("av1", "opus")), ("mp4-hevc", ("hevc", "aac"))]
)
def test_films_keep_frames_size_length_and_sound(clip, tmp_path, name, codecs):
    source, count = clip()
    out = tmp_path / f"out{FORMATS[name].suffix}"
    export(source, name, out)
    with av.open(str(out)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.codec.canonical_name, audio.codec_context.codec.canonical_name) == codecs
        assert video.average_rate == RATE
    before, after = read_media(source), read_media(out)
    assert after.frames.shape == (count, HEIGHT, WIDTH, 3)
    assert np.abs(after.frames.astype(int) - before.frames).mean() < 6
    assert abs(after.sound.samples.shape[1] / after.sound.sample_rate - count / RATE) < 0.03
    assert abs(loudest_hz(after.sound.samples[0], after.sound.sample_rate) - 440) < 3
    if name == "mp4-hevc":
        assert read_request(out)[0] == read_request(source)[0], "an MP4 keeps what it was made of"


@pytest.mark.parametrize(("rate", "step"), [(12.0, 1), (60.0, 2)])
def test_a_gif_has_one_good_palette_and_the_clips_length(clip, tmp_path, rate, step):
    source, count = clip(rate=rate)
    export(source, "gif", tmp_path / "out.gif")
    picture = Image.open(tmp_path / "out.gif")
    shown = [(frame.info["duration"], np.asarray(frame.convert("RGB"))) for frame in ImageSequence.Iterator(picture)]
    assert picture.size == (WIDTH, HEIGHT) and picture.info["loop"] == 0
    assert len(shown) == len(range(0, count, step))
    assert min(milliseconds for milliseconds, _ in shown) >= 20
    assert abs(sum(milliseconds for milliseconds, _ in shown) / 1000 - count / rate) <= step / rate
    before = read_media(source).frames[::step]
    errors = [np.abs(after.astype(int) - was).mean() for (_, after), was in zip(shown, before, strict=True)]
    assert max(errors) < 4


def test_pictures_are_those_of_the_clip_without_loss(clip, tmp_path):
    source, count = clip()
    export(source, "png", tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.namelist() == [f"frame-{number:05d}.png" for number in range(count)]
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()]
    assert np.array_equal(np.stack(pictures), read_media(source).frames)


@pytest.mark.parametrize("modality", [Modality.VIDEO_AND_AUDIO, Modality.AUDIO])
def test_the_sound_alone(clip, tmp_path, modality):
    source, count = clip(modality)
    export(source, "wav", tmp_path / "out.wav")
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 48_000)
        assert abs(file.getnframes() / 48_000 - count / RATE) < 0.03
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert abs(loudest_hz(samples[:, 0], 48_000) - 440) < 3 and 12_000 < samples.max() < 20_000


@pytest.mark.parametrize("name", ["webm", "gif", "png", "webm-av1", "mp4-hevc"])
def test_a_silent_film_stays_silent(clip, tmp_path, name):
    source, count = clip(Modality.VIDEO)
    out = tmp_path / "out"
    export(source, name, out)
    if name != "png":
        found = read_media(out)
        assert found.sound is None and len(found.frames) == count
    else:
        assert len(zipfile.ZipFile(out).namelist()) == count


def test_webm_of_sound_alone(clip, tmp_path):
    source, count = clip(Modality.AUDIO)
    export(source, "webm", tmp_path / "out.webm")
    found = read_media(tmp_path / "out.webm")
    assert found.frames is None
    assert abs(found.sound.samples.shape[1] / found.sound.sample_rate - count / RATE) < 0.03


@pytest.mark.parametrize(
    ("modality", "name", "words"),
    [
        (Modality.AUDIO, "gif", "gif needs a picture and this clip has none"),
        (Modality.AUDIO, "png", "png needs a picture"),
        (Modality.AUDIO, "mp4-hevc", "mp4-hevc needs a picture"),
        (Modality.VIDEO, "wav", "wav needs sound and this clip has none"),
        (Modality.VIDEO_AND_AUDIO, "avi", "format is 'avi'; use one of webm, gif, png, wav, webm-av1, mp4-hevc"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(clip, tmp_path, modality, name, words):
    source, _ = clip(modality)
    (tmp_path / "to").mkdir()
    for exported in (export, export_apart):
        with pytest.raises(InvalidRequest, match=words) as refused:
            exported(source, name, tmp_path / "to" / "out")
        assert refused.value.field == "format" and "\n" not in refused.value.message
    assert list((tmp_path / "to").iterdir()) == []


def test_a_missing_encoder_is_named():
    with pytest.raises(InvalidRequest, match="needs the encoder libnothing, which this PyAV was built without"):
        encoder("libnothing")


def test_files_that_are_no_clips_and_folders_that_are_not_there(clip, tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"not a clip")
    with pytest.raises(InvalidRequest, match=r"x\.mp4 cannot be read"):
        export_apart(tmp_path / "x.mp4", "gif", tmp_path / "x.gif")
    source, _ = clip()
    for name in FORMATS:
        with pytest.raises(StorageFull, match="choose another folder"):
            export(source, name, tmp_path / "nowhere" / "out")


def test_a_child_process_writes_the_same(clip, tmp_path):
    source, _ = clip()
    export(source, "wav", tmp_path / "one.wav")
    export_apart(source, "wav", tmp_path / "two.wav")
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["clip.mp4", "one.wav", "two.wav"]


def test_a_child_that_breaks_is_told_in_one_sentence(tmp_path):
    with av.open(str(tmp_path / "dot.mp4"), "w") as container:  # smaller than H.265 can be
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 2, 2, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((2, 2, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(StudioError, match="could not be exported") as broken:
        export_apart(tmp_path / "dot.mp4", "mp4-hevc", tmp_path / "out.mp4")
    assert "\n" not in broken.value.message
