"""Guidance methods and intervals: equal to the library's own guiders, free where nothing acts, and plain for what is older."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.guiders import AdaptiveProjectedGuidance, ClassifierFreeZeroStarGuidance
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer

from pipelines.clip_io import read_origin
from pipelines.conditioning import encode_prompt
from pipelines.contract import Effort, GenerationRequest, GuidanceMethod, InvalidRequest, parse_generation
from pipelines.guidance import PROJECTED_MOMENTUM, PROJECTED_NORM, Branch, Guidance, Guide, Scales
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model, load
from pipelines.optimize.forecast import EFFORTS, Tolerance
from pipelines.passes import Latents, Passes, Steering
from pipelines.registry import ModelCatalogue
from pipelines.sampling import Course, denoise, noise, schedule

SHAPE, SIGMA = (1, 48, 8), 0.7
CFG = Guidance(Scales(3.0), Scales(7.0))
ALL = Guidance(Scales(3.0, 1.0, 2.5, 0.7), Scales(7.0, 0.5, 3.0, 0.4), (2,))
EXAMPLE = Path(__file__).parents[2] / "assets" / "media" / "example.mp4"


def drawn(seed: int, spread: float = 1.0) -> torch.Tensor:
    return spread * torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("spread", [0.01, 1.0], ids=["below the norm's limit", "above it"])
def test_projected_guidance_equals_the_librarys_over_several_steps(spread):
    theirs = AdaptiveProjectedGuidance(
        guidance_scale=4.0,
        adaptive_projected_guidance_momentum=PROJECTED_MOMENTUM,
        adaptive_projected_guidance_rescale=PROJECTED_NORM * math.sqrt(math.prod(SHAPE)),
        eta=0.0,
        use_original_formulation=True,
    )
    theirs.momentum_buffer = MomentumBuffer(PROJECTED_MOMENTUM)
    ours = Guide(GuidanceMethod.PROJECTED)
    for step in range(4):
        positive = drawn(2 * step)
        difference = drawn(2 * step + 1, spread)
        got = ours.guided(drawn(99), positive, {Branch.NEGATIVE: difference}, Scales(5.0))
        assert torch.allclose(got, theirs.forward(positive, positive - difference).pred, atol=1e-5)
        assert not torch.allclose(got, positive + 4 * difference, atol=1e-3)


def test_optimised_scale_equals_the_librarys():
    """Theirs speaks of velocities, ours of clean samples."""
    now, positive, negative = drawn(0), drawn(1), drawn(2)
    theirs = ClassifierFreeZeroStarGuidance(guidance_scale=4.0, use_original_formulation=True)
    theirs.set_state(step=5, num_inference_steps=30, timestep=torch.tensor(700.0))
    velocity = theirs.forward((now - positive) / SIGMA, (now - negative) / SIGMA).pred
    got = Guide(GuidanceMethod.ZERO_STAR).guided(now, positive, {Branch.NEGATIVE: positive - negative}, Scales(5.0))
    assert torch.allclose(got, now - SIGMA * velocity, atol=1e-5)
    assert not torch.allclose(got, positive + 4 * (positive - negative), atol=1e-2)


@pytest.mark.parametrize("method", GuidanceMethod)
def test_only_the_negative_prompt_is_steered(method):
    positive, away = drawn(1), {Branch.PERTURBED: drawn(2), Branch.ISOLATED: drawn(3)}
    got = Guide(method).guided(drawn(0), positive, away, Scales(1.0, 0.5, 3.0))
    assert torch.equal(got, positive + 0.5 * away[Branch.PERTURBED] + 2 * away[Branch.ISOLATED])


@pytest.fixture(scope="module")
def twin_model(catalogue: ModelCatalogue) -> LTX2Model:
    return load(catalogue.get("twin"), torch.device("cpu"))


def finished(
    model: LTX2Model, guidance: Guidance, tolerance: Tolerance | None = None, steps: int = 10
) -> tuple[Latents, list[int]]:
    """The latents of a run, and how many samples had gone through the transformer after each step."""
    canvas = Canvas.of(model, height=64, width=64, num_frames=9, frame_rate=12.0)
    steering = Steering(encode_prompt(model, "a red ball"), encode_prompt(model, ""), guidance=guidance)
    start = noise(model, canvas, 5)
    scheduler = schedule(model, start.video_BND.shape[1], steps=steps, sigmas=None)
    going = denoise(Course(Passes(model, canvas, steering), start, scheduler, tolerance=tolerance))
    counts = []
    while True:
        try:
            counts.append(next(going).evaluations)
        except StopIteration as end:
            return end.value, counts


def same(one: Latents, other: Latents) -> bool:
    return torch.equal(one.video_BND, other.video_BND) and torch.equal(one.audio_BND, other.audio_BND)


def within(guidance: Guidance, low: float, high: float) -> Guidance:
    return replace(guidance, video=replace(guidance.video, low=low, high=high), audio=replace(guidance.audio, low=low, high=high))


def sigmas_of(model: LTX2Model, steps: int = 10) -> list[float]:
    return [float(sigma) for sigma in schedule(model, 8, steps=steps, sigmas=None).sigmas[:-1]]


def test_an_interval_of_everything_changes_nothing(twin_model):
    whole, counts = finished(twin_model, ALL)
    again, same_counts = finished(twin_model, within(ALL, 0.0, 1.0))
    assert same(whole, again) and counts == same_counts == [4 * step for step in range(1, 11)]


def test_outside_of_an_interval_a_step_costs_one_evaluation_and_is_unguided(twin_model):
    levels = sigmas_of(twin_model)
    low, high = levels[7], levels[3]
    latents, counts = finished(twin_model, within(ALL, low, high))
    each = [now - before for before, now in zip([0, *counts], counts, strict=False)]
    assert each == [4 if low < level <= high else 1 for level in levels] and sum(each) == 10 + 3 * 4
    assert not same(latents, finished(twin_model, ALL)[0])
    nowhere, counts = finished(twin_model, within(ALL, 0.0, levels[-1] / 2))
    assert same(nowhere, finished(twin_model, Guidance())[0]) and counts[-1] == 10


def test_each_stream_has_an_interval_of_its_own(twin_model):
    late = replace(CFG, video=replace(CFG.video, high=sigmas_of(twin_model)[5]), audio=Scales())
    latents, counts = finished(twin_model, late)
    assert counts[-1] == 10 + 5
    by_sound, counts = finished(twin_model, replace(late, audio=CFG.audio))
    assert counts[-1] == 20 and not same(by_sound, latents) and not same(by_sound, finished(twin_model, CFG)[0])


def test_foretelling_goes_on_over_the_ends_of_an_interval(twin_model):
    levels = sigmas_of(twin_model, 30)
    guidance = within(CFG, levels[20], levels[8])
    _, exact = finished(twin_model, guidance, steps=30)
    assert exact[-1] == 30 + 12
    _, foretold = finished(twin_model, guidance, EFFORTS[Effort.FAST], steps=30)
    assert 3 <= foretold[-1] < exact[-1]
    assert foretold[8] >= 3, "the branch itself is measured before it is foretold"


def test_zero_star_leaves_the_first_step_out(twin_model):
    guidance = replace(CFG, method=GuidanceMethod.ZERO_STAR)
    latents, counts = finished(twin_model, guidance)
    assert counts == [2 * step for step in range(10)]
    assert not same(latents, finished(twin_model, CFG)[0])
    unguided = replace(guidance, video=Scales(), audio=Scales())
    assert same(finished(twin_model, unguided)[0], finished(twin_model, Guidance())[0])
    only_sound = replace(guidance, video=Scales())
    assert finished(twin_model, only_sound)[1][0] == 2, "the picture needs the step"


def test_projected_runs_differ_and_repeat(twin_model):
    guidance = replace(CFG, method=GuidanceMethod.PROJECTED)
    one, other = finished(twin_model, guidance)[0], finished(twin_model, guidance)[0]
    assert same(one, other) and not same(one, finished(twin_model, CFG)[0])
    assert same(finished(twin_model, replace(guidance, video=Scales(), audio=Scales()))[0], finished(twin_model, Guidance())[0])


def test_a_clip_from_before_there_were_methods_opens_as_plain():
    origin = read_origin(EXAMPLE)
    assert origin is not None and b'"guidance_method"' not in EXAMPLE.read_bytes()
    request = origin.request
    assert request.guidance_method is GuidanceMethod.PLAIN
    assert (request.guidance_low, request.guidance_high, request.audio_guidance_low, request.audio_guidance_high) == (0, 1, 0, 1)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"guidance_low": 0.6, "guidance_high": 0.4}, "guidance_high", "0.4, not above guidance_low, 0.6"),
        ({"audio_guidance_low": 0.5, "audio_guidance_high": 0.5}, "audio_guidance_high", "make it larger"),
        ({"guidance_low": 1.0}, "guidance_low", "use less than 1"),
        ({"guidance_high": 0.0}, "guidance_high", "use more than 0"),
        ({"guidance_method": "apg"}, "guidance_method", "use one of 'plain', 'projected' or 'zero-star'"),
    ],
)
def test_impossible_intervals_and_methods_are_refused(fields, field, words):
    with pytest.raises(InvalidRequest, match=words) as refused:
        parse_generation({"prompt": "a dog", **fields})
    assert refused.value.field == field


def test_requests_keep_their_method_and_interval():
    request = GenerationRequest(prompt="a dog", guidance_method="projected", guidance_low=0.2, audio_guidance_high=0.9)
    assert GenerationRequest.model_validate_json(request.model_dump_json()) == request
