"""The upscaler: any size, files that load again, better than bicubic after a short training, still where the input is still."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.clip_io import read_media, read_origin
from pipelines.contract import Clip, Done, GenerationRequest, InvalidRequest, ModelNotFound, Progress
from pipelines.engine import Engine
from pipelines.models.upscaler import FrameUpscaler, bicubic, enlarge, load_upscaler, windows
from pipelines.registry import POCKET_UPSCALER_FOLDER, ModelCatalogue, spec_from_folder
from pipelines.training.degrade import blur, degrade, quantize
from pipelines.training.recipes import Optimization, build_upscaler, build_video_vae, pocket
from pipelines.training.trainer import Budget, train
from pipelines.training.upscaler_stage import (
    Codec,
    UpscalerStage,
    adopt_upscaler,
    as_clip,
    psnr_db,
    release_upscaler,
    write_upscaler,
)
from pipelines.world.renderer import render
from pipelines.world.scene import sample_held_out
from studio.media import probe, thumbnail_of

MOST_BYTES = 1_000_000


def drawing(seed: int = 0) -> FrameUpscaler:
    """A net of the released shape whose last layer is not zero: it adds something of its own."""
    torch.manual_seed(seed)
    model = build_upscaler(pocket()).eval()
    torch.nn.init.normal_(model.last.weight, std=0.02)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The net of ``drawing`` as a release."""
    target = tmp_path_factory.mktemp("models") / "upscaler"
    write_upscaler(drawing(), target)
    return target


@pytest.fixture
def enlarging(catalogue: ModelCatalogue, folder: Path) -> ModelCatalogue:
    """The tiny twin, with an upscaler."""
    return ModelCatalogue([replace(catalogue.get("twin"), upscaler=str(folder))])


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize(("count", "height", "width"), [(1, 64, 64), (3, 33, 50), (7, 128, 97), (2, 1, 1)])
def test_any_size_is_enlarged(factor, count, height, width):
    frames = np.random.default_rng(0).integers(0, 255, (count, height, width, 3), np.uint8)
    made = np.concatenate(list(enlarge(drawing(), frames, factor)))
    assert made.shape == (count, factor * height, factor * width, 3) and made.dtype == np.uint8


def test_parts_equal_the_whole():
    frames = np.random.default_rng(0).integers(0, 255, (12, 128, 128, 3), np.uint8)
    model = drawing()
    parts = list(enlarge(model, frames, 4))
    assert len(parts) > 1
    with torch.no_grad():
        whole = model(windows(as_clip(frames))).clamp(0, 1)
    made = as_clip(np.concatenate(parts))
    assert float((made - whole).abs().max()) < 0.51 / 255


def test_an_untrained_net_is_bicubic():
    clip = torch.rand(2, 3, 32, 40)
    with torch.no_grad():
        assert torch.equal(build_upscaler(pocket())(windows(clip)), bicubic(clip))


def test_what_is_still_stays_still():
    frames = np.repeat(np.random.default_rng(0).integers(0, 255, (1, 40, 40, 3), np.uint8), 25, axis=0)
    made = np.concatenate(list(enlarge(drawing(), frames, 4)))
    assert (made == made[:1]).all()


def test_files_load_again_and_are_small(folder):
    model = load_upscaler(folder, torch.device("cpu"))
    frames = torch.rand(2, 3, 24, 24)
    with torch.no_grad():
        assert torch.allclose(model(windows(frames)), drawing().half().float()(windows(frames)), atol=1e-6)
    assert sum(file.stat().st_size for file in folder.glob("*.safetensors")) <= MOST_BYTES
    assert set(json.loads((folder / "sha256.json").read_text())) == {"config.json", "diffusion_pytorch_model.safetensors"}
    with pytest.raises(ModelNotFound, match="install the model again"):
        load_upscaler(folder / "nowhere", torch.device("cpu"))


def test_losses_of_a_decoder_are_imitated():
    clip = torch.from_numpy(np.random.default_rng(0).random((3, 3, 45, 52), np.float32))
    made = degrade(clip, np.random.default_rng(1))
    assert made.shape == clip.shape and not torch.equal(made, clip) and 0 <= float(made.min()) <= float(made.max()) <= 1
    assert torch.equal(made, degrade(clip, np.random.default_rng(1)))
    assert torch.allclose(quantize(clip, 1e-6), clip, atol=1e-4)
    errors = [float((quantize(clip, step) - clip).abs().mean()) for step in (0.02, 0.1)]
    assert 0 < errors[0] < errors[1] < 0.1


def test_a_short_training_beats_bicubic_on_scenes_it_never_saw(tmp_path):
    torch.manual_seed(0)
    quick = Optimization(learning_rate=4e-3, batch_size=8, warmup_steps=5, ema_decay=0.9, weight_decay=0.0)
    recipe = replace(pocket(), size=32, upscaler_width=16, upscaler_blocks=1, upscaler=quick)
    stage = UpscalerStage(build_upscaler(recipe), recipe, 0)
    logged = [line.losses for line in train(stage, tmp_path, Budget(steps=120, log_s=0), resume=False)]
    assert set(logged[0]) == {"loss", "l1", "temporal", "psnr_db", "gain_db"}
    chance, gains = np.random.default_rng(5), []
    for _ in range(8):
        scene = sample_held_out(chance)
        small, large = (as_clip(render(scene, 3, recipe.frame_rate, size)) for size in (32, 128))
        lossy = blur(small, 0.9)
        with torch.no_grad():
            gains.append(float(psnr_db(stage.model(windows(lossy)), large) - psnr_db(bicubic(lossy), large)))
    assert np.mean(gains) > 0.05, gains
    release_upscaler(recipe, tmp_path, tmp_path / "released")
    adopt_upscaler(recipe, tmp_path / "released", tmp_path / "later")
    again = build_upscaler(recipe)
    resumed = train(UpscalerStage(again, recipe, 1), tmp_path / "later", Budget(steps=1), resume=True)
    assert next(resumed).steps == 1


