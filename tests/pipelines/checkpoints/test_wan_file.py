"""Wan's transformers in single files: a twin's own, written as its makers and as GGUF's tools write theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from diffusers import ModelMixin, WanTransformer3DModel, WanVACETransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from safetensors.numpy import load_file, save_file

from pipelines.checkpoints.header import Damaged
from pipelines.checkpoints.scan import scan
from pipelines.checkpoints.transformer import read_transformer, shapes_in
from pipelines.clip_io import read_media
from pipelines.contract import GenerationRequest, ModelNotFound, Quantization
from pipelines.engine import Engine
from pipelines.models.cogvideox import twin as cogvideox
from pipelines.models.single_file import read_single
from pipelines.models.skyreels import twin as skyreels
from pipelines.models.wan import twin as wan
from pipelines.optimize.memory import plan_of, widths_of
from pipelines.registry import ModelCatalogue
from tests.checkpoints import write_diffusers

Q8_0 = gguf.GGMLQuantizationType.Q8_0
QUICK = {"height": 64, "width": 64, "num_frames": 9, "num_inference_steps": 2}
# What Wan calls the modules that diffusers calls otherwise; written out here, apart from what reads them back.
_ORIGINAL = (
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.image_embedder.norm1", "img_emb.proj.0"),
    ("condition_embedder.image_embedder.norm2", "img_emb.proj.4"),
    ("condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1"),
    ("condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3"),
    ("condition_embedder.time_proj", "time_projection.1"), ("attn1.", "self_attn."), ("attn2.", "cross_attn."),
    (".norm_added_k.", ".norm_k_img."), (".add_k_proj.", ".k_img."), (".add_v_proj.", ".v_img."), (".to_out.0.", ".o."),
    (".to_q.", ".q."), (".to_k.", ".k."), (".to_v.", ".v."), ("ffn.net.0.proj.", "ffn.0."), ("ffn.net.2.", "ffn.2."),
)  # fmt: skip


def original(name: str) -> str:
    """What Wan calls the tensor ``name``."""
    if name == "scale_shift_table":
        return "head.modulation"
    if name.startswith("proj_out."):
        return name.replace("proj_out", "head.head")
    if name.startswith("vace_blocks."):
        name = name.replace(".proj_in.", ".before_proj.").replace(".proj_out.", ".after_proj.")
    swapped = {".norm2.": ".norm3.", ".norm3.": ".norm2."}
    name = next((name.replace(ours, theirs) for ours, theirs in swapped.items() if ours in name), name)
    for ours, theirs in _ORIGINAL:
        name = name.replace(ours, theirs)
    return name.replace("scale_shift_table", "modulation")


def write_original(path: Path, weights: Mapping[str, np.ndarray], prefix: str = "") -> Path:
    save_file({prefix + original(name): tensor for name, tensor in weights.items()}, path)
    return path


def write_gguf(path: Path, weights: Mapping[str, np.ndarray]) -> Path:
    writer = gguf.GGUFWriter(path, "wan")
    for name, tensor in weights.items():
        packs = tensor.ndim == 2 and name.endswith(".weight") and name.startswith("blocks.") and tensor.shape[1] % 32 == 0
        packed = gguf.quantize(tensor, Q8_0) if packs else tensor
        writer.add_tensor(original(name), packed, raw_dtype=Q8_0 if packs else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("wan") / "twin"
    wan.build().save_pretrained(found)
    return found


@pytest.fixture(scope="module")
def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")


@pytest.fixture(scope="module")
def catalogue(folder: Path, weights: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> ModelCatalogue:
    """The twin, and its transformer in files of three kinds."""
    files = tmp_path_factory.mktemp("files")
    written = {
        "original": write_original(files / "one.safetensors", weights, "model.diffusion_model."),
        "diffusers": write_diffusers(files / "two.safetensors", weights),
        "packed": write_gguf(files / "three.gguf", weights),
    }
    found = ModelCatalogue.with_folders({"twin": folder, **{name: Path(f"{file}@twin") for name, file in written.items()}})
    return ModelCatalogue(
        replace(spec, defaults=replace(spec.defaults, **QUICK)) for spec in found if spec.id in ("twin", *written)
    )


@pytest.fixture(scope="module")
def clips(catalogue: ModelCatalogue, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    home, found = tmp_path_factory.mktemp("clips"), {}
    engine = Engine(catalogue, media_dir=home, device="cpu")
    for spec in catalogue:
        request = catalogue.complete(GenerationRequest(prompt="a dog", model=spec.id, seed=1, quantization="none"))
        list(engine.run(request, home / f"{spec.id}.mp4"))
        found[spec.id] = read_media(home / f"{spec.id}.mp4").frames
    return found


def twins() -> dict[str, ModelMixin]:
    pipelines = {kind: wan.build(kind) for kind in ("text", "image", "vace", "both")} | {"skyreels": skyreels.build()}
    return {kind: pipeline.transformer for kind, pipeline in pipelines.items()}


@pytest.mark.parametrize(("kind", "network"), twins().items(), ids=lambda each: each if isinstance(each, str) else "")
def test_names_become_those_that_diffusers_gives_them(kind: str, network: ModelMixin, tmp_path: Path) -> None:
    """diffusers' own converter is the judge of both: of the names that this test writes, and of those that are read."""
    weights = {name: np.zeros(tuple(tensor.shape), np.float16) for name, tensor in network.state_dict().items()}
    theirs = convert_wan_transformer_to_diffusers({original(name): name for name in weights})
    assert theirs == {name: name for name in weights}
    found = read_transformer(write_original(tmp_path / kind, weights))
    assert found.family == "Wan" and {*found.tensors} == {*weights}
    assert all(found.sources[name] == original(name) for name in weights)
    kept = read_transformer(write_diffusers(tmp_path / f"{kind} again", weights))
    assert kept.sources == {name: name for name in weights}


