"""Latents that are kept: small, near enough, checked, and what edits begin from."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.clip_io import read_media
from pipelines.contract import Clip, Done, EditRequest, GenerationRequest, Metric
from pipelines.edit_graphs import begins_with
from pipelines.editing.plan import plan_edit
from pipelines.editing.shape import shape_of
from pipelines.edits import Enlarge, Extend, Keyframes, Retake
from pipelines.engine import Engine
from pipelines.models.ltx2.decode import decode_video
from pipelines.models.ltx2.latents import Canvas
from pipelines.optimize.latent_codec import exponents_of, pack, steps_of, unpack
from pipelines.optimize.latent_steps import steps_of_model
from pipelines.optimize.latent_store import Kept, LatentStore, beside
from pipelines.passes import Latents
from pipelines.registry import ModelCatalogue
from pipelines.training.recipes import build_upscaler, pocket
from pipelines.training.upscaler_stage import write_upscaler
from tests.disks import disk, fill

STEPS = exponents_of(np.array([0.1, 0.05, 1.0]))
SOURCE = "clip:" + "1" * 32


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_steps_are_kept_to_an_eighth_of_an_octave():
    steps = np.geomspace(2**-15, 2**15, 500)
    assert np.abs(np.log2(steps_of(exponents_of(steps)) / steps)).max() <= 1 / 16 + 1e-9


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 16, 3), (5, 1, 3), (2, 300, 3)])
def test_what_is_unpacked_is_half_a_step_away_at_most(shape):
    values = 3 * numbers(*shape)
    found = unpack(pack(values, STEPS), shape, STEPS)
    assert found.dtype == np.float32 and (np.abs(found - values) <= steps_of(STEPS) / 2 + 1e-5).all()


def test_numbers_that_fill_no_byte_come_back_too():
    values = np.array([[[-40.0, 1e3, -1e6]], [[40.0, -1e3, 1e6]], [[0.0, 0.0, 0.0]]], np.float32)
    found = unpack(pack(values, STEPS), values.shape, STEPS)
    assert (np.abs(found - values) <= steps_of(STEPS) / 2 + 1e-6 * np.abs(values)).all()


def test_a_still_channel_takes_next_to_nothing():
    moving = 3 * numbers(20, 16, 3)
    still = np.repeat(moving[:1], 20, axis=0)
    assert len(pack(still, STEPS)) < len(pack(moving, STEPS)) / 5
    mixed = np.concatenate([moving[..., :1], still[..., 1:]], -1)
    assert len(pack(mixed, STEPS)) < len(pack(moving, STEPS)) / 2


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e30])
def test_what_cannot_be_kept_is_refused(wrong):
    values = numbers(2, 2, 3)
    values[1, 1, 1] = wrong
    with pytest.raises(ValueError, match="not finite"):
        pack(values, STEPS)


def test_foreign_bytes_are_refused():
    body = pack(numbers(4, 4, 3), STEPS)
    for wrong in (b"", body[:9], body[:-3], body + b"x", b"\xff" * 40):
        with pytest.raises(ValueError, match="packed latents"):
            unpack(wrong, (4, 4, 3), STEPS)
    with pytest.raises(ValueError, match="another shape"):
        unpack(body, (4, 5, 3), STEPS)


def test_a_channel_that_matters_more_has_a_finer_step():
    """The steps of the embedded model: an error of one step does about as much in any channel."""
    catalogue = ModelCatalogue.with_folders({})
    model = Engine(catalogue, media_dir=Path(), device="cpu").model("pocket")
    steps = steps_of(steps_of_model(model).video)
    canvas = Canvas.of(model, height=64, width=64, num_frames=9, frame_rate=12.0)
    tokens = torch.zeros(1, canvas.frames * canvas.height * canvas.width, len(steps))
    still = decode_video(model, tokens, canvas)

    def effect(channel: int, size: float) -> float:
        other = tokens.clone()
        other[..., channel] += size * torch.randn(tokens.shape[1], generator=torch.Generator().manual_seed(channel))
        return float((decode_video(model, other, canvas) - still).square().mean())

    fine, coarse = int(steps.argmin()), int(steps.argmax())
    assert steps[coarse] > 5 * steps[fine] and effect(fine, 0.1) > 10 * effect(coarse, 0.1)
    assert 0.1 < effect(fine, steps[fine]) / effect(coarse, steps[coarse]) < 10


@pytest.fixture(scope="module")
def loaded(catalogue: ModelCatalogue, tmp_path_factory) -> Engine:
    return Engine(catalogue, media_dir=tmp_path_factory.mktemp("media"), device="cpu", latents=LatentStore())


@pytest.fixture
def engine(loaded: Engine) -> Engine:
    loaded.cache.clear()
    return loaded


def made(engine: Engine, path: Path, **fields) -> tuple[GenerationRequest, Clip, set[str]]:
    asked = GenerationRequest(**({"prompt": "a red ball", "model": "twin", "seed": 1, "guidance_scale": 1.0} | fields))
    request = engine._catalogue.complete(asked)
    events = list(engine.run(request, path))
    assert isinstance(events[-1], Done)
    return request, events[-1].result, {event.name for event in events if isinstance(event, Metric)}


def test_a_finished_clip_has_its_latents_beside_it(engine, tmp_path):
    _, clip, _ = made(engine, tmp_path / "a.mp4")
    kept = engine.latents.get(clip.path, clip.model_sha256)
    (exact,) = [value for value, _ in engine.cache._values.values() if isinstance(value, Latents)]
    assert kept.video_BND.shape == exact.video_BND.shape and kept.audio_BND.shape == exact.audio_BND.shape
    assert 0 < float((kept.video_BND - exact.video_BND).abs().mean()) < 0.2
    assert clip.size_bytes == clip.path.stat().st_size
    assert engine.latents.get(clip.path, "another model") is None
    assert engine.latents.get(tmp_path / "none.mp4", clip.model_sha256) is None


@pytest.mark.parametrize(("modality", "video", "audio"), [("video", True, False), ("audio", False, True)])
def test_only_streams_that_the_clip_has_are_kept(engine, tmp_path, modality, video, audio):
    _, clip, _ = made(engine, tmp_path / "a.mp4", modality=modality)
    kept = engine.latents.get(clip.path, clip.model_sha256)
    assert (kept.video_BND is not None, kept.audio_BND is not None) == (video, audio)


def test_nothing_is_denoised_again_to_be_kept(engine, tmp_path):
    made(engine, tmp_path / "a.mp4", seed=5)
    gone = [key for key, (value, _) in engine.cache._values.items() if isinstance(value, Latents)]
    for key in gone:
        del engine.cache._values[key]
    _, _, ran = made(engine, tmp_path / "b.mp4", seed=5, crf=30)
    assert "seconds.mux" in ran and "seconds.denoise" not in ran
    assert beside(tmp_path / "a.mp4").exists() and not beside(tmp_path / "b.mp4").exists()


def test_a_damaged_file_is_told_and_not_used(engine, tmp_path, caplog):
    _, clip, _ = made(engine, tmp_path / "a.mp4")
    file = beside(clip.path)
    body = bytearray(file.read_bytes())
    body[-5] ^= 1
    file.write_bytes(body)
    with caplog.at_level(logging.WARNING):
        assert engine.latents.get(clip.path, clip.model_sha256) is None
    assert "the edit begins from the clip's file" in caplog.text


def test_a_full_disk_keeps_the_clip_and_not_the_latents(engine, tmp_path, caplog):
    request, clip, _ = made(engine, tmp_path / "a.mp4")
    latents = engine.latents.get(clip.path, clip.model_sha256)
    with disk(tmp_path / "full", "1m") as folder:
        fill(folder)
        kept = Latents(latents.video_BND, latents.audio_BND)
        assert engine.latents.put(folder / "a.mp4", engine.model("twin"), kept, request) == 0
        assert "could not be kept" in caplog.text and [path.name for path in folder.iterdir()] == ["filler"]


def test_which_edits_begin_from_them(engine, tmp_path):
    _, clip, _ = made(engine, tmp_path / "a.mp4")
    spec = engine.spec("twin")
    shape = shape_of(clip.path, spec.defaults)
    kept = engine.latents.get(clip.path, clip.model_sha256)

    def begins(edit, kept: Kept = kept) -> bool:
        return begins_with(edit, plan_edit(edit, shape, spec), kept)

    assert begins(Retake(start_s=0.2, end_s=0.5)) and begins(Enlarge(factor=2))
    painted = Keyframes(keyframes=[{"frame": 0, "image": "sha256:" + "0" * 64}])
    assert not begins(painted) and not begins(Extend(seconds=0.5))
    smaller = Kept(32, 32, kept.num_frames, kept.frame_rate, kept.video_BND, kept.audio_BND)
    assert not begins(Retake(), smaller) and not begins(Enlarge(factor=2), smaller)


def retaken(engine: Engine, source: Path, path: Path) -> set[str]:
    asked = EditRequest(
        prompt="a blue cube", model="twin", seed=2, source=SOURCE, edit={"kind": "retake", "start_s": 0.3}, guidance_scale=1.0
    )
    events = list(engine.run(engine._catalogue.complete(asked), path, {SOURCE: source}))
    assert isinstance(events[-1], Done)
    return {event.name for event in events if isinstance(event, Metric)}


def test_a_retake_begins_from_them_and_from_the_file_without_them(engine, tmp_path):
    _, clip, _ = made(engine, tmp_path / "a.mp4")
    assert "seconds.kept" in retaken(engine, clip.path, tmp_path / "with.mp4")
    assert not beside(tmp_path / "with.mp4").exists()
    beside(clip.path).unlink()
    engine.cache.clear()
    assert "seconds.kept" not in retaken(engine, clip.path, tmp_path / "without.mp4")
    one, two = (read_media(tmp_path / name).frames.astype(int) for name in ("with.mp4", "without.mp4"))
    assert one.shape == two.shape and not np.array_equal(one, two)


def test_enlarging_begins_from_them(catalogue, tmp_path):
    torch.manual_seed(0)
    write_upscaler(build_upscaler(pocket()).eval(), tmp_path / "upscaler")
    enlarging = ModelCatalogue([dataclasses.replace(catalogue.get("twin"), upscaler=str(tmp_path / "upscaler"))])
    engine = Engine(enlarging, media_dir=tmp_path, device="cpu", latents=LatentStore())
    _, clip, _ = made(engine, tmp_path / "a.mp4")
    (exact,) = [value for value, _ in engine.cache._values.values() if isinstance(value, np.ndarray)]
    asked = EditRequest(prompt="a ball", model="twin", seed=2, source=SOURCE, edit={"kind": "upscale", "factor": 2}, crf=1)
    events = list(engine.run(enlarging.complete(asked), tmp_path / "b.mp4", {SOURCE: clip.path}))
    assert {"seconds.kept", "seconds.frames"} <= {event.name for event in events if isinstance(event, Metric)}
    large, small = read_media(tmp_path / "b.mp4"), read_media(clip.path)
    assert large.frames.shape == (9, 128, 128, 3) and large.sound.samples.shape == small.sound.samples.shape
    shrunk = large.frames.reshape(9, 64, 2, 64, 2, 3).mean((2, 4))
    assert np.abs(shrunk - exact).mean() < np.abs(shrunk - small.frames).mean() / 1.5, "nearer to what was made than to the file"


def test_an_engine_that_keeps_nothing_writes_and_reads_nothing(catalogue, engine, tmp_path):
    _, clip, _ = made(engine, tmp_path / "a.mp4")
    plain = Engine(catalogue, media_dir=tmp_path, device="cpu")
    assert "seconds.kept" not in retaken(plain, clip.path, tmp_path / "b.mp4")
    made(plain, tmp_path / "c.mp4")
    assert not beside(tmp_path / "c.mp4").exists()