def test_half_of_the_training_goes_through_the_codec():
    recipe = replace(pocket(), size=64, video_latent_channels=48, vae_width=32, upscaler_width=8, upscaler_blocks=1)
    vae = build_video_vae(recipe)
    stage = UpscalerStage(build_upscaler(recipe), recipe, 0, [Codec(vae)])
    stage.losses(0.0)["loss"].backward()
    assert all(parameter.grad is None for parameter in vae.parameters())
    assert stage.model.last.weight.grad.abs().sum() > 0


@pytest.mark.skipif(not (POCKET_UPSCALER_FOLDER / "config.json").exists(), reason="pocket's upscaler is not released yet")
def test_the_released_weights_beat_bicubic_on_scenes_they_never_saw():
    model = load_upscaler(POCKET_UPSCALER_FOLDER, torch.device("cpu"))
    assert sum(file.stat().st_size for file in POCKET_UPSCALER_FOLDER.glob("*.safetensors")) <= MOST_BYTES
    chance, gains = np.random.default_rng(5), []
    for _ in range(4):
        scene = sample_held_out(chance)
        small, large = (as_clip(render(scene, 3, 12.0, size)) for size in (128, 512))
        with torch.no_grad():
            gains.append(float(psnr_db(model(windows(small)), large) - psnr_db(bicubic(small), large)))
    assert np.mean(gains) > 1.0, gains


def complete(catalogue: ModelCatalogue, **fields) -> GenerationRequest:
    return catalogue.complete(GenerationRequest(**({"prompt": "a red ball", "model": "twin", "seed": 1} | fields)))


def run(engine: Engine, request: GenerationRequest, path: Path) -> tuple[Clip, list]:
    events = list(engine.run(request, path))
    assert isinstance(events[-1], Done)
    return events[-1].result, events


def test_an_enlarged_clip_with_its_sound_intact(enlarging, tmp_path):
    engine = Engine(enlarging, media_dir=tmp_path, device="cpu")
    plain, _ = run(engine, complete(enlarging, height=128, width=128), tmp_path / "plain.mp4")
    large, events = run(engine, complete(enlarging, height=128, width=128, upscale=4), tmp_path / "large.mp4")
    media, before = read_media(large.path), read_media(plain.path)
    assert media.frames.shape == (9, 512, 512, 3) and (large.height, large.width) == (512, 512) == (plain.height * 4,) * 2
    assert np.array_equal(media.sound.samples, before.sound.samples)
    told = [event.step for event in events if isinstance(event, Progress) and event.stage == "enlarge"]
    assert told[0] == 0 and told[-1] == 9 and "upscale" in large.stage_seconds
    assert "denoise" not in large.stage_seconds, "enlarging a clip that was just made does not imagine it again"
    assert read_origin(large.path).request.upscale == 4 and read_origin(large.path).request.height == 128
    assert (probe(large.path).width, probe(large.path).height) == (512, 512) and thumbnail_of(large.path)


def test_twofold_and_sound_alone(enlarging, tmp_path):
    engine = Engine(enlarging, media_dir=tmp_path, device="cpu")
    wide, _ = run(engine, complete(enlarging, width=96, upscale=2), tmp_path / "wide.mp4")
    assert read_media(wide.path).frames.shape == (9, 128, 192, 3) and (wide.height, wide.width) == (128, 192)
    heard, _ = run(engine, complete(enlarging, upscale=4, modality="audio"), tmp_path / "heard.mp4")
    assert not heard.has_video and "upscale" not in heard.stage_seconds


def test_a_model_without_an_upscaler_says_so(catalogue):
    assert complete(catalogue).upscale == 1
    with pytest.raises(InvalidRequest, match=r"^upscale is 2, but twin has no upscaler: use 1\.$") as refused:
        complete(catalogue, upscale=2)
    assert refused.value.field == "upscale"
    with pytest.raises(ValueError, match="upscale"):
        GenerationRequest(prompt="a red ball", upscale=3)


def test_a_local_folder_brings_its_upscaler(twin_folder, tmp_path):
    assert spec_from_folder("plain", twin_folder).upscale_factors == (1,)
    folder = shutil.copytree(twin_folder, tmp_path / "sharp")
    write_upscaler(drawing(), folder / "upscaler")
    spec = spec_from_folder("sharp", folder)
    assert spec.upscale_factors == (1, 2, 4) and spec.upscaler == str(folder / "upscaler")


def test_a_damaged_upscaler_is_named_before_any_work(enlarging, tmp_path):
    target = tmp_path / "upscaler"
    write_upscaler(drawing(), target)
    weights = target / "diffusion_pytorch_model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    catalogue = ModelCatalogue([replace(enlarging.get("twin"), upscaler=str(target))])
    engine, seen = Engine(catalogue, media_dir=tmp_path, device="cpu"), []
    with pytest.raises(ModelNotFound, match=r"twin.s upscaler: diffusion_pytorch_model\.safetensors is damaged"):
        seen.extend(engine.run(complete(catalogue, upscale=2), tmp_path / "x.mp4"))
    assert seen == []
