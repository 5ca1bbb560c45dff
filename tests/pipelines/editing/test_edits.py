"""Edits through the engine, on a tiny twin of the real model and real files: what stays is the same, the rest is new."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.clip_io import Media, Sound, read_media, read_origin
from pipelines.contract import Clip, Done, EditRequest, InvalidRequest
from pipelines.editing.compose import compose_frames
from pipelines.editing.layout import Layout
from pipelines.editing.plan import EditPlan, Shape, Span, Window
from pipelines.engine import Engine
from pipelines.registry import Defaults, ModelCatalogue, spec_from_folder
from pipelines.world.renderer import render
from pipelines.world.scene import sample
from pipelines.world.sounds import synthesize

RATE, FRAMES, SIZE = 12.0, 25, 64
SOURCE, OTHER = "clip:" + "1" * 32, "clip:" + "2" * 32


@pytest.fixture(scope="module")
def engine(twin_folder: Path, tmp_path_factory) -> Engine:
    defaults = Defaults(height=SIZE, width=SIZE, num_frames=FRAMES, frame_rate=RATE, num_inference_steps=2)
    catalogue = ModelCatalogue([spec_from_folder("twin", twin_folder, defaults=defaults)])
    return Engine(catalogue, media_dir=tmp_path_factory.mktemp("media"), device="cpu")


def world_clip(path: Path, seed: int, size: int = SIZE) -> Path:
    """A rendered clip of the world as a file of ours."""
    from pipelines.clip_io import Origin, write_clip
    from pipelines.contract import GenerationRequest

    scene = sample(np.random.default_rng(seed))
    frames = render(scene, FRAMES, RATE, size)
    sound = Sound(synthesize(scene, FRAMES / RATE, 16_000)[None], 16_000)
    request = GenerationRequest(prompt="a world", height=size, width=size, num_frames=FRAMES, frame_rate=RATE, crf=8)
    write_clip(path, frames, sound, Origin(request, "0" * 64, "test"))
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {SOURCE: world_clip(folder / "1.mp4", 1), OTHER: world_clip(folder / "2.mp4", 2)}


def edited(engine: Engine, clips: dict[str, Path], path: Path, kind: str, **fields) -> tuple[Clip, Media]:
    request = EditRequest(
        prompt="a red ball", model="twin", seed=1, crf=8, source=SOURCE, edit={"kind": kind, **fields}, guidance_scale=1.0
    )
    full = engine._catalogue.complete(request)
    *_, done = engine.run(full, path, clips)
    assert isinstance(done, Done)
    media = read_media(path)
    assert read_origin(path).request == done.result.request
    assert media.frames is None or len(media.frames) == done.result.num_frames
    return done.result, media


def image(engine: Engine, pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    reference = f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}"
    engine.media_path(reference).write_bytes(buffer.getvalue())
    return reference


def psnr(one: np.ndarray, two: np.ndarray) -> float:
    error = np.square(one.astype(np.float64) - two.astype(np.float64)).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def loudness(sound: Sound, start_s: float, end_s: float) -> float:
    part = sound.samples[:, round(start_s * sound.sample_rate) : round(end_s * sound.sample_rate)]
    return float(np.sqrt(np.square(part).mean()))


def same_sound(one: Sound, two: Sound, start_s: float, end_s: float) -> float:
    """The error of a stretch as a share of its loudness (a second AAC encoding is between the two)."""
    first, last = round(start_s * 48_000), round(end_s * 48_000)
    difference = one.samples[:, first:last] - two.samples[:, first:last]
    return float(np.sqrt(np.square(difference).mean())) / max(1e-3, loudness(two, start_s, end_s))


def test_a_retake_keeps_what_is_outside_its_range(engine, clips, tmp_path):
    source = read_media(clips[SOURCE])
    clip, media = edited(engine, clips, tmp_path / "r.mp4", "retake", start_s=1.0, end_s=1.5)
    outside = [*range(12), *range(18, FRAMES)]
    assert min(psnr(media.frames[k], source.frames[k]) for k in outside) >= 40
    assert psnr(media.frames[12:18], source.frames[12:18]) < 25
    assert clip.request.source == SOURCE and clip.num_frames == FRAMES
    # Half an AAC frame around the range may differ: the codec's windows overlap.
    assert same_sound(media.sound, source.sound, 0.0, 0.95) < 0.2 and same_sound(media.sound, source.sound, 1.55, 2.0) < 0.2


def test_before_encoding_what_is_outside_is_bit_equal():
    rng = np.random.default_rng(0)
    frames, made = (rng.integers(0, 255, (25, 32, 32, 3), np.uint8) for _ in range(2))
    plan = EditPlan(Shape(32, 32, 25, RATE), Span(8, 14), Span(8, 14), Window(0, 25, 32, 32))
    result = compose_frames(Layout(frames, None), plan, made)
    outside = [*range(8), *range(14, 25)]
    assert np.array_equal(result[outside], frames[outside]) and not np.array_equal(result[8:14], frames[8:14])
    region = np.zeros((25, 32, 32), np.float32)
    region[8:14, :16] = 1
    within = compose_frames(Layout(frames, None, region), plan, made)
    assert np.array_equal(within[:, 16:], frames[:, 16:]) and not np.array_equal(within[8:14, :16], frames[8:14, :16])


def test_a_join_does_not_jump_where_the_codec_loses_detail():
    """The source is sharp, the decoded window is the same picture blurred: beside the join the detail is carried over."""
    import cv2

    scene = sample(np.random.default_rng(4))
    sharp = render(scene, 25, RATE, 64)
    still = np.repeat(sharp[:1], 25, axis=0)
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in still])
    plan = EditPlan(Shape(64, 64, 25, RATE), Span(8, 16), Span(0, 0), Window(0, 25, 64, 64))
    result = compose_frames(Layout(still, None), plan, blurred)
    jump, plain = (np.abs(frames[8].astype(float) - still[7]).mean() for frames in (result, blurred))
    assert jump < 0.35 * plain


def test_what_stood_elsewhere_beside_the_range_leaves_no_ghost_in_it():
    """Frames that share a latent with the hole are imagined too, so that they need not show what the source shows."""
    source, made = np.full((2, 25, 64, 64, 3), 90, np.uint8)
    source[:, 8:24, 8:24] = 220
    made[:, 40:56, 40:56] = 220
    plan = EditPlan(Shape(64, 64, 25, RATE), Span(8, 16), Span(0, 0), Window(0, 25, 64, 64))
    result = compose_frames(Layout(source, None), plan, made)
    assert np.abs(result[8:16].astype(int) - made[8:16]).max() <= 12


def test_a_retake_of_the_sound_alone_leaves_the_picture(engine, clips, tmp_path):
    source = read_media(clips[SOURCE])
    _, media = edited(engine, clips, tmp_path / "s.mp4", "retake", start_s=0.5, end_s=1.5, part="audio")
    assert psnr(media.frames, source.frames) >= 40
    assert same_sound(media.sound, source.sound, 0.6, 1.4) > 0.5


def test_extending_forward_and_backward(engine, clips, tmp_path):
    source = read_media(clips[SOURCE])
    clip, media = edited(engine, clips, tmp_path / "f.mp4", "extend", seconds=1.0)
    assert clip.num_frames == 37 and psnr(media.frames[:25], source.frames) >= 40
    clip, media = edited(engine, clips, tmp_path / "b.mp4", "extend", seconds=1.0, direction="backward")
    assert clip.num_frames == 37 and psnr(media.frames[12:], source.frames) >= 40
    after = Sound(media.sound.samples[:, 48_000:], 48_000)
    assert same_sound(after, source.sound, 0.05, 2.0) < 0.2


def test_joining_two_clips(engine, clips, tmp_path):
    one, two = read_media(clips[SOURCE]), read_media(clips[OTHER])
    clip, media = edited(engine, clips, tmp_path / "j.mp4", "join", other=OTHER, transition_s=0.5)
    assert clip.num_frames == 56
    assert psnr(media.frames[:25], one.frames) >= 40 and psnr(media.frames[31:], two.frames) >= 40
    clip, media = edited(engine, clips, tmp_path / "c.mp4", "join", other=OTHER, transition_s=0)
    assert clip.num_frames == 50 and psnr(media.frames[25:], two.frames) >= 38


def test_a_loop_ends_where_it_begins(engine, clips, tmp_path):
    source = read_media(clips[SOURCE])
    clip, media = edited(engine, clips, tmp_path / "l.mp4", "loop", seam_s=0.5)
    assert clip.num_frames == FRAMES and psnr(media.frames[5:20], source.frames[5:20]) >= 40
    assert psnr(media.frames[0], source.frames[0]) < 40 and psnr(media.frames[-1], source.frames[-1]) < 40


def test_dub_and_visualise(engine, clips, tmp_path):
    source = read_media(clips[SOURCE])
    _, media = edited(engine, clips, tmp_path / "d.mp4", "dub")
    assert psnr(media.frames, source.frames) >= 40 and same_sound(media.sound, source.sound, 0.1, 2.0) > 0.5
    _, media = edited(engine, clips, tmp_path / "v.mp4", "visualise")
    assert psnr(media.frames, source.frames) < 25 and same_sound(media.sound, source.sound, 0.1, 2.0) < 0.2


def test_a_painted_frame_is_shown_and_a_region_stays_in_its_place(engine, clips, tmp_path):
    source = read_media(clips[SOURCE])
    painted = source.frames[10].copy()
    painted[20:40, 20:40] = (255, 0, 0)
    _, media = edited(
        engine, clips, tmp_path / "k.mp4", "keyframes", keyframes=[{"frame": 10, "image": image(engine, painted)}], change=0.5
    )
    assert psnr(media.frames[10], painted) >= 36
    mask = np.zeros((SIZE, SIZE, 3), np.uint8)
    mask[:, :32] = 255
    _, media = edited(engine, clips, tmp_path / "g.mp4", "region", mask=image(engine, mask), start_s=0.5, end_s=1.5)
    assert psnr(media.frames[:, :, 36:], source.frames[:, :, 36:]) >= 38
    assert psnr(media.frames[6:18, :, :32], source.frames[6:18, :, :32]) < 30
    with pytest.raises(InvalidRequest, match="mask is black"):
        edited(engine, clips, tmp_path / "x.mp4", "region", mask=image(engine, 0 * mask))


def test_plain_edits(engine, clips, tmp_path):
    source = read_media(clips[SOURCE])
    clip, media = edited(engine, clips, tmp_path / "t.mp4", "trim", start_s=0.5, end_s=1.5)
    assert clip.num_frames == 12 and psnr(media.frames, source.frames[6:18]) >= 40 and clip.model_sha256 == ""
    _, media = edited(engine, clips, tmp_path / "c.mp4", "crop", left=16, top=8, width=32, height=48)
    assert media.frames.shape[1:3] == (48, 32) and psnr(media.frames, source.frames[:, 8:56, 16:48]) >= 36
    _, media = edited(engine, clips, tmp_path / "m.mp4", "mute")
    assert media.sound is None
    clip, media = edited(engine, clips, tmp_path / "i.mp4", "interpolate", factor=2)
    assert media.frame_rate == 24 and psnr(media.frames[::2], source.frames) >= 38
    clip, media = edited(engine, clips, tmp_path / "q.mp4", "speed", factor=2.0)
    assert clip.num_frames == 12 and abs(media.sound.samples.shape[1] / 48_000 - 1.0) < 0.01
    _, media = edited(engine, clips, tmp_path / "o.mp4", "replace-sound", other=OTHER)
    assert same_sound(media.sound, read_media(clips[OTHER]).sound, 0.1, 1.9) < 0.2
    _, media = edited(engine, clips, tmp_path / "w.mp4", "shift-sound", offset_s=0.5)
    late = Sound(media.sound.samples[:, 24_000:], 48_000)
    assert same_sound(late, source.sound, 0.05, 1.4) < 0.2 and loudness(media.sound, 0.0, 0.45) < 1e-3


def test_speed_keeps_the_pitch():
    from pipelines.editing.plain import stretched

    moments = np.arange(96_000) / 48_000
    tone = Sound(0.5 * np.sin(2 * np.pi * 440 * moments)[None].astype(np.float32), 48_000)
    fast = stretched(tone, 2.0, 1.0)
    spectrum = np.abs(np.fft.rfft(fast.samples[0, 4800:43_200]))
    assert abs(np.argmax(spectrum) * 48_000 / 38_400 - 440) < 3


def test_a_source_that_is_gone_is_one_sentence(engine, tmp_path):
    with pytest.raises(InvalidRequest, match="no longer in the library"):
        edited(engine, {}, tmp_path / "x.mp4", "mute")


def test_the_same_edit_twice_is_the_same(engine, clips, tmp_path):
    results = [edited(engine, clips, tmp_path / f"{n}.mp4", "retake", start_s=1.0, end_s=1.5)[1] for n in "ab"]
    assert np.array_equal(results[0].frames, results[1].frames)
