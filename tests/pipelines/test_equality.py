"""Our denoising loop gives what diffusers' pipelines give on the same weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from diffusers import LTX2ImageToVideoPipeline, LTX2Pipeline
from PIL import Image

from pipelines.conditioning import encode_first_frame, encode_prompt
from pipelines.guidance import Guidance, Scales
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.decode import decode_audio, decode_video
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model, from_pipeline
from pipelines.registry import DISTILLED_SIGMAS, Defaults, ModelSpec
from pipelines.sampling import Steering, denoise, noise, schedule

TOLERANCE = 1e-4
SIZE = dict(height=64, width=96, num_frames=17, frame_rate=24.0)
PROMPT, NEGATIVE = "a red ball bounces, drums play", "blurry, silent"
GUIDED = Guidance(Scales(3.0, 1.0, 2.5, 0.7), Scales(7.0, 0.5, 3.0, 0.4), (1,))
CFG_ONLY = Guidance(Scales(3.0, 0.0, 1.0, 0.7), Scales(7.0, 0.0, 1.0, 0.5))


def model_of(pipeline: LTX2Pipeline, layout: str) -> LTX2Model:
    spec = ModelSpec(
        id="twin", title="Twin", description="", source="", loader="", licence="",
        defaults=Defaults(64, 96, 17, 24.0), use_cross_timestep=layout == "2.3",
    )  # fmt: skip
    return from_pipeline(pipeline, spec, sha256="0", device=torch.device("cpu"))


def ours(model: LTX2Model, guidance: Guidance, *, image: Image.Image | None = None, sigmas: tuple[float, ...] | None = None):
    canvas = Canvas.of(model, **SIZE)
    start = noise(model, canvas, 7)
    frame = encode_first_frame(model, image, canvas) if image else None
    negative = encode_prompt(model, NEGATIVE) if guidance.needs_negative else None
    steering = Steering(encode_prompt(model, PROMPT), negative, frame, guidance)
    steps = denoise(model, canvas, start, steering, schedule(model, start.video_BND.shape[1], steps=4, sigmas=sigmas))
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            latents = finished.value
            break
    return decode_video(model, latents.video_BND, canvas).numpy(), decode_audio(model, latents.audio_BND).numpy()


def theirs(pipeline: LTX2Pipeline, layout: str, guidance: Guidance, **changes):
    video, audio = guidance.video, guidance.audio
    frames, samples = pipeline(
        prompt=PROMPT, negative_prompt=NEGATIVE, **SIZE, num_inference_steps=4, max_sequence_length=64,
        guidance_scale=video.guidance, stg_scale=video.stg, modality_scale=video.modality, guidance_rescale=video.rescale,
        audio_guidance_scale=audio.guidance, audio_stg_scale=audio.stg, audio_modality_scale=audio.modality,
        audio_guidance_rescale=audio.rescale, spatio_temporal_guidance_blocks=list(guidance.stg_blocks) or None,
        use_cross_timestep=layout == "2.3", generator=torch.Generator().manual_seed(7), output_type="np", return_dict=False,
        **changes,
    )  # fmt: skip
    return frames[0], samples[0].float().numpy()


def assert_equal(got, expected) -> None:
    for ours_, theirs_ in zip(got, expected, strict=True):
        assert ours_.shape == theirs_.shape
        assert np.abs(theirs_).max() > 0.01, "an all-zero reference would prove nothing"
        assert np.abs(ours_ - theirs_).max() <= TOLERANCE


@pytest.mark.parametrize("layout", ["2.0", "2.3"])
@pytest.mark.parametrize("guidance", [Guidance(), CFG_ONLY, GUIDED], ids=["unguided", "cfg", "all guidances"])
def test_text_to_clip_equals_diffusers(layout, guidance):
    if layout == "2.0":  # no perturbed attention in this layout: the pass would be a paid no-op
        guidance = dataclasses.replace(
            guidance, video=dataclasses.replace(guidance.video, stg=0.0), audio=dataclasses.replace(guidance.audio, stg=0.0)
        )
    pipeline = twin.build(layout)
    pipeline.set_progress_bar_config(disable=True)
    assert_equal(ours(model_of(pipeline, layout), guidance), theirs(pipeline, layout, guidance))


@pytest.mark.parametrize("guidance", [Guidance(), GUIDED], ids=["unguided", "all guidances"])
def test_first_frame_equals_diffusers(guidance):
    pipeline = twin.build("2.3")
    pixels = np.random.default_rng(3).integers(0, 255, (64, 96, 3), np.uint8)
    image = Image.fromarray(pixels)
    image_pipeline = LTX2ImageToVideoPipeline(**pipeline.components)
    image_pipeline.set_progress_bar_config(disable=True)
    expected = theirs(image_pipeline, "2.3", guidance, image=image, image_crf=33)
    assert_equal(ours(model_of(pipeline, "2.3"), guidance, image=image), expected)


def test_distilled_schedule_is_visited_as_given():
    pipeline = twin.build("2.3")
    model = model_of(pipeline, "2.3")
    sigmas = schedule(model, 1000, steps=30, sigmas=DISTILLED_SIGMAS).sigmas
    assert sigmas.tolist() == pytest.approx([*DISTILLED_SIGMAS, 0.0])
    pipeline.scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config, use_dynamic_shifting=False, shift_terminal=None)
    pipeline.set_progress_bar_config(disable=True)
    expected = theirs(pipeline, "2.3", Guidance(), sigmas=list(DISTILLED_SIGMAS))
    assert_equal(ours(model, Guidance(), sigmas=DISTILLED_SIGMAS), expected)


def test_seeds_reproduce_and_differ():
    model = model_of(twin.build("2.3"), "2.3")
    canvas = Canvas.of(model, **SIZE)
    assert torch.equal(noise(model, canvas, 1).video_BND, noise(model, canvas, 1).video_BND)
    assert not torch.equal(noise(model, canvas, 1).video_BND, noise(model, canvas, 2).video_BND)
