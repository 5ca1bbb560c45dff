"""What the studio tells of its models: real folders, a real forecast."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.contract import Conflict, ModelNotFound, Quantization
from pipelines.registry import POCKET_FOLDER
from studio.services.models import DefaultModel
from studio.studio import Studio
from studio.ui.answers import first_model
from tests.studio.rooms import fast_settings


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The embedded model as a folder of the owner's, without a list of hashes that the studio knows."""
    return Path(shutil.copytree(POCKET_FOLDER, tmp_path / "own"))


def test_the_embedded_model_is_here_and_fits(idle: Studio) -> None:
    told = idle.models.state("pocket")
    assert told.state == "here" and not told.missing and told.device == "cpu" and told.fits is True
    assert told.needs_bytes is not None and told.free_bytes is not None and told.needs_bytes <= told.free_bytes
    assert told.quantization is Quantization.NONE and "of main memory can be had" in told.memory


def test_a_folder_that_lacks_a_part_is_not_reckoned(tmp_path: Path, copied: Path) -> None:
    studio = Studio.open(fast_settings(tmp_path / "data", models={"own": copied}))
    try:
        shutil.rmtree(copied / "audio_vae")
        told = studio.models.state("own")
        assert told.state == "partly here" and told.missing == ("audio_vae",) and not told.is_removable
        assert told.fits is None and told.needs_bytes is None and "once its files are whole" in told.memory
    finally:
        studio.stop()


def test_a_gpu_that_has_not_told_is_not_guessed(tmp_path: Path) -> None:
    studio = Studio.open(fast_settings(tmp_path / "data", device="cuda"))
    try:
        told = studio.models.state("pocket")
        assert told.device == "cuda" and told.fits is None and told.free_bytes is None and told.quantization is None
        assert "not known before its first clip there" in told.memory
    finally:
        studio.stop()


def test_the_default_is_kept_and_an_unknown_or_absent_one_is_the_embedded_model(tmp_path: Path, copied: Path) -> None:
    settings = fast_settings(tmp_path / "data", models={"own": copied})
    studio = Studio.open(settings)
    try:
        assert studio.models.default() == DefaultModel(model="pocket", sentence=None) and first_model(studio).id == "pocket"
        with pytest.raises(Conflict, match="install it"):
            studio.models.set_default("ltx-2")
        assert studio.models.set_default("own").model == "own" and first_model(studio).id == "own"
    finally:
        studio.stop()
    studio = Studio.open(settings)
    try:
        assert studio.models.default().model == "own"
        shutil.rmtree(copied / "audio_vae")
        assert studio.models.default().model == "pocket" and "own is not on this machine" in str(studio.models.default().sentence)
    finally:
        studio.stop()
    studio = Studio.open(fast_settings(tmp_path / "data"))
    try:
        assert first_model(studio).id == "pocket" and "own is not known any more" in str(studio.models.default().sentence)
    finally:
        studio.stop()


def test_an_unknown_model_is_named(idle: Studio) -> None:
    for ask in (idle.models.state, idle.models.set_default, idle.verifications.start):
        with pytest.raises(ModelNotFound, match="poket"):
            ask("poket")
