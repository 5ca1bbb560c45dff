"""Our denoising loop gives what diffusers' pipelines give on the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import LTX2ImageToVideoPipeline
from diffusers.pipelines.ltx2.pipeline_ltx2_ic_lora import LTX2InContextPipeline, LTX2ReferenceCondition
from PIL import Image

from benchmarks.equality import GATE, GUIDANCES, SEED, Case, difference, ours, theirs, without_stg
from pipelines.guidance import Guidance
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.latents import Canvas
from pipelines.passes import Latents
from pipelines.registry import DISTILLED_SIGMAS
from pipelines.sampling import noise, schedule


@pytest.mark.parametrize("layout", ["2.0", "2.3", "2.5"])
@pytest.mark.parametrize("guidance", GUIDANCES.values(), ids=GUIDANCES.keys())
def test_text_to_clip_equals_diffusers(layout, guidance):
    case = Case(twin.build(layout), layout != "2.0", guidance if layout != "2.0" else without_stg(guidance))
    assert difference(ours(case), theirs(case)) <= GATE


@pytest.mark.parametrize("guidance", [GUIDANCES["unguided"], GUIDANCES["all guidances"]], ids=["unguided", "all guidances"])
def test_first_frame_equals_diffusers(guidance):
    case = Case(twin.build("2.3"), True, guidance)
    image = Image.fromarray(np.random.default_rng(3).integers(0, 255, (64, 96, 3), np.uint8))
    image_pipeline = LTX2ImageToVideoPipeline(**case.pipeline.components)
    image_pipeline.set_progress_bar_config(disable=True)
    assert difference(ours(case, image=image), theirs(case, image_pipeline, image=image, image_crf=33)) <= GATE


@pytest.mark.parametrize(("guidance", "scale"), [("unguided", 1), ("all guidances", 2)])
def test_references_equal_diffusers(guidance, scale):
    """One clip shorter than the one that is made, and one picture; at half the size they lie over the whole clip all the same."""
    size = dict(height=64, width=128, num_frames=17, frame_rate=24.0)
    case = Case(twin.build("2.3"), True, GUIDANCES[guidance], size)
    chance = np.random.default_rng(5)
    shown = [chance.integers(0, 255, (frames, 64 // scale, 128 // scale, 3), np.uint8) for frames in (9, 1)]
    model, generator = case.model(), torch.Generator().manual_seed(SEED)
    canvas = Canvas.of(model, **size)
    beside = (2 + 1) * (64 // scale // 32) * (128 // scale // 32)
    # Diffusers draws packed noise, for the references too, which it then throws away.
    video = torch.randn(1, canvas.cells + beside, model.transformer.config.in_channels, generator=generator)
    audio = torch.randn(1, canvas.audio_frames, model.transformer.config.audio_in_channels, generator=generator)
    parts = {name: part for name, part in case.pipeline.components.items() if name != "duration_head"}
    in_context = LTX2InContextPipeline(**parts)
    in_context.set_progress_bar_config(disable=True)
    conditions = [LTX2ReferenceCondition([Image.fromarray(frame) for frame in frames], 1.0) for frames in shown]
    expected = theirs(case, in_context, reference_conditions=conditions, reference_downscale_factor=scale)
    assert difference(ours(case, shown=shown, scale=scale, start=Latents(video, audio)), expected) <= GATE
    other = ours(case, shown=[255 - shown[0], shown[1]], scale=scale, start=Latents(video, audio))
    assert difference(other, expected) > GATE, "what is shown matters"


def test_distilled_schedule_is_visited_as_given():
    case = Case(twin.build("2.3"), True, Guidance())
    sigmas = schedule(case.model(), 1000, steps=30, sigmas=DISTILLED_SIGMAS).sigmas
    assert sigmas.tolist() == pytest.approx([*DISTILLED_SIGMAS, 0.0])
    got = ours(case, sigmas=DISTILLED_SIGMAS)
    case.pipeline.scheduler = type(case.pipeline.scheduler).from_config(
        case.pipeline.scheduler.config, use_dynamic_shifting=False, shift_terminal=None
    )
    assert difference(got, theirs(case, sigmas=list(DISTILLED_SIGMAS))) <= GATE


def test_a_different_result_is_noticed():
    case = Case(twin.build("2.3"), True, Guidance())
    frames, samples = theirs(case)
    assert difference((frames, samples + 2 * GATE), (frames, samples)) > GATE


def test_seeds_reproduce_and_differ():
    case = Case(twin.build("2.3"), True, Guidance())
    model = case.model()
    canvas = Canvas.of(model, **case.size)
    assert torch.equal(noise(model, canvas, 1).video_BND, noise(model, canvas, 1).video_BND)
    assert not torch.equal(noise(model, canvas, 1).video_BND, noise(model, canvas, 2).video_BND)
