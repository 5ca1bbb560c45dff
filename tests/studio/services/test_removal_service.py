"""Models of the hub are removed from a real cache by the real command, and none that is somebody's or in use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from pipelines.contract import Conflict, GenerationRequest
from studio.studio import Studio
from tests.pipelines.test_installed import cached, run, state
from tests.studio.rooms import OWNER, fast_settings


@pytest.fixture
def hub_cache() -> Iterator[Path]:
    """The cache of hub models that this process has read at its start (tests/conftest.py), empty."""
    cache = Path(constants.HF_HUB_CACHE)
    assert ".pytest_cache" in cache.parts
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    yield cache
    shutil.rmtree(cache)


def test_a_model_goes_and_its_room_is_told(tmp_path: Path) -> None:
    cached(tmp_path)
    repo = tmp_path / "models--Lightricks--LTX-2"
    held = sum(file.stat().st_size for file in (repo / "blobs").iterdir())
    other = tmp_path / "models--Lightricks--LTX-2.3"
    other.mkdir()
    unsure = run(tmp_path, "remove", "ltx-2")
    assert unsure.returncode == 2 and "add --yes" in unsure.stderr and f"{held / 1e6:.1f} MB" in unsure.stderr and repo.is_dir()
    told = json.loads(run(tmp_path, "remove", "ltx-2", "--yes", "--json").stdout)
    assert held <= told["freed_bytes"] <= held + 1000 and "are free again" in told["sentence"]
    assert [entry for entry in tmp_path.iterdir() if "LTX-2" in entry.name] == [other]


def test_a_model_that_is_not_here_takes_no_jobs(idle: Studio, hub_cache: Path) -> None:
    """A clip would fetch it, which can be a hundred gigabytes; whoever may install says so first."""
    wanted = GenerationRequest(prompt="a dog", model="ltx-2")
    for hand_in in (lambda: idle.jobs.submit(OWNER, wanted), lambda: idle.jobs.submit_group(OWNER, [wanted])):
        with pytest.raises(Conflict, match="LTX-2 is not on this machine yet: install it") as refused:
            hand_in()
        assert refused.value.field == "model" and idle.jobs.groups(OWNER, 5) == []
    cached(hub_cache)
    assert idle.jobs.submit(OWNER, wanted).request.model == "ltx-2"


def test_a_model_that_a_job_uses_stays(hub_cache: Path) -> None:
    cached(hub_cache)
    studio = Studio.open(fast_settings(hub_cache / "data"))
    try:
        job = studio.jobs.submit(OWNER, GenerationRequest(prompt="a dog", model="ltx-2"))
    finally:
        studio.stop()
    refused = run(hub_cache, "remove", "ltx-2", "--yes")
    assert refused.returncode == 1 and "while a job uses it" in refused.stderr and state(hub_cache)["state"] == "here"
    studio = Studio.open(fast_settings(hub_cache / "data"))
    try:
        studio.jobs.cancel(OWNER, job.id)
    finally:
        studio.stop()
    assert run(hub_cache, "remove", "ltx-2", "--yes").returncode == 0


def test_the_default_is_chosen_by_command(tmp_path: Path) -> None:
    assert run(tmp_path, "default", "pocket-fast").stdout.strip() == "pocket-fast"
    assert run(tmp_path, "default").stdout.strip() == "pocket-fast"
