"""Films of several clips: order, trims, sizes, rates, sound at its place, and nothing half-written."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipelines.clip_io import read_media
from pipelines.contract import GenerationRequest, InvalidRequest
from studio.timelines.cut import Cut, Footage, Piece, piece_of, rate_of
from studio.timelines.film import render, render_apart
from studio.timelines.values import Trim
from tests.studio.takes import write_take


def footage(folder: Path, name: str, grey: int = 128, pitch_hz: float = 440.0, **shape: object) -> Footage:
    request = GenerationRequest(
        **({"prompt": name, "seed": 1, "height": 64, "width": 64, "num_frames": 12, "frame_rate": 12.0} | shape)
    )
    clip = write_take(folder / f"{name}.mp4", request, grey, pitch_hz)
    return Footage(
        id=name, path=clip.path, prompt=name, height=clip.height, width=clip.width, num_frames=clip.num_frames,
        rate=rate_of(clip.frame_rate), has_video=clip.has_video, has_audio=clip.has_audio,
    )  # fmt: skip


def whole(take: Footage) -> Piece:
    return piece_of(take.id, Trim(), take)


def greys(frames: np.ndarray) -> list[int]:
    return [round(float(np.median(frame))) for frame in frames]


def pitch(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def test_pieces_follow_each_other_trimmed_with_their_sound(tmp_path: Path) -> None:
    dark, light = footage(tmp_path, "dark", 60, 300.0), footage(tmp_path, "light", 180, 900.0)
    cut = Cut("film", (piece_of("one", Trim(start_s=0.5), light), whole(dark), piece_of("three", Trim(end_s=0.25), light)))
    render(cut, tmp_path / "film.mp4")
    film = read_media(tmp_path / "film.mp4")
    assert film.frame_rate == 12 and film.frames.shape == (6 + 12 + 3, 64, 64, 3)
    for found, meant in zip(greys(film.frames), [180] * 6 + [60] * 12 + [180] * 3, strict=True):
        assert abs(found - meant) <= 2
    bars = [int(np.argmax(frame[32, :, 0])) for frame in film.frames]
    assert bars == [*range(6, 12), *range(12), *range(3)], "the very frames that the trims leave"
    rate = film.sound.sample_rate
    assert abs(film.sound.samples.shape[1] - rate * 21 / 12) <= 1
    assert abs(pitch(film.sound.samples[0, : rate // 2], rate) - 900) < 5
    assert abs(pitch(film.sound.samples[0, rate // 2 + 2000 : rate * 3 // 2], rate) - 300) < 5


def test_other_sizes_and_rates_become_the_first_ones(tmp_path: Path) -> None:
    first = footage(tmp_path, "first", 60)
    wide = footage(tmp_path, "wide", 200, height=64, width=128, num_frames=24, frame_rate=24.0)
    quick = footage(tmp_path, "quick", 200, num_frames=25, frame_rate=25.0)
    render(Cut("film", (whole(first), whole(wide), whole(quick))), tmp_path / "film.mp4")
    film = read_media(tmp_path / "film.mp4")
    assert film.frames.shape == (36, 64, 64, 3)
    assert film.frames[14, 2, 32].max() < 8 and abs(int(film.frames[14, 32, 60, 0]) - 200) < 4, "black above, not stretched"
    bars = [int(np.argmax(frame[32, :, 0])) for frame in film.frames[12:24]]
    assert all(abs(bar - index) <= 1 for index, bar in enumerate(bars)), "every second of 24 frames, half as large"
    assert [int(np.argmax(frame[32, :, 0])) for frame in film.frames[24:]] == [int(index * 25 / 12) for index in range(12)]


def test_what_a_piece_lacks_is_silent_or_black(tmp_path: Path) -> None:
    seen = footage(tmp_path, "seen", 180, modality="video")
    heard = footage(tmp_path, "heard", modality="audio")
    render(Cut("film", (whole(heard), whole(seen))), tmp_path / "film.mp4")
    film = read_media(tmp_path / "film.mp4")
    assert len(film.frames) == 24 and film.frames[:12].max() < 8 and film.frames[13:].mean() > 150
    rate = film.sound.sample_rate
    assert film.sound.samples[0, : rate - 2000].std() > 0.1 and np.abs(film.sound.samples[0, rate + 2000 :]).max() < 0.01
    with pytest.raises(InvalidRequest, match="needs a picture"):
        render(Cut("film", (whole(heard),)), tmp_path / "none.mp4")
    assert not list(tmp_path.glob("none*")) and not list(tmp_path.glob(".none*"))


def test_frames_are_not_lost_to_rounding(tmp_path: Path) -> None:
    take = footage(tmp_path, "take", num_frames=10, frame_rate=30000 / 1001)
    lead = footage(tmp_path, "lead")
    cut = Cut("film", (whole(lead), *[piece_of("short", Trim(end_s=0.1), take)] * 20))
    assert cut.moments[-1] == 1 + 20 * Fraction(3 * 1001, 30000)
    assert sum(count for _, count in cut.spans) == round(cut.moments[-1] * 12)
    render(cut, tmp_path / "film.mp4")
    assert len(read_media(tmp_path / "film.mp4").frames) == round(cut.moments[-1] * 12)


def test_the_child_process_renders_the_same_and_tells_what_is_wrong(tmp_path: Path) -> None:
    take = footage(tmp_path, "take")
    cut = Cut("film", (whole(take),))
    render(cut, tmp_path / "here.mp4")
    render_apart(cut, tmp_path / "apart.mp4")
    assert (tmp_path / "apart.mp4").read_bytes() == (tmp_path / "here.mp4").read_bytes()
    take.path.write_bytes(b"no clip")
    with pytest.raises(InvalidRequest, match="cannot be read as a clip"):
        render_apart(cut, tmp_path / "broken.mp4")
    assert not (tmp_path / "broken.mp4").exists()


def test_trims_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    take = footage(tmp_path, "take")
    with pytest.raises(InvalidRequest, match=r"ends at 1\.00 s"):
        piece_of("one", Trim(start_s=1.5), take)
    assert piece_of("one", Trim(start_s=0.5, end_s=9), take).count == 6
    assert piece_of("one", Trim(start_s=0.5, end_s=0.51), take).count == 1
