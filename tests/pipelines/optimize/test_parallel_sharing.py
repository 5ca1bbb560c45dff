"""Ranks together make what one process makes, whatever is shared out and however odd the numbers; real processes over gloo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.parallel import LARGEST_DIFFERENCE, SIZE, TWIN, denoised, difference, gathered, shared, steering_of
from pipelines.conditioning import Kept, Shares, encode_prompt, over_time
from pipelines.contract import InvalidRequest
from pipelines.guidance import Guidance
from pipelines.lora.file import read_lora
from pipelines.lora.stack import LoraStack, Strength, linear_layers_of
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.latents import Beside, Canvas
from pipelines.optimize.parallel.layout import Layout
from pipelines.passes import Passes

SPLIT = [Layout(branches=2), Layout(ulysses=2), Layout(ring=2)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Twins with heads enough for four ranks, in both layouts of LTX-2."""
    found = {}
    for version in ("2.0", "2.3"):
        found[version] = tmp_path_factory.mktemp("twin")
        twin.build(version, TWIN).save_pretrained(found[version])
    return found


@pytest.fixture(scope="module")
def pair(folders):
    """Two ranks."""
    with gathered(folders["2.3"], 2) as both:
        yield both


def canvas_of(model) -> Canvas:
    return Canvas.of(model, **SIZE)


def alone(model, steering):
    return denoised(Passes(model, canvas_of(model), steering))


@pytest.mark.parametrize("layout", SPLIT, ids=str)
def test_two_ranks_equal_one_and_send_what_the_formula_says(pair, layout):
    model, group = pair
    steering = steering_of(model)
    made, sent, formula = shared(model, group, layout, steering)
    assert 0 < difference(made, alone(model, steering)) <= LARGEST_DIFFERENCE
    assert sent == formula > 0


def test_an_unguided_clip(pair):
    model, group = pair
    steering = steering_of(model, Guidance())
    made, sent, formula = shared(model, group, Layout(ulysses=2), steering)
    assert difference(made, alone(model, steering)) <= LARGEST_DIFFERENCE and sent == formula


@pytest.mark.parametrize("layout", SPLIT, ids=str)
def test_what_is_kept_and_texts_over_time(pair, layout):
    """Times and masks of single tokens are split with them."""
    model, group = pair
    canvas = canvas_of(model)
    texts = [encode_prompt(model, text) for text in ("a bee", "a cat", "a very long text about a dog")]
    tokens = canvas.frames * canvas.height * canvas.width
    torch.manual_seed(3)
    kept = Kept(torch.randn(1, tokens, 8), (torch.rand(1, tokens) > 0.7).float())
    sound = Kept(torch.randn(1, canvas.audio_frames, 8), (torch.rand(1, canvas.audio_frames) > 0.5).float())
    positive = over_time(texts, Shares.of(model, canvas, [0.3, 0.6]))
    steering = replace(steering_of(model), video=kept)
    for given in (replace(steering, audio=sound), replace(steering, positive=positive)):
        made, *_ = shared(model, group, layout, given)
        assert difference(made, alone(model, given)) <= LARGEST_DIFFERENCE


@pytest.mark.parametrize("layout", SPLIT, ids=str)
def test_what_is_shown_beside_the_clip_is_split_with_it(pair, layout):
    model, group = pair
    canvas = replace(canvas_of(model), beside=(Beside(2, 1, 1, 2), Beside(1, 2, 3)))
    torch.manual_seed(4)
    tokens = canvas.video_tokens
    mask = (torch.arange(tokens)[None] >= canvas.cells).float()
    texts = [encode_prompt(model, text) for text in ("a bee", "a cat")]
    steering = replace(steering_of(model), video=Kept(torch.randn(1, tokens, 8), mask))
    timed = replace(steering, positive=over_time(texts, Shares.of(model, canvas, [0.4])))
    for given in (steering, timed):
        passes = Passes(model, canvas, given)
        with LoraStack(model.transformer, []).on() as stack, group.passes(passes, stack, layout) as run:
            made = denoised(run)
        assert made.video_BND.shape[1] == canvas.cells and difference(made, denoised(passes)) <= LARGEST_DIFFERENCE


def test_loras_act_on_every_rank_and_by_their_schedule(pair, tmp_path):
    model, group = pair
    modules = linear_layers_of(model.transformer)
    torch.manual_seed(5)
    tensors = {}
    for name in ("transformer_blocks.0.attn1.to_q", "transformer_blocks.2.audio_ff.net.2", "transformer_blocks.1.attn2.to_v"):
        rows, columns = modules[name]
        tensors[f"transformer.{name}.lora_A.weight"] = torch.randn(4, columns)
        tensors[f"transformer.{name}.lora_B.weight"] = torch.randn(rows, 4)
    save_file(tensors, tmp_path / "style.safetensors")
    lora = read_lora(tmp_path / "style.safetensors", modules)
    passes = Passes(model, canvas_of(model), steering_of(model))
    made = {}
    for layout in (Layout(), Layout(branches=2), Layout(ulysses=2)):
        stack = LoraStack(model.transformer, [(lora, Strength(0.5, 0.5, 0.0, 0.5))])
        with stack.on(), group.passes(passes, stack, layout) as run:
            stack.at(0.2)
            first = denoised(run, 2)
            stack.at(0.9)
            made[layout] = (first, denoised(run, 2))
    plain = denoised(passes, 2)
    for layout in (Layout(branches=2), Layout(ulysses=2)):
        for one, other in zip(made[layout], made[Layout()], strict=True):
            assert difference(one, other) <= LARGEST_DIFFERENCE
    assert difference(made[Layout()][0], plain) > 1e-3 and difference(made[Layout()][1], plain) == 0


def test_heads_that_ulysses_does_not_divide_are_refused(pair):
    model, group = pair
    with (
        pytest.raises(InvalidRequest, match="ulysses=3, which does not divide this model's 4 heads: use ring"),
        group.passes(Passes(model, canvas_of(model), steering_of(model)), LoraStack(model.transformer, []), Layout(ulysses=3)),
    ):
        pass
    assert not group.is_closed


def test_the_layout_is_chosen_by_what_the_ranks_measured(pair, caplog):
    model, group = pair
    steering = steering_of(model)
    caplog.set_level("INFO", logger="pipelines.optimize.parallel.group")
    made, *_ = shared(model, group, None, steering)
    assert difference(made, alone(model, steering)) <= LARGEST_DIFFERENCE
    assert "because a step takes" in caplog.text
