"""Weights in fewer bits, on the embedded model and real twins: sizes, errors, what is left alone, LoRAs, the engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.contract import GenerationRequest, ModelNotFound, Quantization
from pipelines.engine import Engine
from pipelines.lora.file import LoraFile, read_lora
from pipelines.lora.stack import LoraStack, Strength, linear_layers_of
from pipelines.models.ltx2.load import ADAPTER_FILE, load
from pipelines.models.manifest import digest
from pipelines.optimize.lessening import changes_of
from pipelines.optimize.memory import MemoryModel, Widths, Work, widths_of
from pipelines.optimize.plan import Plan, is_quantized, plan_for
from pipelines.optimize.quantize import Int4Linear, Int16Linear, quantize, weights_bytes
from pipelines.registry import ModelCatalogue, ModelSpec

ROOT = Path(__file__).parents[3]
CATALOGUE = ModelCatalogue.with_folders({})
POCKET = CATALOGUE.get("pocket")
CPU = torch.device("cpu")
MODES = [mode for mode in Quantization if mode not in (Quantization.AUTO, Quantization.NONE)]
LARGEST_ERROR = {"bf16": 0.01, "int16": 1e-4, "fp8": 0.05, "int8": 0.02, "int8-dynamic": 0.03, "int4": 0.12}
"""Of one layer's output, relative."""
LARGEST_SHARE = {"bf16": 0.61, "int16": 0.62, "fp8": 0.42, "int8": 0.42, "int8-dynamic": 0.42, "int4": 0.34}
"""Of the whole transformer's float32 size; embeddings of time and what modulates the norms stay as they are."""
LAYER = "transformer_blocks.1.ff.net.2"


@pytest.fixture(scope="module")
def quantized() -> Callable[[Quantization], nn.Module]:
    """Pocket's transformer, once for each mode."""
    made: dict[Quantization, nn.Module] = {}

    def get(mode: Quantization) -> nn.Module:
        if mode not in made:
            made[mode] = load(POCKET, CPU, plan=Plan(mode)).transformer
        return made[mode]

    return get


