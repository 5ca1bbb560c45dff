"""Posters, waveforms and probes of real files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipelines.clip_io import Origin, Sound, write_clip
from pipelines.contract import InvalidRequest, Modality
from studio.media import probe, thumbnail_of, waveform


@pytest.fixture
def request_of(idle, small):
    return lambda **fields: idle.catalogue.complete(small(**fields))


def test_the_poster_is_a_frame_of_the_clip(request_of, tmp_path):
    request = request_of(frame_rate=10.0)
    frames = np.zeros((request.num_frames, 64, 96, 3), np.uint8)
    frames[:, :, :, 0] = 220
    frames[0] = 0
    write_clip(tmp_path / "clip.mp4", frames, None, Origin(request, "0", "test"))
    poster = Image.open(io.BytesIO(thumbnail_of(tmp_path / "clip.mp4")))
    assert (poster.format, poster.size) == ("WEBP", (96, 64))
    red, green, blue = np.asarray(poster.convert("RGB")).reshape(-1, 3).mean(0)
    assert red > 180 and green < 40 and blue < 40, "the black first frame is not the poster"
    found = probe(tmp_path / "clip.mp4")
    assert (found.width, found.height, found.has_video, found.has_audio) == (96, 64, True, False)
    assert abs(found.duration_s - request.num_frames / 10) < 0.06


def test_sound_alone_shows_its_waveform(request_of, tmp_path):
    request = request_of(modality=Modality.AUDIO)
    samples = np.concatenate([np.zeros(4000), 0.9 * np.sin(np.arange(8000) / 5)])[None].astype(np.float32)
    write_clip(tmp_path / "clip.mp4", None, Sound(samples, 16000), Origin(request, "0", "test"))
    assert Image.open(io.BytesIO(thumbnail_of(tmp_path / "clip.mp4"))).format == "WEBP"
    picture = np.asarray(waveform(Sound(samples, 16000))).astype(int)
    ink = (picture[:, :, 2] > 150).sum(axis=0)
    assert ink[: picture.shape[1] // 4].max() <= 4 and ink[picture.shape[1] // 2 :].max() > 150


@pytest.mark.parametrize("content", [b"", b"not a clip", b"\0" * 5000])
def test_what_is_no_clip_is_refused(tmp_path, content):
    (tmp_path / "x.mp4").write_bytes(content)
    for look in (probe, thumbnail_of):
        with pytest.raises(InvalidRequest, match="cannot be read"):
            look(tmp_path / "x.mp4")
