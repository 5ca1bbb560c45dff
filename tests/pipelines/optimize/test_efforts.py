"""Cheaper denoising on real transformers: shared blocks change nothing, and a lower effort computes less and stays near."""

from __future__ import annotations

import math

import pytest
import torch

from pipelines.conditioning import encode_prompt
from pipelines.contract import Effort
from pipelines.guidance import Branch, Guidance, Scales
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model, load
from pipelines.optimize.blocks import Recorder, directed
from pipelines.optimize.forecast import EFFORTS
from pipelines.passes import Ask, Latents, Passes, Steering
from pipelines.registry import ModelSpec, published_models, spec_from_folder
from pipelines.sampling import Course, denoise, noise, schedule

ALL = Guidance(Scales(3.0, 1.0, 2.5, 0.7), Scales(7.0, 0.5, 3.0, 0.4), (2,))


def in_memory(spec: ModelSpec) -> LTX2Model:
    return load(spec, torch.device("cpu"))


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> LTX2Model:
    """A twin of LTX-2.3 with four blocks, the third of them perturbed."""
    folder = tmp_path_factory.mktemp("deep")
    twin.build("2.3", twin.TwinSize(layers=4)).save_pretrained(folder)
    return in_memory(spec_from_folder("deep", folder))


@pytest.fixture(scope="module")
def pocket() -> LTX2Model:
    return in_memory(next(spec for spec in published_models() if spec.id == "pocket"))


def passes(model: LTX2Model, guidance: Guidance) -> Passes:
    canvas = Canvas.of(model, height=64, width=64, num_frames=17, frame_rate=12.0)
    positive, negative = encode_prompt(model, "a red ball bouncing on grass"), encode_prompt(model, "")
    return Passes(model, canvas, Steering(positive, negative, guidance=guidance))


def finished(model: LTX2Model, guidance: Guidance, effort: Effort, steps: int = 30) -> tuple[Latents, int]:
    """The latents of a run, and how many samples went through the transformer."""
    run = passes(model, guidance)
    start = noise(model, run.canvas, 5)
    scheduler = schedule(model, start.video_BND.shape[1], steps=steps, sigmas=None)
    going = denoise(Course(run, start, scheduler, tolerance=EFFORTS[effort]))
    while True:
        try:
            last = next(going)
        except StopIteration as end:
            return end.value, last.evaluations


def test_blocks_before_the_perturbed_one_run_once(deep):
    calls = [0] * 4
    handles = [
        block.attn1.register_forward_hook(lambda *_, index=index: calls.__setitem__(index, calls[index] + 1))
        for index, block in enumerate(deep.transformer.transformer_blocks)
    ]
    run = passes(deep, ALL)
    run.clean(Ask(noise(deep, run.canvas, 5), torch.tensor([900.0]), torch.tensor(0.9), frozenset({Branch.PERTURBED})))
    for handle in handles:
        handle.remove()
    assert calls == [1, 1, 2, 2]


def test_directed_blocks_are_themselves_again_after_a_fault(deep):
    before = [block.forward.__func__ for block in deep.transformer.transformer_blocks]
    with pytest.raises(ZeroDivisionError), directed(deep.transformer, Recorder(0, [0])):
        assert not any(hasattr(block.forward, "__func__") for block in deep.transformer.transformer_blocks)
        raise ZeroDivisionError
    assert [block.forward.__func__ for block in deep.transformer.transformer_blocks] == before


def test_quality_computes_every_branch_of_every_step(pocket):
    _, evaluations = finished(pocket, Guidance(Scales(3.0), Scales(3.0)), Effort.QUALITY, steps=6)
    assert evaluations == 12


def test_less_effort_computes_less_and_stays_near(pocket):
    guidance = Guidance(Scales(3.0), Scales(3.0))
    full, all_of_them = finished(pocket, guidance, Effort.QUALITY)
    found = {effort: finished(pocket, guidance, effort) for effort in (Effort.BALANCED, Effort.FAST)}
    shares = {effort: evaluations / all_of_them for effort, (_, evaluations) in found.items()}
    assert shares[Effort.FAST] < shares[Effort.BALANCED] <= 0.65
    assert shares[Effort.FAST] <= 0.45
    for effort, least_db in ((Effort.BALANCED, 25), (Effort.FAST, 15)):
        latents, _ = found[effort]
        for got, wanted in ((latents.video_BND, full.video_BND), (latents.audio_BND, full.audio_BND)):
            error = float((got - wanted).square().mean() / wanted.var())
            assert error > 0 and -10 * math.log10(error) >= least_db, effort


def test_a_foretold_run_is_the_same_each_time(pocket):
    guidance = Guidance(Scales(3.0), Scales(3.0))
    one, other = (finished(pocket, guidance, Effort.FAST, steps=12) for _ in range(2))
    assert one[1] == other[1]
    assert torch.equal(one[0].video_BND, other[0].video_BND) and torch.equal(one[0].audio_BND, other[0].audio_BND)