@torch.no_grad()
def says(network: nn.Module, name: str = LAYER) -> torch.Tensor:
    layer = network.get_submodule(name)
    return layer(torch.randn(2, 64, layer.in_features, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_makes_the_weights_smaller_and_little_wrong(mode, quantized):
    plain, small = quantized(Quantization.NONE), quantized(mode)
    assert weights_bytes(small) < LARGEST_SHARE[mode] * weights_bytes(plain)
    error = float((says(small) - says(plain)).norm() / says(plain).norm())
    assert 0 < error < LARGEST_ERROR[mode]
    assert says(small).dtype == torch.float32


@pytest.mark.parametrize("mode", [Quantization.NONE, *MODES])
def test_the_forecast_counts_what_is_held(mode, quantized):
    widths = widths_of(POCKET, "cpu")
    saved = weights_bytes(quantized(Quantization.NONE)) - weights_bytes(quantized(mode))
    assert widths.weights_bytes - widths.held_bytes(Plan(mode)) == pytest.approx(saved, rel=0.01)
    model = MemoryModel(widths, "cpu")
    work = Work(128, 128, 25, 25 / 12)
    less = Work(128, 128, 25, 25 / 12, quantization=mode)
    assert model.predict(work).peak_bytes - model.predict(less).peak_bytes == pytest.approx(saved, rel=0.01)


def test_little_layers_that_much_depends_on_stay_as_they_are(quantized):
    plain, small = (dict(quantized(mode).named_parameters()) for mode in (Quantization.NONE, Quantization.INT4))
    changed = set(plain) - set(small)
    assert changed and all(is_quantized(name, tuple(plain[name].shape)) for name in changed)
    for kept in ("proj_in", "proj_out", "time_embed.linear", "transformer_blocks.0.attn1.to_gate_logits", "audio_proj_in"):
        assert torch.equal(small[f"{kept}.weight"], plain[f"{kept}.weight"])


def test_the_text_encoder_is_quantized_by_itself():
    plain, small = (load(POCKET, CPU, plan=Plan(text_quantization=mode)) for mode in (Quantization.NONE, Quantization.INT8))
    held = {
        name: sum(map(weights_bytes, (model.text.text_encoder, model.text.connectors)))
        for name, model in (("p", plain), ("s", small))
    }
    widths = widths_of(POCKET, "cpu")
    assert held["s"] < 0.7 * held["p"]
    saved = widths.weights_bytes - widths.held_bytes(Plan(text_quantization=Quantization.INT8))
    assert saved == pytest.approx(held["p"] - held["s"], rel=0.01)
    assert torch.equal(says(plain.transformer), says(small.transformer))
    assert plain.text_sha256 != small.text_sha256 and plain.sha256 != small.sha256
    embedding = [model.text.text_encoder.get_input_embeddings().weight for model in (plain, small)]
    assert torch.equal(*embedding)


def test_16_bits_are_as_good_as_float32_sums_and_4_bits_are_packed():
    torch.manual_seed(0)
    layer = nn.Linear(96, 40)
    assert float((Int16Linear(layer).restored() - layer.weight.detach()).abs().max() / layer.weight.detach().abs().max()) < 2e-5
    packed = Int4Linear(layer)
    assert packed.codes_OGH.numel() == layer.weight.numel() // 2 and packed.codes_OGH.dtype == torch.uint8
    grouped = layer.weight.detach().unflatten(1, (-1, 16))
    least, step = grouped.amin(2, keepdim=True), (grouped.amax(2, keepdim=True) - grouped.amin(2, keepdim=True)) / 15
    plainly = (least + step * ((grouped - least) / step).round() - grouped).square().sum()
    found = (packed.restored().unflatten(1, (-1, 16)) - grouped).square().sum()
    assert 0.5 * plainly < found < 0.85 * plainly
    odd = Int4Linear(nn.Linear(44, 8))  # groups of 4 where 16 do not divide a row
    assert odd(torch.randn(3, 44)).shape == (3, 8) and odd.scales_OG1.shape == (8, 11, 1)


def test_a_row_of_zeros_stays_zero():
    layer = nn.Linear(32, 4, bias=False)
    nn.init.zeros_(layer.weight)
    for kind in (Int16Linear, Int4Linear):
        assert not kind(layer)(torch.ones(1, 32)).abs().max() > 1e-6


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory, quantized) -> LoraFile:
    """A LoRA of random numbers on one layer."""
    from safetensors.numpy import save_file

    path = tmp_path_factory.mktemp("lora") / "l.safetensors"
    draw = np.random.default_rng(0)
    tensors = {
        f"transformer.{LAYER}.lora_{side}.weight": draw.normal(size=size).astype("f4")
        for side, size in (("A", (4, 768)), ("B", (192, 4)))
    }
    save_file(tensors, str(path))
    return read_lora(path, linear_layers_of(quantized(Quantization.NONE)))


@pytest.mark.parametrize("mode", MODES)
def test_a_lora_acts_beside_quantized_weights_and_leaves_nothing(mode, quantized, lora):
    plain, small = quantized(Quantization.NONE), quantized(mode)
    assert linear_layers_of(small) == linear_layers_of(plain)
    added = []
    for network in (plain, small):
        before = says(network)
        with LoraStack(network, [(lora, Strength())]).on():
            added.append(says(network) - before)
        assert torch.equal(says(network), before)
    assert float(added[1].norm()) > 0
    assert float((added[1] - added[0]).norm() / added[0].norm()) < 1e-3  # the same is added, whatever it is added to


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """Pocket with an adapter that is fused when it is loaded."""
    from safetensors.numpy import save_file

    folder, draw = tmp_path_factory.mktemp("adapter"), np.random.default_rng(1)
    sides = (("A", (4, 768)), ("B", (192, 4)))
    tensors = {f"transformer.{LAYER}.lora_{side}.weight": draw.normal(size=size).astype("f4") / 3 for side, size in sides}
    save_file(tensors, str(folder / ADAPTER_FILE))
    (folder / "sha256.json").write_text(json.dumps({ADAPTER_FILE: digest(folder / ADAPTER_FILE)}))
    return replace(POCKET, adapter=str(folder))


def test_an_adapter_that_fits_nothing_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"elsewhere.lora_A.weight": np.ones((4, 8), "f4")}, str(tmp_path / ADAPTER_FILE))
    (tmp_path / "sha256.json").write_text(json.dumps({ADAPTER_FILE: digest(tmp_path / ADAPTER_FILE)}))
    with pytest.raises(ModelNotFound, match="changes nothing"):
        load(replace(POCKET, adapter=str(tmp_path)), CPU)


