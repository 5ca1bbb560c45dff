"""Other programs' folders, laid out as they lay them out: what is in them is told, and nothing is changed."""

from __future__ import annotations

import json
import os
import pickle
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from pipelines.checkpoints.scan import Found, scan
from pipelines.contract import InvalidRequest
from pipelines.lora.catalogue import LORAS_FOLDER
from pipelines.registry import POCKET_FOLDER, ModelCatalogue
from tests.checkpoints import weights, write_gguf, write_original

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI's `models`, with files of ours and of others."""
    root = tmp_path_factory.mktemp("models")
    for name in ("checkpoints", "diffusion_models", "unet", "loras", "vae", "text_encoders"):
        (root / name).mkdir()
    write_original(root / "checkpoints" / "film.safetensors")
    write_gguf(root / "unet" / "small.gguf", gguf.GGMLQuantizationType.Q8_0)
    narrow = weights() | {"proj_in.weight": np.zeros((96, 64), np.float16)}
    write_original(root / "diffusion_models" / "other-size.bin", narrow)
    shutil.copyfile(LORAS_FOLDER / "arcade.safetensors", root / "loras" / "style.safetensors")
    save_file({"lora_unet_x.lora_down.weight": np.zeros((4, 8), np.float32)}, root / "loras" / "strange.safetensors")
    shutil.copyfile(next((POCKET_FOLDER / "vae").glob("*.safetensors")), root / "vae" / "vae")
    shutil.copyfile(POCKET_FOLDER / "text_encoder" / "model.safetensors", root / "text_encoders" / "gemma.safetensors")
    wan, flux = ("patch_embedding.weight", "blocks.0.self_attn.q.weight"), ("double_blocks.0.img_attn.qkv.weight",)
    for file, names in (("w", wan), ("f", flux)):
        save_file({name: np.zeros(4, np.float32) for name in names}, root / "diffusion_models" / f"{file}.safetensors")
    (root / "checkpoints" / "old.ckpt").write_bytes(pickle.dumps({"a": 1}))
    (root / "checkpoints" / "cut.safetensors").write_bytes((root / "checkpoints" / "film.safetensors").read_bytes()[:5000])
    (root / "checkpoints" / "put_checkpoints_here").write_text("")
    (root / "notes.txt").write_text("not weights")
    (root / "preview.png").write_bytes(b"\x89PNG" + b"\0" * 50)
    shutil.copytree(POCKET_FOLDER, root / "diffusers" / "pocket-copy")
    return root


@pytest.fixture(scope="module")
def found(comfy: Path) -> dict[str, Found]:
    return {str(each.path.relative_to(comfy)): each for each in scan(comfy, ModelCatalogue.with_folders({}))}


@pytest.mark.parametrize(
    ("name", "kind", "family", "models", "use"),
    [
        ("checkpoints/film.safetensors", "transformer", "LTX-2", ("pocket",), "@pocket"),
        ("unet/small.gguf", "transformer", "LTX-2", ("pocket",), "@pocket"),
        ("diffusion_models/other-size.bin", "transformer", "LTX-2", (), "No model here has its sizes"),
        ("diffusion_models/w.safetensors", "transformer", "Wan", (), "No model here has its sizes"),
        ("diffusion_models/f.safetensors", "transformer", "FLUX", (), "cannot be used"),
        ("loras/style.safetensors", "LoRA", "LTX-2", ("pocket", "pocket-world"), "lora import"),
        ("loras/strange.safetensors", "LoRA", "", (), "not here"),
        ("vae/vae", "VAE", "LTX-2", (), "brings its own"),
        ("text_encoders/gemma.safetensors", "text encoder", "Gemma", (), "brings its own"),
        ("checkpoints/old.ckpt", "refused", "", (), "It is a pickle, which can run code"),
        ("checkpoints/cut.safetensors", "refused", "", (), "It is cut off within its"),
        ("diffusers/pocket-copy", "model folder", "LTX2Pipeline", (), '"pocket-copy"'),
    ],
)
def test_each_file_is_what_its_header_says(
    found: dict[str, Found], name: str, kind: str, family: str, models: tuple[str, ...], use: str
) -> None:
    one = found[name]
    assert (one.kind, one.family, one.models) == (kind, family, models) and use in one.use and one.size_bytes > 0


def test_nothing_else_is_listed(found: dict[str, Found]) -> None:
    assert len(found) == 12


def test_the_command_lists_the_same_changes_nothing_and_what_it_says_works(comfy: Path, tmp_path: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in comfy.rglob("*"))
    environment = os.environ | {"STUDIO_DATA_DIR": str(tmp_path), "STUDIO_MODEL_FOLDERS": json.dumps([str(comfy)])}
    command = [sys.executable, "app.py", "models", "scan", "--json"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=120)
    told = {each["path"]: each for each in json.loads(run.stdout)["found"]}
    assert len(told) == 12 and sorted((path, path.stat().st_mtime_ns) for path in comfy.rglob("*")) == before
    variable, _, value = told[str(comfy / "unet" / "small.gguf")]["use"].partition("=")
    named = json.loads(shlex.split(value)[0])
    assert variable == "STUDIO_MODELS"
    assert ModelCatalogue.with_folders({key: Path(path) for key, path in named.items()}).get("small").transformer


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="does not exist"):
        scan(tmp_path / "nothing", [])


@pytest.mark.parametrize(("name", "use"), [("WanPipeline", "STUDIO_MODELS="), ("FluxPipeline", "cannot be used")])
def test_a_folder_of_a_family_that_can_be_run_is_a_model(tmp_path: Path, name: str, use: str) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name}))
    (one,) = scan(tmp_path, ())
    assert (one.kind, one.family) == ("model folder", name) and use in one.use
