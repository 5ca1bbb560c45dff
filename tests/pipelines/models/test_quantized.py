"""Models written with their weights in fewer bits: read back bit for bit, told apart, and refused when they are damaged."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.contract import GenerationRequest, InvalidRequest, ModelNotFound, Quantization
from pipelines.engine import Engine
from pipelines.models.ltx2.load import load
from pipelines.models.manifest import digest
from pipelines.models.quantizing import written
from pipelines.optimize.memory import plan_of, widths_of
from pipelines.optimize.plan import QUANTIZED_FILE, RECORD_FILE, Plan
from pipelines.optimize.quantize import weights_bytes
from pipelines.registry import Defaults, ModelCatalogue, ModelSpec, spec_from_folder

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
MODES = [mode for mode in Quantization if mode not in (Quantization.AUTO, Quantization.NONE)]
QUICK = Defaults(height=64, width=64, num_frames=9, frame_rate=12.0, num_inference_steps=2)


def tensors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Everything that a network holds, the parts of quantized weights one by one."""
    found = {}
    for name, tensor in network.state_dict().items():
        names = [*getattr(tensor, "tensor_data_names", ()), *getattr(tensor, "optional_tensor_data_names", ())]
        parts = {f"{name}.{part}": getattr(tensor, part) for part in names} or {name: tensor}
        found |= {name: part for name, part in parts.items() if part is not None}
    return found


def equal(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    a, b = tensors(one), tensors(two)
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype
        and torch.equal(
            a[name].view(torch.uint8) if a[name].dim() else a[name], b[name].view(torch.uint8) if b[name].dim() else b[name]
        )
        for name in a
    )