@pytest.mark.parametrize("mode", MODES)
def test_a_lora_can_be_fused_first(mode, quantized, adapted):
    fused, small = load(adapted, CPU).transformer, load(adapted, CPU, plan=Plan(mode)).transformer
    assert float((says(fused) - says(quantized(Quantization.NONE))).norm() / says(fused).norm()) > 2 * LARGEST_ERROR[mode]
    assert 0 < float((says(small) - says(fused)).norm() / says(fused).norm()) < LARGEST_ERROR[mode]


def test_a_plan_is_chosen_by_what_fits():
    sizes = {Quantization.NONE: 100, Quantization.INT8: 60, Quantization.INT4: 40}

    def choose(asked: Quantization, room: int | None) -> Quantization:
        return plan_for(Plan(asked), "cpu", lambda plan: sizes.get(plan.quantization, 0), room).quantization

    automatic = Quantization.AUTO
    assert choose(automatic, None) is choose(automatic, 1000) is Quantization.NONE
    assert choose(automatic, 90) is Quantization.INT8 and choose(automatic, 50) is choose(automatic, 5) is Quantization.INT4
    assert choose(Quantization.BF16, 5) is Quantization.BF16
    follows = plan_for(Plan(automatic, automatic), "cpu", lambda plan: sizes[plan.quantization], 90)
    assert follows == Plan(Quantization.INT8, Quantization.INT8)


def test_a_large_model_is_reckoned_before_it_is_here():
    widths = widths_of(CATALOGUE.get("ltx-2"), "cuda")
    both = Plan(Quantization.INT8, Quantization.INT8)
    assert 0.5 < widths.held_bytes(both) / widths.weights_bytes < 0.55
    asked = plan_for(Plan(Quantization.AUTO, Quantization.AUTO), "cuda", widths.held_bytes, 48 * 10**9)
    assert asked == both
    assert Widths(100, 4).held_bytes(both) == 100


def test_fewer_bits_are_the_first_change_offered():
    request = CATALOGUE.complete(GenerationRequest(prompt="a dog", quantization="none"))
    assert next(iter(changes_of(request, POCKET))).settings == {"quantization": "int8"}
    request = CATALOGUE.complete(GenerationRequest(prompt="a dog", quantization="int8"))
    assert all("quantization" not in change.settings for change in changes_of(request, POCKET))


def test_the_engine_follows_the_request_and_the_catalogue(catalogue: ModelCatalogue, tmp_path: Path):
    engine = Engine(catalogue, media_dir=tmp_path, device="cpu")

    def made(name: str, **settings: object) -> str:
        request = catalogue.complete(GenerationRequest(prompt="a dog", model="twin", seed=1, **settings))
        return list(engine.run(request, tmp_path / f"{name}.mp4"))[-1].result.model_sha256

    plain, small = made("plain"), made("small", quantization="int4")
    assert plain != small and any(isinstance(layer, Int4Linear) for layer in engine.model("twin").transformer.modules())
    assert made("again") == plain and made("int8", quantization="int8") not in (plain, small)
    assert (tmp_path / "plain.mp4").read_bytes() == (tmp_path / "again.mp4").read_bytes()
    assert (tmp_path / "plain.mp4").read_bytes() != (tmp_path / "small.mp4").read_bytes()
    for setting in (Quantization.INT4, {"twin": Quantization.INT4}):
        chosen = catalogue.quantized(setting, Quantization.NONE)
        assert Engine(chosen, media_dir=tmp_path, device="cpu").plan("twin") == Plan(Quantization.INT4)
        assert chosen.complete(GenerationRequest(prompt="a dog", model="twin")).quantization is Quantization.INT4


def test_without_torchao_a_sentence_says_what_can_be_had():
    code = """
import sys
sys.modules["torchao"] = None
from torch import nn
from pipelines.contract import InvalidRequest, Quantization
from pipelines.optimize.quantize import quantize
quantize(nn.Linear(4, 4), Quantization.INT4)
try:
    quantize(nn.Linear(4, 4), Quantization.INT8)
except InvalidRequest as error:
    print(error.field, error.message)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("quantization quantization is int8, which needs torchao") and "int16 or int4" in run.stdout


def test_nothing_happens_without_a_mode():
    layer = nn.Sequential(nn.Linear(4, 4))
    before = layer.state_dict()
    quantize(layer, Quantization.NONE)
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
