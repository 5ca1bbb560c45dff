"""The LoRAs that come with the studio: whole, small, for the weights that are shipped, and told of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.clip_io import read_media
from pipelines.lora.catalogue import CATALOGUE_FILE, LORAS_FOLDER, ShippedLora, shipped
from pipelines.lora.file import linear_layers, read_lora
from pipelines.models.manifest import name_of_denoiser
from pipelines.registry import ModelCatalogue

CATALOGUE = ModelCatalogue.with_folders({})
LORAS = [*shipped().values()]


def test_the_catalogue_lists_exactly_the_files_that_are_there() -> None:
    assert LORAS, "no LoRA comes with the studio"
    files = {path.name for path in LORAS_FOLDER.iterdir()}
    listed = {path.name for lora in LORAS for path in (lora.path, lora.preview)}
    assert files == listed | {CATALOGUE_FILE.name, "README.md"}
    assert shipped(Path("nowhere")) == {}


@pytest.mark.parametrize("lora", LORAS, ids=lambda lora: lora.path.stem)
def test_each_is_what_its_entry_says(lora: ShippedLora) -> None:
    assert hashlib.sha256(lora.path.read_bytes()).hexdigest() == lora.sha256 and lora.path.stat().st_size <= 2_000_000
    file = read_lora(lora.path, linear_layers(Path(CATALOGUE.get(lora.base).source)))
    assert file.trigger_words == lora.trigger_words and file.ranks == lora.ranks and len(file.layers) == lora.layers
    record = json.loads(file.metadata["training"])
    assert record["steps"] > 0 and record["base_sha256"] == file.metadata["base_sha256"] == lora.base_sha256
    assert record == next(
        entry["training"] for entry in json.loads(CATALOGUE_FILE.read_text())["loras"] if entry["sha256"] == lora.sha256
    )
    assert lora.preview.stat().st_size <= 100_000
    media = read_media(lora.preview)
    assert media.frames is not None and media.sound is not None
    assert f"`{lora.trigger_words[0]}`" in (LORAS_FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("lora", LORAS, ids=lambda lora: lora.path.stem)
def test_each_is_for_weights_that_are_shipped(lora: ShippedLora) -> None:
    """After a release of new weights: `python app.py train lora --recipe all --minutes 8 --release`."""
    assert lora.denoiser_sha256 == name_of_denoiser(CATALOGUE.get(lora.base).sha256)
    fitting = lora.fitting(CATALOGUE)
    assert fitting[0] == lora.base and {*fitting} <= {lora.base, f"{lora.base}-fast"}


def test_a_new_decoder_takes_no_lora_away_and_a_new_transformer_does() -> None:
    lora = LORAS[0]
    base = CATALOGUE.get(lora.base)
    changed = {part: {**base.sha256, f"{part}/diffusion_pytorch_model.safetensors": "0" * 64} for part in ("vae", "transformer")}
    assert lora.fitting([replace(base, sha256=changed["vae"])]) == (base.id,)
    assert lora.fitting([replace(base, sha256=changed["transformer"])]) == ()


def test_the_kinds_that_are_there() -> None:
    """Two looks, a subject, a motion, a sound and a camera move."""
    assert sorted(lora.kind for lora in LORAS) == ["camera", "look", "look", "motion", "sound", "subject"]
