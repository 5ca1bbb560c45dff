"""Training at tiny size: a codec that begins linear, stages that learn, checkpoints that continue, a release that loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.contract import InvalidRequest
from pipelines.mel import log_mel
from pipelines.registry import Defaults, spec_from_folder
from pipelines.training.audio_stages import AudioVAEStage, VocoderStage
from pipelines.training.latents import encode_clips, load_latents, measure_scales, save_latents
from pipelines.training.linear_start import blocks, quick_encoder, unblocked
from pipelines.training.recipes import Optimization, Recipe, build_audio_vae, build_video_vae, build_vocoder, pocket
from pipelines.training.release import adopt, release, release_all
from pipelines.training.tokenizer import build_tokenizer
from pipelines.training.trainer import Budget, Stage, train
from pipelines.training.transformer import Denoiser, TrainingSet, TransformerStage
from pipelines.training.video_vae import VideoVAEStage, begin, draw
from pipelines.world.scene import sample


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    quick = Optimization(learning_rate=2e-3, batch_size=2, warmup_steps=5)
    return replace(
        pocket(), size=64, num_frames=9, frame_rate=8.0, video_latent_channels=48, vae_width=32, vocoder_width=32,
        video_width=64, audio_width=32, heads=2, layers=1, text_width=32, text_layers=1,
        video_vae=replace(quick, learning_rate=2e-5), audio_vae=quick,
        vocoder=quick, transformer=replace(quick, batch_size=4),
    )  # fmt: skip


def losses(stage: Stage, folder: Path, steps: int, **options) -> list[float]:
    """The loss of every step; steps and not seconds, so that a busy machine changes nothing."""
    return [line.losses["loss"] for line in train(stage, folder, Budget(steps=steps, log_s=0), resume=False, **options)]


def psnr_db(model, pixels: torch.Tensor) -> float:
    """How well the video VAE gives ``pixels`` back."""
    with torch.no_grad():
        made = model.decode(model.encode(pixels).latent_dist.mode(), None, return_dict=False)[0]
    return float(-10 * torch.log10((made - pixels).square().mean() / 4))


def test_the_video_vae_begins_as_a_linear_transform_and_goes_on_from_there(recipe, tmp_path):
    torch.manual_seed(0)
    model = build_video_vae(recipe).eval()
    held = draw(recipe, np.random.default_rng(1), 9, 8)[0]
    blank = psnr_db(model, held)
    begin(model, recipe, 0)
    begun = psnr_db(model, held)
    list(train(VideoVAEStage(model, recipe, 0), tmp_path, Budget(steps=80), resume=False))
    assert blank < 10 and begun > best_linear_db(recipe, held) - 1 and psnr_db(model, held) > begun - 1


def best_linear_db(recipe: Recipe, held: torch.Tensor) -> float:
    """What principal components of whole blocks keep of ``held``, as many as a cell has latents."""
    rows = blocks(draw(recipe, np.random.default_rng(0), 9, 60)[0], 32, 4).movedim(1, -1).flatten(0, 3)
    _, _, basis = torch.svd_lowrank(rows - rows.mean(0), q=recipe.video_latent_channels + 16)
    basis = basis[:, : recipe.video_latent_channels]
    kept = ((blocks(held, 32, 4).movedim(1, -1) - rows.mean(0)) @ basis) @ basis.T + rows.mean(0)
    return float(-10 * torch.log10((unblocked(kept.movedim(-1, 1), 32, 4) - held).square().mean() / 4))


def test_a_linear_encoder_is_as_good_as_its_products(recipe):
    torch.manual_seed(0)
    model, pixels = build_video_vae(recipe).eval(), draw(recipe, np.random.default_rng(1), 9, 2)[0]
    with torch.no_grad():
        assert torch.equal(quick_encoder(model).encode(pixels).latent_dist.mode(), model.encode(pixels).latent_dist.mode())
        begin(model, recipe, 0)
        quick = quick_encoder(model).encode(pixels).latent_dist.mode()
        assert (quick - model.encode(pixels).latent_dist.mode()).abs().max() < 1e-3
    assert torch.equal(unblocked(blocks(pixels, 32, 4), 32, 4), pixels)


def test_every_stage_learns_and_is_released(recipe, tmp_path):
    torch.manual_seed(0)
    vae = build_video_vae(recipe)
    begin(vae, recipe, 0)
    encoder = {name: value.clone() for name, value in vae.encoder.state_dict().items()}
    assert len(losses(VideoVAEStage(vae, recipe, 0), tmp_path, 3)) == 3
    assert len((tmp_path / "video_vae.log.jsonl").read_text().splitlines()) == 3
    assert all(torch.equal(value, vae.encoder.state_dict()[name]) for name, value in encoder.items())
    audio_vae, vocoder = build_audio_vae(recipe), build_vocoder(recipe)
    assert len(losses(AudioVAEStage(audio_vae, recipe, 0), tmp_path, 3)) == 3
    assert len(losses(VocoderStage(vocoder, recipe, 0), tmp_path, 3)) == 3

    save_latents(tmp_path / "latents-0.pt", list(encode_clips(recipe, vae, audio_vae, count=3, seed=0)))
    scenes, video, audio = load_latents([tmp_path / "latents-0.pt"])
    assert video.shape == (3, 3 * 2 * 2, 48) and audio.shape == (3, recipe.audio_latent_frames, recipe.audio_token)
    measure_scales(recipe, vae, audio_vae, tmp_path)
    data = TrainingSet.stored(tmp_path, torch.device("cpu"))
    assert data.scenes == scenes and 0.9 < float(data.video_KND.square().mean()) < 1.1
    denoiser = Denoiser(recipe, len(build_tokenizer(recipe.prompt_tokens)))
    stage = TransformerStage(denoiser, recipe, data, seed=0)
    first = np.mean([float(stage.losses(0.0)["loss"].detach()) for _ in range(4)])
    assert np.mean(losses(stage, tmp_path, 60, use_muon=True)[-8:]) < 0.9 * first

    manifest = release(recipe, tmp_path, tmp_path / "released")
    assert json.loads((tmp_path / "released" / "sha256.json").read_text()) == manifest
    clip_and_events = generate(tmp_path / "released", manifest, tmp_path)
    assert clip_and_events.has_audio and clip_and_events.num_frames == 9

    release(recipe, tmp_path, tmp_path / "models" / "pocket")
    before = {file: file.read_bytes() for file in (tmp_path / "models").rglob("*") if file.is_file()}
    with pytest.raises(InvalidRequest, match="clips is 1"):
        release_all(recipe, tmp_path, tmp_path / "models" / "pocket", 1, print)
    after = {file: file.read_bytes() for file in (tmp_path / "models").rglob("*") if file.is_file()}
    assert after == before, "what cannot be measured replaces nothing"

    adopt(recipe, tmp_path / "released", tmp_path / "later")
    again = Denoiser(recipe, len(build_tokenizer(recipe.prompt_tokens)))
    more = TransformerStage(again, recipe, data, seed=1)
    begun = next(train(more, tmp_path / "later", Budget(steps=1), resume=True, use_muon=True))
    assert begun.steps == 1 and begun.losses["loss"] < 0.9 * first, "a later training goes on where the release stands"


def generate(folder: Path, manifest: dict[str, str], tmp_path: Path):
    from pipelines.contract import Done, GenerationRequest
    from pipelines.engine import Engine
    from pipelines.registry import ModelCatalogue

    defaults = Defaults(height=64, width=64, num_frames=9, frame_rate=8.0, num_inference_steps=2)
    catalogue = ModelCatalogue([spec_from_folder("made", folder, defaults=defaults, sha256=manifest)])
    request = catalogue.complete(GenerationRequest(prompt="a red ball", model="made", seed=1))
    last = list(Engine(catalogue, media_dir=tmp_path, device="cpu").run(request, tmp_path / "clip.mp4"))[-1]
    assert isinstance(last, Done)
    return last.result


def test_a_card_before_it_does_not_keep_a_training_from_learning(recipe):
    from pipelines.mel import _filters

    _filters.cache_clear()
    with torch.inference_mode():
        log_mel(torch.zeros(1, 16_000), recipe.sound)
    heard = torch.randn(1, 16_000, requires_grad=True)
    log_mel(heard, recipe.sound).sum().backward()
    assert heard.grad is not None


def test_plain_scenes_come_first_but_not_for_weights_that_had_them(recipe):
    scenes = [sample(np.random.default_rng(row)) for row in range(40)]
    shape = (40, 3 * 2 * 2, recipe.video_latent_channels), (40, recipe.audio_latent_frames, recipe.audio_token)
    data = TrainingSet(scenes, *(torch.zeros(each) for each in shape))
    plain = [len(scene.subjects) == 1 and scene.camera == "still" and scene.look == "flat" for scene in scenes]

    def drawn(share: float, **settings: float) -> float:
        stage = TransformerStage(nn.Linear(1, 1), recipe, data, seed=0, **settings)
        return float(np.mean([plain[row] for _ in range(40) for row in stage._rows(share)]))

    assert drawn(0.0) > 0.75
    assert drawn(1.0) == pytest.approx(np.mean(plain), abs=0.05) == pytest.approx(drawn(0.0, plain=0.0), abs=0.1)


@pytest.mark.parametrize("kind", [VideoVAEStage, "transformer"])
def test_a_stopped_run_ends_as_one_that_was_not(recipe, tmp_path, kind):
    budget = Budget(steps=6, log_s=0, save_s=0)

    def stage() -> Stage:
        torch.manual_seed(0)
        if kind is VideoVAEStage:
            return VideoVAEStage(build_video_vae(recipe), recipe, 0)
        shape = (2, 3 * 2 * 2, recipe.video_latent_channels), (2, recipe.audio_latent_frames, recipe.audio_token)
        data = TrainingSet([sample(np.random.default_rng(row)) for row in range(2)], *(torch.randn(each) for each in shape))
        return TransformerStage(Denoiser(recipe, len(build_tokenizer(recipe.prompt_tokens))), recipe, data, seed=0)

    whole, begun, resumed = stage(), stage(), stage()
    torch.manual_seed(1)
    list(train(whole, tmp_path / "whole", budget, resume=False, use_muon=True))
    torch.manual_seed(1)
    with closing(train(begun, tmp_path / "parts", budget, resume=False, use_muon=True)) as lines:
        assert [next(lines).steps for _ in range(3)] == [1, 2, 3]
    torch.manual_seed(2)
    assert [line.steps for line in train(resumed, tmp_path / "parts", budget, resume=True, use_muon=True)] == [4, 5, 6]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_mel_frames_line_up_with_samples():
    sound = pocket().sound
    waveform = torch.zeros(1, 32 * sound.hop_length)
    waveform[0, 10 * sound.hop_length + sound.hop_length // 2] = 1.0
    energy = log_mel(waveform, sound).squeeze(0, 1).mean(1)
    assert energy.shape == (32,) and int(energy.argmax()) == 10


@pytest.mark.parametrize("text", ["a red ball that bounces on the grass", "A pink heart dances at dusk, to a drum beat."])
def test_words_of_the_world_are_single_tokens(text):
    tokenizer = build_tokenizer(48)
    words = tokenizer.tokenize(text)
    assert len(words) == len(text.replace(",", " ,").replace(".", " .").split())
    assert tokenizer.decode(tokenizer("Äpfel 球 🎈").input_ids) == "Äpfel 球 🎈"


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("transformer", "transformer cannot begin: no latents yet: run the stage 'latents' first."),
        ("latents", "latents cannot begin: runs/pocket/video_vae.pt is missing; an earlier stage makes it."),
    ],
)
def test_a_stage_whose_forerunner_is_missing_says_which(stage, words, tmp_path):
    command = [sys.executable, "-m", "pipelines.training", "pocket", "--stage", stage, "--minutes", "0.01"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "200"}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 2 and words in ran.stderr and "Traceback" not in ran.stderr, ran.stderr
