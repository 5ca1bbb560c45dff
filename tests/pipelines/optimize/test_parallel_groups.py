"""Groups of ranks of every kind: both layouts of LTX-2, split feed-forwards, four ranks, and ranks that die or hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from math import prod
from pathlib import Path

import psutil
import pytest
import torch

from benchmarks.parallel import LARGEST_DIFFERENCE, SIZE, TWIN, denoised, difference, gathered, shared, steering_of, texts
from pipelines.contract import DeviceLost, InvalidRequest, Quantization
from pipelines.guidance import Guidance, Scales
from pipelines.lora.stack import LoraStack
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import load
from pipelines.optimize.memory import PLENTY
from pipelines.optimize.parallel import group as group_module
from pipelines.optimize.parallel.group import Group
from pipelines.optimize.parallel.layout import Layout
from pipelines.optimize.plan import Plan
from pipelines.optimize.tiling import Decoding, decode, plan_if_needed, put, tile_shape
from pipelines.optimize.tiling import plan as tile_plan
from pipelines.passes import Passes
from pipelines.registry import spec_from_folder

SPLIT = [Layout(branches=2), Layout(ulysses=2), Layout(ring=2)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Twins with heads enough for four ranks, in all layouts of LTX-2."""
    found = {}
    for version in ("2.0", "2.3", "2.5"):
        found[version] = tmp_path_factory.mktemp("twin")
        twin.build(version, TWIN).save_pretrained(found[version])
    return found


def canvas_of(model) -> Canvas:
    return Canvas.of(model, **SIZE)


def alone(model, steering):
    return denoised(Passes(model, canvas_of(model), steering))


def test_the_older_layout_with_interleaved_rotation(folders):
    with gathered(folders["2.0"], 2) as (model, group):
        steering = steering_of(model, Guidance(Scales(3.0, 0.0, 2.5, 0.7), Scales(7.0, 0.0, 3.0, 0.4)))
        expected = alone(model, steering)
        for layout in SPLIT:
            made, sent, formula = shared(model, group, layout, steering)
            assert difference(made, expected) <= LARGEST_DIFFERENCE and sent == formula