@pytest.fixture(scope="module")
def int8(twin_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The twin in 8 bits."""
    out = tmp_path_factory.mktemp("small") / "twin-int8"
    written(str(twin_folder), out, Plan(Quantization.INT8))
    return out


def spec(folder: Path) -> ModelSpec:
    return spec_from_folder("small", folder, defaults=QUICK)


@pytest.mark.parametrize("mode", MODES)
def test_it_loads_back_bit_for_bit(mode, twin_folder, tmp_path):
    out, plan = tmp_path / "out", Plan(mode, mode)
    told = written(str(twin_folder), out, plan)
    assert told["mb"] < told["mb_before"] or mode in (Quantization.BF16, Quantization.INT16)
    before, after = load(spec_from_folder("twin", twin_folder), CPU, plan=plan), load(spec(out), CPU)
    for name in ("transformer", "vae", "vocoder"):
        assert equal(getattr(before, name), getattr(after, name)), name
    for name in ("text_encoder", "connectors"):
        assert equal(getattr(before.text, name), getattr(after.text, name)), name
    assert spec(out).held_as.sha256 == before.sha256


def test_clips_of_it_are_the_clips_of_a_model_quantized_as_it_is_loaded(tmp_path):
    pocket = replace(ModelCatalogue.with_folders({}).get("pocket"), defaults=QUICK)
    written("pocket", tmp_path / "small", Plan(Quantization.INT8))
    small = replace(spec_from_folder("small", tmp_path / "small"), mel_scale=pocket.mel_scale, defaults=QUICK)
    catalogue = ModelCatalogue([small, pocket])
    clips = []
    for model, mode in (("small", None), ("pocket", "int8"), ("pocket", "none")):
        request = catalogue.complete(GenerationRequest(prompt="a dog", model=model, seed=1, quantization=mode))
        engine, path = Engine(catalogue, media_dir=tmp_path, device="cpu"), tmp_path / f"{model}-{mode}.mp4"
        list(engine.run(request, path))
        clips.append(frames(path))
    assert (clips[0] == clips[1]).all() and not (clips[0] == clips[2]).all()


def frames(path: Path):
    from pipelines.clip_io import read_media

    return read_media(path).frames


def test_the_forecast_counts_its_files(int8):
    model, widths = load(spec(int8), CPU), widths_of(spec(int8), "cpu")
    parts = (model.transformer, model.text.text_encoder, model.text.connectors, model.vae, model.audio_vae, model.vocoder)
    # The VAEs' buffers of computed numbers are in no file, and shared weights count once.
    assert widths.weights_bytes == pytest.approx(sum(map(weights_bytes, parts)), rel=0.05)
    assert plan_of(spec(int8), Quantization.AUTO, "cpu", 1) == Plan()


def test_other_modes_are_refused_and_a_studios_default_does_not_reach_it(int8):
    catalogue = ModelCatalogue([spec(int8)]).quantized(Quantization.INT4, Quantization.INT4)
    assert catalogue.complete(GenerationRequest(prompt="a dog", model="small")).quantization is Quantization.AUTO
    with pytest.raises(InvalidRequest, match="holds its weights in int8 already"):
        catalogue.complete(GenerationRequest(prompt="a dog", model="small", quantization="int4"))


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def test_damage_is_named(int8, tmp_path):
    flipped = copied(int8, tmp_path / "flipped")
    file = flipped / "transformer" / QUANTIZED_FILE
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelNotFound, match=r"transformer/quantized\.safetensors is damaged"):
        load(spec(flipped), CPU)
    cut = copied(int8, tmp_path / "cut")
    (cut / RECORD_FILE).write_text('{"quantization": "int8"}')
    with pytest.raises(ModelNotFound, match=r"quantization\.json is damaged"):
        spec(cut)


def test_weights_that_do_not_fit_their_configuration_are_named(int8, tmp_path):
    wrong = copied(int8, tmp_path / "wrong")
    file = wrong / "transformer" / QUANTIZED_FILE
    held = load_file(file)
    held.pop(next(name for name in held if name.endswith("_qdata")))
    save_file(held, file, {"tensor_names": "[]"})
    manifest = json.loads((wrong / "sha256.json").read_text())
    manifest[f"transformer/{QUANTIZED_FILE}"] = digest(file)
    (wrong / "sha256.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelNotFound, match=r"does not fit its configuration|is incomplete"):
        load(spec(wrong), CPU)


def test_what_cannot_be_written_is_said(int8, twin_folder, tmp_path):
    with pytest.raises(InvalidRequest, match="is there already"):
        written(str(twin_folder), int8, Plan(Quantization.INT4))
    with pytest.raises(InvalidRequest, match="quantized weights already"):
        written(str(int8), tmp_path / "twice", Plan(Quantization.INT4))
    with pytest.raises(InvalidRequest, match="not a folder on this machine"):
        written("ltx-2", tmp_path / "large", Plan(Quantization.INT4))
    with pytest.raises(InvalidRequest, match="name the bits"):
        written(str(twin_folder), tmp_path / "none", Plan())
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="could not be written"):
        written(str(twin_folder), tmp_path / "file" / "below", Plan(Quantization.INT4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_the_command_writes_a_model(twin_folder, tmp_path):
    out = tmp_path / "small"
    arguments = ["quantize", "mine", "--mode", "int4", "--out", str(out), "--json"]
    environment = os.environ | {"STUDIO_MODELS": json.dumps({"mine": str(twin_folder)})}
    run = subprocess.run(
        [sys.executable, "app.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["mode"] == "int4" and spec(out).held_as.quantization is Quantization.INT4
    again = subprocess.run(
        [sys.executable, "app.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 2 and "is there already" in json.loads(again.stdout)["error"]


def test_a_library_that_cannot_be_used_here_is_named(twin_folder, tmp_path):
    if importlib.util.find_spec("bitsandbytes"):
        pytest.skip("bitsandbytes is installed here, so nothing is missing")
    folder = copied(twin_folder, tmp_path / "bnb")
    config = json.loads((folder / "transformer" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (folder / "transformer" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelNotFound, match=r"quantized by bitsandbytes, which cannot be used here \(.+\): install it"):
        load(spec(folder), CPU)
