"""Fused steps of a block: Triton's kernels against plain torch, and blocks that use them against diffusers' own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.conditioning import encode_prompt
from pipelines.contract import InvalidRequest, Quantization
from pipelines.guidance import Branch, Guidance, Scales
from pipelines.lora.file import LoraFile, read_lora
from pipelines.lora.stack import LoraStack, Strength, linear_layers_of
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model, from_pipeline, load
from pipelines.models.ltx2.twin import build
from pipelines.optimize.kernels import reference
from pipelines.optimize.kernels.block import misfit, put_on
from pipelines.optimize.kernels.choice import TOLERANCE, differences, unusable
from pipelines.optimize.kernels.rotary import ROTARIES, KeptTables, keep_rotary
from pipelines.optimize.plan import Plan, Switch, settle
from pipelines.passes import Passes, Steering
from pipelines.registry import ModelCatalogue
from pipelines.sampling import noise

ROOT = Path(__file__).parents[3]
POCKET = ModelCatalogue.with_folders({}).get("pocket")
CPU = torch.device("cpu")
SHAPES = [(2, 7, 3, 20), (1, 5, 2, 48), (2, 3, 1, 34), (1, 1, 2, 2), (1, 2, 5, 256), (3, 2, 9, 130)]
"""Batch, tokens, heads, width of a head; rows of 4 to 1,280 numbers, most of them no power of two."""
GUIDED = Guidance(Scales(3, 1, 3), Scales(7, 1, 3), (1,))


def apart(one: torch.Tensor, two: torch.Tensor) -> float:
    return float((one - two).norm() / two.norm())


def twin(layout: str) -> LTX2Model:
    pipeline = build(layout)
    spec = replace(POCKET, id="twin", use_cross_timestep=layout != "2.0", stg_blocks=(1,))
    return from_pipeline(pipeline, spec, sha256=layout, device=CPU)


def said(
    model: LTX2Model, *, frames: int = 17, side: int = 64, wanted: Collection[Branch] = tuple(Branch)
) -> dict[Branch, tuple[torch.Tensor, torch.Tensor]]:
    """What the branches of a guided step say."""
    canvas = Canvas.of(model, height=side, width=side, num_frames=frames, frame_rate=24)
    texts = encode_prompt(model, "a red ball bouncing on grass"), encode_prompt(model, "noise")
    guidance = replace(GUIDED, stg_blocks=model.spec.stg_blocks or (1,))
    passes = Passes(model, canvas, Steering(*texts, guidance=guidance))
    none = set() if model.transformer.transformer_blocks[0].perturbed_attn else {Branch.PERTURBED}
    return passes.evaluate(noise(model, canvas, 3), torch.tensor([700.0]), frozenset(wanted) - none)


def worst(one: dict[Branch, Any], two: dict[Branch, Any]) -> float:
    assert set(one) == set(two)
    return max(apart(a, b) for branch in one for a, b in zip(one[branch], two[branch], strict=True))


def same(one: dict[Branch, Any], two: dict[Branch, Any]) -> bool:
    return all(torch.equal(a, b) for branch in one for a, b in zip(one[branch], two[branch], strict=True))


@pytest.fixture(scope="module")
def pocket() -> LTX2Model:
    return load(POCKET, CPU)


INTERPRETED = """
import json, sys, torch
from pipelines.optimize.kernels import fused
from pipelines.optimize.kernels.choice import differences
shapes = json.loads(sys.argv[1])
kinds = (torch.float32, torch.bfloat16, torch.float16)
found = [[str(kind), shape, differences(fused, torch.device("cpu"), kind, shape)] for kind in kinds for shape in shapes]
print(json.dumps(found))
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton, which has the interpreter, is not installed")
def test_triton_s_interpreter_finds_the_kernels_right() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", INTERPRETED, json.dumps(SHAPES)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.strip().splitlines()[-1])
    assert len(found) == 3 * len(SHAPES)
    for kind, shape, each in found:
        limit = TOLERANCE[getattr(torch, kind.removeprefix("torch."))]
        assert len(each) == 8
        assert max(each.values()) <= limit, (kind, shape, each)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (2, 6144, 32, 128)], ids=str)
