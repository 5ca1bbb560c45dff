"""What the studio tells of its models: real folders, a real forecast."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from pipelines.contract import Conflict, ModelNotFound, Quantization
from pipelines.registry import POCKET_FOLDER
from studio.studio import Studio
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


def test_what_was_hashed_and_what_was_only_looked_at_is_counted(idle: Studio) -> None:
    found = idle.models.verify("pocket")
    files = sum(each.is_file() for each in POCKET_FOLDER.rglob("*"))
    assert found.hashed == len(idle.catalogue.get("pocket").sha256) and found.hashed + found.looked_at == files
    assert f"{found.hashed} files have their published sha256; of {found.looked_at} files more" in found.sentence


def test_without_published_hashes_nothing_is_called_whole(tmp_path: Path, copied: Path) -> None:
    studio = Studio.open(fast_settings(tmp_path / "data", models={"own": copied}))
    try:
        found = studio.models.verify("own")
        assert found.hashed == 0 and found.looked_at > 0
        assert "no file has a published sha256" in found.sentence and "whole" not in found.sentence
        shutil.rmtree(copied / "audio_vae")
        told = studio.models.state("own")
        assert told.state == "partly here" and told.missing == ("audio_vae",)
        assert told.fits is None and told.needs_bytes is None and "once its files are whole" in told.memory
        with pytest.raises(ModelNotFound, match="lacks audio_vae"):
            studio.models.verify("own")
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


def test_one_at_a_time_is_read(idle: Studio) -> None:
    """Two that begin together: at least one answers, and what is refused is refused in words."""
    begun, answers = threading.Barrier(4), []

    def ask() -> None:
        begun.wait()
        try:
            answers.append(idle.models.verify("pocket").sentence)
        except Conflict as error:
            answers.append(error.message)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [each for each in answers if "wait until that is done" in each]
    assert len(answers) == 4 and 1 <= len(refused) <= 3
    assert "published sha256" in idle.models.verify("pocket").sentence


def test_an_unknown_model_is_named(idle: Studio) -> None:
    for ask in (idle.models.state, idle.models.verify):
        with pytest.raises(ModelNotFound, match="poket"):
            ask("poket")
