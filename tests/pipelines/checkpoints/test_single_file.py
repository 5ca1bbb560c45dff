"""Transformers in single files: the embedded model's own, written as others write theirs, makes the folder's clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from pipelines.clip_io import read_media
from pipelines.contract import GenerationRequest, InvalidRequest, LoraUse, ModelNotFound, Quantization
from pipelines.engine import Engine
from pipelines.lora.catalogue import shipped
from pipelines.models.installed import installed
from pipelines.optimize.memory import plan_of, widths_of
from pipelines.optimize.plan import Plan
from pipelines.registry import Defaults, ModelCatalogue
from tests.checkpoints import weights, write_diffusers, write_gguf, write_original

Q8_0 = gguf.GGMLQuantizationType.Q8_0
LORA = next(name for name, lora in shipped().items() if lora.base == "pocket")
QUICK = Defaults(height=64, width=64, num_frames=9, frame_rate=12.0, num_inference_steps=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Named so that names would mislead."""
    folder = tmp_path_factory.mktemp("files")
    return {
        "original": write_original(folder / "vae.gguf"),
        "diffusers": write_diffusers(folder / "weights.ckpt"),
        "packed": write_gguf(folder / "a@b.safetensors", Q8_0),
    }


def named(files: dict[str, Path]) -> ModelCatalogue:
    return ModelCatalogue.with_folders({model_id: Path(f"{file}@pocket") for model_id, file in files.items()})


@pytest.fixture(scope="module")
def clips(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The same request's frames by model."""
    folder, found = tmp_path_factory.mktemp("clips"), {}
    catalogue = ModelCatalogue(replace(spec, defaults=QUICK) for spec in named(files) if spec.is_local)
    engine = Engine(catalogue, media_dir=folder, device="cpu")
    for model in ("pocket", *files):
        request = catalogue.complete(GenerationRequest(prompt="a dog barks", model=model, seed=1))
        list(engine.run(request, folder / f"{model}.mp4"))
        media = read_media(folder / f"{model}.mp4")
        found[model], found[f"{model} sound"] = media.frames, media.sound.samples
    styled = request.model_copy(update={"loras": (LoraUse(lora=LORA),)})
    list(engine.run(styled, folder / "styled.mp4", {LORA: shipped()[LORA].path}))
    found["styled"] = read_media(folder / "styled.mp4").frames
    return found


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_a_safetensors_files_clip_is_the_folders_bit_for_bit(layout: str, clips: dict[str, np.ndarray]) -> None:
    assert np.array_equal(clips[layout], clips["pocket"])
    assert np.array_equal(clips[f"{layout} sound"], clips["pocket sound"])


def test_a_gguf_files_clip_is_nearly_the_folders(clips: dict[str, np.ndarray]) -> None:
    error = np.square(clips["packed"].astype(float) - clips["pocket"].astype(float)).mean()
    assert error > 0 and 10 * np.log10(255**2 / error) > 35


def test_a_lora_acts_on_packed_weights(clips: dict[str, np.ndarray]) -> None:
    assert not np.array_equal(clips["styled"], clips["packed"])


def test_weights_are_named_apart_and_the_forecast_counts_them_packed(files: dict[str, Path]) -> None:
    catalogue = named(files).quantized(Quantization.INT4, Quantization.INT8)
    packed, whole = catalogue.get("packed"), catalogue.get("original")
    assert widths_of(whole, "cpu").weights_bytes == widths_of(catalogue.get("pocket"), "cpu").weights_bytes
    assert widths_of(packed, "cpu").weights_bytes < 0.8 * widths_of(whole, "cpu").weights_bytes
    assert plan_of(packed, Quantization.INT4, "cpu", None) == Plan(Quantization.NONE, Quantization.INT8)
    assert plan_of(whole, Quantization.INT4, "cpu", None) == Plan(Quantization.INT4, Quantization.INT8)
    with pytest.raises(InvalidRequest, match="holds its weights in int8 already"):
        catalogue.complete(GenerationRequest(prompt="a dog", model="packed", quantization="int4"))


def test_a_file_that_went_is_missing(tmp_path: Path) -> None:
    file = write_diffusers(tmp_path / "mine")
    spec = named({"mine": file}).get("mine")
    assert installed(spec).state == "here" and installed(spec).on_disk_bytes > file.stat().st_size
    file.unlink()
    assert installed(spec).missing == ("mine",)


def test_the_types_that_are_read_are_those_that_diffusers_unpacks() -> None:
    from diffusers.quantizers.gguf.utils import SUPPORTED_GGUF_QUANT_TYPES

    from pipelines.checkpoints.transformer import GGUF_TYPES

    assert {*GGUF_TYPES} == {each.name for each in SUPPORTED_GGUF_QUANT_TYPES} | {"F32", "F16"}


def changed(name: str, tensor: np.ndarray | None) -> dict[str, np.ndarray]:
    """The embedded transformer with one tensor another, or without it."""
    found = {each: value for each, value in weights().items() if each != name}
    return found if tensor is None else found | {name: tensor}


def test_the_first_tensor_that_does_not_fit_is_named(tmp_path: Path) -> None:
    layer, wide = "transformer_blocks.3.ff.net.0.proj.weight", np.zeros((768, 64), np.float16)
    cases = {
        "narrow": (
            write_original(tmp_path / "1", changed(layer, wide)),
            f"'model.diffusion_model.{layer}' is 768x64; .* has 768x192",
        ),
        "short": (
            write_diffusers(tmp_path / "2", changed(layer, None)),
            f"it lacks '{layer}', which the transformer of Pocket has",
        ),
        "long": (write_diffusers(tmp_path / "3", weights() | {"transformer_blocks.6.x.weight": wide}), "which .* Pocket has not"),
        "ternary": (write_gguf(tmp_path / "5", gguf.GGMLQuantizationType.TQ2_0), "of the type TQ2_0; F32, .* can be used"),
        "packed": (write_gguf(tmp_path / "4", Q8_0, changed(layer, wide)), "is 768x64; .* has 768x192"),
    }
    for model_id, (file, words) in cases.items():
        with pytest.raises(ModelNotFound, match=words):
            named({model_id: file})


def test_what_cannot_lend_or_is_not_there_is_one_sentence(files: dict[str, Path], tmp_path: Path) -> None:
    file = files["diffusers"]
    cases = {
        f"{file}": "name the model that lends its other parts",
        f"{file}@poket": "did you mean 'pocket'",
        f"{file}@pocket-fast": "adapter of its own",
        f"{tmp_path / 'nothing'}@pocket": "is no folder and no file",
    }
    for name, words in cases.items():
        with pytest.raises(ModelNotFound, match=words) as refused:
            ModelCatalogue.with_folders({"mine": Path(name)})
        assert refused.value.field == "model" and "\n" not in refused.value.message
    with pytest.raises(ModelNotFound, match=r"has a single file itself|no model to lend"):
        ModelCatalogue.with_folders({"one": Path(f"{file}@pocket"), "two": Path(f"{file}@one")})


def test_a_file_that_changed_since_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    file = write_diffusers(tmp_path / "mine")
    catalogue = ModelCatalogue(replace(spec, defaults=QUICK) for spec in named({"mine": file}) if spec.is_local)
    file.write_bytes(file.read_bytes()[:-10])
    request = catalogue.complete(GenerationRequest(prompt="a dog", model="mine"))
    with pytest.raises(ModelNotFound, match="mine cannot be used: it is cut off"):
        list(Engine(catalogue, media_dir=tmp_path, device="cpu").run(request, tmp_path / "clip.mp4"))