@pytest.mark.parametrize("kind", ["text", "vace"])
def test_the_same_weights_stay_exact_in_bfloat16(kind: str, tmp_path: Path) -> None:
    """A GPU computes in it; diffusers' own loading from a file would round what it keeps exact from a folder."""
    wan.build(kind).save_pretrained(tmp_path / "twin")
    weights = load_file(tmp_path / "twin" / "transformer" / "diffusion_pytorch_model.safetensors")
    file = write_original(tmp_path / "mine", weights)
    spec = ModelCatalogue.with_folders({"twin": tmp_path / "twin", "mine": Path(f"{file}@twin")}).get("mine")
    found = read_single(spec, torch.bfloat16).state_dict()
    network = WanVACETransformer3DModel if kind == "vace" else WanTransformer3DModel
    wanted = network.from_pretrained(tmp_path / "twin", subfolder="transformer", torch_dtype=torch.bfloat16).state_dict()
    assert {each.dtype for each in wanted.values()} == {torch.bfloat16, torch.float32}
    for name, each in wanted.items():
        assert found[name].dtype == each.dtype and torch.equal(found[name], each), name


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_a_safetensors_files_clip_is_the_folders_bit_for_bit(layout: str, clips: dict[str, np.ndarray]) -> None:
    assert np.array_equal(clips[layout], clips["twin"])


def test_a_gguf_files_clip_is_nearly_the_folders_and_it_stays_packed(
    clips: dict[str, np.ndarray], catalogue: ModelCatalogue
) -> None:
    error = np.square(clips["packed"].astype(float) - clips["twin"].astype(float)).mean()
    assert error > 0 and 10 * np.log10(255**2 / error) > 30
    packed, twin = catalogue.get("packed"), catalogue.get("twin")
    assert widths_of(packed, "cpu").weights_bytes < widths_of(twin, "cpu").weights_bytes
    assert plan_of(packed, Quantization.INT4, "cpu", None).quantization is Quantization.NONE


def test_a_scan_says_how_to_use_it(catalogue: ModelCatalogue) -> None:
    file = Path(catalogue.get("packed").transformer)
    found = {each.path.name: each for each in scan(file.parent, catalogue)}
    assert found["three.gguf"].family == "Wan" and found["three.gguf"].models == ("twin",)
    assert "three.gguf@twin" in found["three.gguf"].use


def test_what_cannot_lend_is_not_recommended(weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    wan.build("pair").save_pretrained(tmp_path / "pair")
    (tmp_path / "files").mkdir()
    write_original(tmp_path / "files" / "one.safetensors", weights)
    (found,) = scan(tmp_path / "files", ModelCatalogue.with_folders({"pair": tmp_path / "pair"}))
    assert found.models == () and "pair" not in found.use


def test_what_does_not_fit_is_refused_in_a_sentence(folder: Path, weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    whole = write_original(tmp_path / "whole", weights)
    lacking = "blocks.1.ffn.net.2.weight"
    short = write_original(tmp_path / "short", {name: each for name, each in weights.items() if name != lacking})
    wan.build("pair").save_pretrained(tmp_path / "pair")
    cogvideox.build().save_pretrained(tmp_path / "cog")
    cases = {
        f"{short}@twin": f"it lacks '{lacking}', which the transformer of twin has",
        f"{whole}@pocket": "it holds a transformer of Wan, which Pocket is not",
        f"{whole}@pair": "pair has two transformers, of which one file is but one, and cannot lend its other parts",
        f"{whole}@cog": "cog is of a family whose single files cannot be read and cannot lend its other parts",
    }
    for named, words in cases.items():
        given = {"twin": folder, "pair": tmp_path / "pair", "cog": tmp_path / "cog", "mine": Path(named)}
        with pytest.raises(ModelNotFound, match=words):
            ModelCatalogue.with_folders(given)
    with pytest.raises(Damaged, match="it lacks"):
        read_transformer(short).check(shapes_in(folder), "the twin")