@pytest.mark.parametrize("version", ["2.3", "2.5"])
def test_feed_forwards_split_by_width(folders, version):
    spec = spec_from_folder("twin", folders[version])
    whole = load(spec, torch.device("cpu"))
    steering = steering_of(whole)
    expected = alone(whole, steering)
    with gathered(folders[version], 2, tensor=2) as (model, group):
        made, sent, formula = shared(model, group, Layout(tensor=2), steering)
        assert difference(made, expected) <= LARGEST_DIFFERENCE and sent == formula
        inner = [block.ff.net[2].weight.shape[1] for block in whole.transformer.transformer_blocks]
        assert [block.ff.net[2].weight.shape[1] for block in model.transformer.transformer_blocks] == [n // 2 for n in inner]
        read = texts(model, group, whole)
        assert read["difference"] <= LARGEST_DIFFERENCE and read["sent_bytes"] == read["formula_bytes"]
        assert texts(model, group, whole) == read, "it is split once"
        held, all_of_it = (
            [part.in_features for name, part in of.text.text_encoder.named_modules() if name.endswith("mlp.down_proj")]
            for of in (model, whole)
        )
        assert held == [n // 2 for n in all_of_it] != []


def test_weights_in_fewer_bits_are_the_same_on_every_rank(folders):
    plan = Plan(Quantization.INT8)
    expected = {}
    for bits in (Plan(), plan):
        model = load(spec_from_folder("twin", folders["2.3"]), torch.device("cpu"), plan=bits)
        expected[bits] = alone(model, steering_of(model))
    assert difference(expected[plan], expected[Plan()]) > 100 * LARGEST_DIFFERENCE, "eight bits show"
    with gathered(folders["2.3"], 2, plan=plan) as (model, group):
        made, sent, formula = shared(model, group, Layout(branches=2), steering_of(model))
        assert difference(made, expected[plan]) <= LARGEST_DIFFERENCE and sent == formula
    with pytest.raises(InvalidRequest, match="quantization is int8, but layers that are split keep their bits"):
        Group(spec_from_folder("twin", folders["2.3"]), ["cpu", "cpu"], 2, plan=plan)


def test_a_picture_is_decoded_in_turns(folders):
    """Bit for bit what one process makes of the same tiles, an odd number of them; and a run that is left in between."""
    with gathered(folders["2.3"], 2) as (model, group):
        torch.manual_seed(2)
        latents = torch.randn(1, 8, 3, 4, 30)
        plan = plan_if_needed(model.vae.decoder, latents, PLENTY.step_bytes, None, ranks=2)
        assert plan is not None and len(plan.tiles) == 2 and plan.speedup(2) >= 1.2
        odd = tile_plan(model.vae.decoder, latents, 1 << 40, least_tiles=3)
        assert len(odd.tiles) == 3
        for tiles in (plan, odd):
            work = Decoding(latents, None, tiles, ())
            before = group.sent_bytes()
            made, expected = (torch.full((1, 3, 17, 128, 960), torch.nan) for _ in range(2))
            for picture, parts in ((made, group.decode(model.vae, work)), (expected, decode(model.vae, latents, None, tiles))):
                for part in parts:
                    put(part, picture, lambda pixels: pixels)
            assert torch.equal(made, expected) and not made.isnan().any()
            assert group.sent_bytes() - before == 4 * prod(tile_shape(model.vae, work, 1))
        left = group.decode(model.vae, work)
        next(left)
        left.close()
        made, sent, formula = shared(model, group, Layout(branches=2), steering_of(model))
        assert sent == formula


@pytest.mark.slow
def test_split_feed_forwards_together_with_all_else(folders):
    whole = load(spec_from_folder("twin", folders["2.3"]), torch.device("cpu"))
    steering = steering_of(whole)
    expected = alone(whole, steering)
    with gathered(folders["2.3"], 4, tensor=2) as (model, group):
        for layout in (Layout(branches=2, tensor=2), Layout(ulysses=2, tensor=2), Layout(ring=2, tensor=2), Layout(tensor=2)):
            made, sent, formula = shared(model, group, layout, steering)
            assert difference(made, expected) <= LARGEST_DIFFERENCE and sent == formula, layout
        read = texts(model, group, whole)
        assert read["difference"] <= LARGEST_DIFFERENCE and read["sent_bytes"] == read["formula_bytes"], "two of four read"


@pytest.mark.slow
def test_four_ranks_in_every_combination(folders):
    """Ranks that a layout has no place for wait."""
    with gathered(folders["2.3"], 4) as (model, group):
        steering = steering_of(model)
        expected = alone(model, steering)
        for layout in (
            Layout(branches=4), Layout(ulysses=4), Layout(ring=4), Layout(ring=3), Layout(ring=2, ulysses=2),
            Layout(branches=2, ulysses=2), Layout(branches=2, ring=2), Layout(branches=3),
        ):  # fmt: skip
            made, sent, formula = shared(model, group, layout, steering)
            assert difference(made, expected) <= LARGEST_DIFFERENCE and sent == formula, layout
        few = Passes(model, replace(canvas_of(model), audio_frames=3), steering)
        for layout in (Layout(ring=3), Layout(branches=2, ulysses=2)):
            with group.passes(few, LoraStack(model.transformer, []), layout) as run:
                assert difference(denoised(run), denoised(few)) <= LARGEST_DIFFERENCE, layout
        with (
            pytest.raises(InvalidRequest, match="into 4 parts, but the sound of this clip has 3 tokens"),
            group.passes(few, LoraStack(model.transformer, []), Layout(ulysses=4)),
        ):
            pass
        with group.passes(few, LoraStack(model.transformer, [])) as run:  # what is chosen has tokens for all
            assert difference(denoised(run), denoised(few)) <= LARGEST_DIFFERENCE


@pytest.mark.fault
@pytest.mark.parametrize(("how", "told"), [(signal.SIGKILL, "was ended by signal 9"), (signal.SIGSTOP, "gave no sign of life")])
def test_a_rank_that_dies_or_hangs_ends_the_group_within_a_minute(folders, how, told):
    with gathered(folders["2.3"], 2) as (model, group):
        (pid,) = group.pids()
        stack = LoraStack(model.transformer, [])
        began = time.monotonic()
        with (
            pytest.raises(DeviceLost, match=f"rank 1 of 2 on cpu {told}"),
            group.passes(Passes(model, canvas_of(model), steering_of(model)), stack, Layout(ulysses=2)) as passes,
        ):
            denoised(passes)
            os.kill(pid, how)
            denoised(passes, 1000)
        assert time.monotonic() - began < 60 and group.is_closed
        assert not psutil.pid_exists(pid)
        assert group_module.SILENCE_S < 60


def test_ranks_end_with_rank_0(folders):
    """Nothing is left of them when the process that started them is gone, however it went."""
    code = (
        "import os, sys, time; from pathlib import Path; from benchmarks.parallel import gathered\n"
        f"with gathered(Path({str(folders['2.3'])!r}), 2) as (_, group):\n"
        "    print(group.pids()[0], flush=True); os.kill(os.getpid(), 9)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(run.stdout)
    give_up = time.monotonic() + 20
    while psutil.pid_exists(pid):
        assert time.monotonic() < give_up
        time.sleep(0.1)
