"""Models are read by a real thread: counted, watched, cancelled, and what was found is kept over a restart."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import pytest

from pipelines.contract import Conflict
from pipelines.registry import POCKET_FOLDER
from studio.services.records import ActionState
from studio.services.verifications import Verification
from studio.studio import Studio
from tests.studio.rooms import fast_settings, wait_for

SIZE = 64 * 1024**3


def long_model(folder: Path) -> Path:
    """The embedded model, one of its files so long that it takes minutes to read; it is sparse, so it takes no room."""
    own = Path(shutil.copytree(POCKET_FOLDER, folder / "long"))
    file, blob, length = own / "vae" / "diffusion_pytorch_model.safetensors", folder / ("a" * 64), 200
    entry = {"w": {"dtype": "U8", "shape": [SIZE - 8 - length], "data_offsets": [0, SIZE - 8 - length]}}
    blob.write_bytes(struct.pack("<Q", length) + json.dumps(entry).ljust(length).encode())
    os.truncate(blob, SIZE)
    file.unlink()
    file.symlink_to(blob)
    return own


def looked_through(studio: Studio, model: str) -> Verification:
    studio.verifications.start(model)
    wait_for(lambda: told(studio, model).state is not ActionState.RUNNING)
    return told(studio, model)


def told(studio: Studio, model: str) -> Verification:
    found = studio.verifications.get(model)
    assert found is not None
    return found


def test_what_was_hashed_and_what_was_only_looked_at_is_counted(idle: Studio) -> None:
    assert idle.verifications.get("pocket") is None
    found = looked_through(idle, "pocket")
    files = sum(each.is_file() for each in POCKET_FOLDER.rglob("*"))
    assert found.state is ActionState.DONE and found.done_bytes == found.total_bytes and found.finished_at
    assert found.hashed == len(idle.catalogue.get("pocket").sha256)
    assert found.looked_at is not None and found.hashed + found.looked_at == files
    assert f"{found.hashed} files have their published sha256; of {found.looked_at} files more" in str(found.sentence)


def test_without_published_hashes_nothing_is_called_whole_and_faults_outlive_a_restart(tmp_path: Path) -> None:
    own = Path(shutil.copytree(POCKET_FOLDER, tmp_path / "own"))
    settings = fast_settings(tmp_path / "data", models={"own": own})
    studio = Studio.open(settings)
    try:
        found = looked_through(studio, "own")
        assert found.hashed == 0 and found.looked_at and "no file has a published sha256" in str(found.sentence)
        shutil.rmtree(own / "audio_vae")
        assert "lacks audio_vae" in str(looked_through(studio, "own").sentence)
    finally:
        studio.stop()
    studio = Studio.open(settings)
    try:
        kept = told(studio, "own")
        assert kept.state is ActionState.FAILED and "lacks audio_vae" in str(kept.sentence) and kept.finished_at
        studio.verifications.forget("own")
        assert studio.verifications.get("own") is None
    finally:
        studio.stop()


def test_it_can_be_cancelled_and_only_one_is_read_at_a_time(tmp_path: Path) -> None:
    own = long_model(tmp_path)
    studio = Studio.open(fast_settings(tmp_path / "data", models={"own": own}))
    try:
        studio.verifications.start("own")
        wait_for(lambda: told(studio, "own").done_bytes > 0)
        assert told(studio, "own").total_bytes == SIZE
        with pytest.raises(Conflict, match="own is being verified"):
            studio.verifications.start("pocket")
        assert studio.verifications.cancel("own").state is ActionState.CANCELLED
        with pytest.raises(Conflict, match="is not being verified"):
            studio.verifications.cancel("own")
        assert looked_through(studio, "pocket").state is ActionState.DONE
        studio.verifications.start("own")
    finally:
        studio.stop()
