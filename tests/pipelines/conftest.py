"""Real models at tiny size for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.registry import Defaults, ModelCatalogue, spec_from_folder


@pytest.fixture(scope="session")
def twin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny twin of LTX-2.3 in diffusers layout on disk."""
    from pipelines.models.ltx2 import twin

    folder = tmp_path_factory.mktemp("twin")
    twin.build("2.3").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def catalogue(twin_folder: Path) -> ModelCatalogue:
    """One model, ``twin``, with quick defaults."""
    defaults = Defaults(height=64, width=64, num_frames=9, frame_rate=12.0, num_inference_steps=3)
    return ModelCatalogue([spec_from_folder("twin", twin_folder, defaults=defaults)])
