"""Our denoising loop gives what diffusers' pipelines give on the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import LTX2ImageToVideoPipeline
from PIL import Image

from benchmarks.equality import GATE, GUIDANCES, Case, difference, ours, theirs, without_stg
from pipelines.guidance import Guidance
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.latents import Canvas
from pipelines.registry import DISTILLED_SIGMAS
from pipelines.sampling import noise, schedule


@pytest.mark.parametrize("layout", ["2.0", "2.3"])
@pytest.mark.parametrize("guidance", GUIDANCES.values(), ids=GUIDANCES.keys())
def test_text_to_clip_equals_diffusers(layout, guidance):
    case = Case(twin.build(layout), layout == "2.3", guidance if layout == "2.3" else without_stg(guidance))
    assert difference(ours(case), theirs(case)) <= GATE


@pytest.mark.parametrize("guidance", [GUIDANCES["unguided"], GUIDANCES["all guidances"]], ids=["unguided", "all guidances"])
def test_first_frame_equals_diffusers(guidance):
    case = Case(twin.build("2.3"), True, guidance)
    image = Image.fromarray(np.random.default_rng(3).integers(0, 255, (64, 96, 3), np.uint8))
    image_pipeline = LTX2ImageToVideoPipeline(**case.pipeline.components)
    image_pipeline.set_progress_bar_config(disable=True)
    assert difference(ours(case, image=image), theirs(case, image_pipeline, image=image, image_crf=33)) <= GATE


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
