"""Prompts with times in them: each part of a clip heeds its own words, in picture and sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.clip_io import read_media
from pipelines.conditioning import Shares, encode_prompt, over_time
from pipelines.contract import GenerationRequest, InvalidRequest
from pipelines.engine import Engine
from pipelines.guidance import Guidance, Scales
from pipelines.models.ltx2.latents import Canvas
from pipelines.nodes.encode_prompt import EncodePrompt
from pipelines.nodes.encode_timeline import EncodeTimeline, encoder_of
from pipelines.passes import Passes, Steering
from pipelines.registry import ModelCatalogue
from pipelines.sampling import Course, denoise, noise, schedule

MODEL = {"model": "pocket", "weights": "w"}
MEASURES = {"height": 128, "width": 128, "num_frames": 25, "frame_rate": 12.0}


@pytest.fixture(scope="module")
def pocket() -> Engine:
    return Engine(ModelCatalogue.with_folders({}), media_dir=Path(), device="cpu")


def test_a_plain_prompt_is_encoded_as_ever():
    assert encoder_of("a red ball", MODEL, MEASURES) == EncodePrompt(**MODEL, text="a red ball")


def test_segments_share_the_preamble_and_meet_in_the_middle_of_a_gap():
    node = encoder_of("at night. [0-0.5s] a bee [1.5-2s] a cat", MODEL, MEASURES)
    assert isinstance(node, EncodeTimeline)
    assert node.texts == ("at night. a bee", "at night. a cat") and node.bounds_s == (1.0,)


def test_a_window_hears_what_lies_in_it():
    prompt = "[0-1s] a bee [1-2s] a cat [2-3s] a cow"
    late = encoder_of(prompt, MODEL, MEASURES, start_s=1.5)
    assert isinstance(late, EncodeTimeline) and late.texts == ("a cat", "a cow") and late.bounds_s == (0.5,)
    assert encoder_of(prompt, MODEL, MEASURES, start_s=9) == EncodePrompt(**MODEL, text="a cow")


def test_every_token_belongs_to_its_time(pocket):
    model = pocket.model("pocket")
    canvas = Canvas.of(model, **MEASURES)
    shares = Shares.of(model, canvas, (1.0,))
    assert torch.allclose(shares.video_KN.sum(0), torch.ones(canvas.frames * canvas.height * canvas.width))
    by_frame = shares.video_KN.unflatten(1, (canvas.frames, -1))[0, :, 0]
    assert by_frame[:3].tolist() == [1, 1, 1] and by_frame[4:].tolist() == [0] * (canvas.frames - 4) and 0 < by_frame[3] < 1
    assert shares.audio_KL.sum(1)[0] == pytest.approx(canvas.audio_frames * 1.0 / canvas.duration_s)


def test_the_same_text_at_all_times_is_the_plain_text(pocket):
    """Attention to twice the same tokens, shared out by time, is attention to them once."""
    model = pocket.model("pocket")
    canvas = Canvas.of(model, **MEASURES)
    text, empty = encode_prompt(model, "a red ball bouncing on grass"), encode_prompt(model, "")
    start = noise(model, canvas, 5)

    def first_step(positive):
        steps = schedule(model, start.video_BND.shape[1], steps=2, sigmas=None)
        guided = Guidance(Scales(3.0), Scales(3.0))
        return next(denoise(Course(Passes(model, canvas, Steering(positive, empty, guidance=guided)), start, steps))).clean

    once, twice = first_step(text), first_step(over_time([text, text], Shares.of(model, canvas, (0.7,))))
    assert torch.allclose(once.video_BND, twice.video_BND, atol=2e-2) and torch.allclose(
        once.audio_BND, twice.audio_BND, atol=2e-2
    )


def test_what_happens_and_what_is_heard_change_when_the_prompt_says(pocket, tmp_path):
    prompt = "[0.0-1.0 s] a green star stands still in the desert, silence [1.0-2.08 s] a green star bounces in the desert, drums"
    request = ModelCatalogue.with_folders({}).complete(GenerationRequest(prompt=prompt, seed=1))
    *_, done = pocket.run(request, tmp_path / "clip.mp4")
    media = read_media(done.result.path)
    moved = np.abs(np.diff(media.frames.astype(np.float32), axis=0)).mean((1, 2, 3))
    half = media.sound.samples.shape[1] // 2
    loudness = [float(np.sqrt(np.square(part).mean())) for part in (media.sound.samples[:, :half], media.sound.samples[:, half:])]
    assert moved[14:].mean() > 2 * moved[:10].mean()
    assert loudness[1] > 2 * loudness[0]


@pytest.mark.parametrize(
    ("prompt", "fault"),
    [("[0-1s] a bee [1-9s] a cat", "ends after the clip"), ("[1-0.5s] a bee", "runs backwards"), ("[0-1s]", "nothing to show")],
)
def test_times_that_cannot_be_are_refused_before_anything_runs(prompt, fault):
    with pytest.raises(InvalidRequest, match=fault):
        ModelCatalogue.with_folders({}).complete(GenerationRequest(prompt=prompt))
