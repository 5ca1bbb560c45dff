"""A studio in an empty folder, its workers running the fast engine, for every test of ``tests/studio`` and ``tests/faults``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.contract import GenerationRequest
from pipelines.registry import ModelCatalogue
from studio.settings import Settings
from studio.studio import Studio
from tests.studio.rooms import fast_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return fast_settings(tmp_path / "data")


@pytest.fixture
def idle(settings: Settings) -> Iterator[Studio]:
    """A studio whose workers were never started: what is queued stays queued."""
    studio = Studio.open(settings)
    yield studio
    studio.stop()


@pytest.fixture
def busy(settings: Settings) -> Iterator[Studio]:
    """A studio with a running worker."""
    with Studio.open(settings) as studio:
        yield studio


@pytest.fixture(scope="session")
def small() -> Callable[..., GenerationRequest]:
    """Makes requests for the smallest clip that the default model can do; any field may be given."""
    spec = ModelCatalogue.with_folders({}).get(GenerationRequest.model_fields["model"].default)
    shape = {"height": spec.min_side, "width": spec.min_side, "num_frames": spec.frame_multiple + 1}

    def request(prompt: str = "a red ball", **fields: object) -> GenerationRequest:
        return GenerationRequest(**({"prompt": prompt, "seed": 1, "num_inference_steps": 4} | shape | fields))

    return request