def test_a_gpu_finds_the_kernels_right(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    from pipelines.optimize.kernels import fused

    found = differences(fused, torch.device("cuda"), dtype, shape)
    assert max(found.values()) <= TOLERANCE[dtype], found


def test_a_wrong_kernel_is_noticed() -> None:
    class Wrong:
        modulated, biased_gelu, turned = reference.modulated, reference.biased_gelu, reference.turned

        @staticmethod
        def gated(x: torch.Tensor, made: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
            return x + made * gate.abs()

    found = differences(Wrong, CPU, torch.float32)
    assert found.pop("gated") > 0.1
    assert found.pop("gated by token") > 0.1
    assert max(found.values()) == 0


@pytest.mark.parametrize("layout", ["2.0", "2.3", "2.5"])
def test_twins_say_the_same_with_fused_steps_and_exactly_the_same_without(layout: str) -> None:
    model = twin(layout)
    before = said(model)
    processors = dict(model.transformer.attn_processors)
    take_off = put_on(model.transformer, reference)
    fused = said(model)
    assert 0 < worst(fused, before) <= 5e-6
    take_off()
    assert same(said(model), before)
    assert model.transformer.attn_processors == processors


class Copied:
    """The reference as something else, so that activations are put on as for Triton."""

    modulated, gated = reference.modulated, reference.gated
    biased_gelu, turned = reference.biased_gelu, reference.turned


@pytest.mark.parametrize("steps", [reference, Copied], ids=["reference", "put on everything"])
def test_pocket_says_the_same_with_fused_steps(pocket: LTX2Model, steps: Any) -> None:
    before = said(pocket, side=128)
    take_off = put_on(pocket.transformer, steps)
    assert 0 < worst(said(pocket, side=128), before) <= 2e-6
    take_off()
    assert same(said(pocket, side=128), before)


def test_half_precision_is_no_further_off_than_diffusers_own() -> None:
    model = twin("2.3")
    right = said(model)
    for part in (model.transformer, model.text.text_encoder, model.text.connectors):
        part.to(torch.bfloat16)
    half = replace(model, dtype=torch.bfloat16)
    stock = worst(said(half), right)
    put_on(half.transformer, Copied)
    assert worst(said(half), right) <= 1.2 * stock


@pytest.mark.parametrize("mode", [Quantization.INT8, Quantization.INT4, Quantization.BF16])
def test_with_quantized_layers(mode: Quantization) -> None:
    model = load(POCKET, CPU, plan=Plan(mode))
    before = said(model)
    take_off = put_on(model.transformer, Copied)
    # Weights of fewer bits answer rounding with rounding: bf16 layers round what goes in.
    assert worst(said(model), before) <= (5e-3 if mode is Quantization.BF16 else 5e-6)
    take_off()
    assert same(said(model), before)


def test_with_loras(pocket: LTX2Model, lora_of: Callable[[torch.nn.Module], LoraFile]) -> None:
    lora = lora_of(pocket.transformer)
    plain = said(pocket)
    with LoraStack(pocket.transformer, [(lora, Strength(0.8, 0.5))]).on():
        styled = said(pocket)
    take_off = put_on(pocket.transformer, Copied)
    with LoraStack(pocket.transformer, [(lora, Strength(0.8, 0.5))]).on():
        fused = said(pocket)
    take_off()
    assert worst(styled, plain) > 1e-3
    assert worst(fused, styled) <= 2e-6


@pytest.fixture
def lora_of(tmp_path: Path) -> Callable[[torch.nn.Module], LoraFile]:
    from safetensors.torch import save_file

    def make(transformer: torch.nn.Module) -> LoraFile:
        generator = torch.Generator().manual_seed(1)
        tensors = {}
        for name, (out, into) in linear_layers_of(transformer).items():
            if name.endswith(("to_q", "net.0.proj", "net.2")):
                tensors[f"transformer.{name}.lora_A.weight"] = torch.randn(4, into, generator=generator) / into**0.5
                tensors[f"transformer.{name}.lora_B.weight"] = torch.randn(out, 4, generator=generator) * 0.05
        save_file(tensors, tmp_path / "style.safetensors")
        return read_lora(tmp_path / "style.safetensors", linear_layers_of(transformer))

    return make


def test_kept_tables_are_the_computed_ones_and_computed_once() -> None:
    model = twin("2.3")
    before = said(model)
    counts = dict.fromkeys(ROTARIES, 0)
    for name in ROTARIES:
        rotary = getattr(model.transformer, name)
        own = rotary.forward

        def counted(*given: Any, own: Any = own, name: str = name, **named: Any) -> Any:
            counts[name] += 1
            return own(*given, **named)

        rotary.forward = counted
    keep_rotary(model.transformer)
    keep_rotary(model.transformer)  # once is enough
    assert same(said(model), before)
    assert counts == dict.fromkeys(ROTARIES, 1), "three calls of the transformer, batches of two and of one"
    other = said(model, frames=25)
    assert counts == dict.fromkeys(ROTARIES, 2)
    assert same(said(model), before)
    assert same(said(model, frames=25), other)


def test_samples_at_places_of_their_own_keep_their_own_tables() -> None:
    rotary = twin("2.3").transformer.rope
    places = rotary.prepare_video_coords(2, 3, 2, 2, CPU, fps=24.0)
    places[1] += 1
    kept = KeptTables(rotary.forward)
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(kept(places), rotary.forward(places), strict=True))


def test_what_cannot_be_used_is_refused_or_left() -> None:
    model = twin("2.3")
    before = said(model)
    settle(model.transformer, Plan(kernels=Switch.AUTO))
    assert same(said(model), before), "automatically: not on a CPU"
    with pytest.raises(InvalidRequest, match="kernels is on, but they are for CUDA GPUs and the model runs on cpu: set STUDIO"):
        load(POCKET, CPU, plan=Plan(kernels=Switch.ON))
    assert unusable("mps", torch.float16) is not None


def test_other_architectures_are_told_apart() -> None:
    transformer = twin("2.3").transformer
    assert misfit(transformer) is None
    transformer.transformer_blocks[0].norm2 = torch.nn.RMSNorm(32)
    assert misfit(transformer) == "its norms have weights of their own"
