"""Prompts with labels, and the models that they are enhanced for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.prompting.enhancement import Model
from pipelines.registry import ModelCatalogue

LABELLED = [json.loads(line) for line in Path(__file__).with_name("labelled.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def labelled() -> list[dict[str, Any]]:
    """Each with its language, intents, entities and split (tuning or unseen)."""
    return LABELLED


@pytest.fixture(scope="session")
def models() -> dict[str, Model]:
    """The embedded model, which knows certain words only, and one that takes any."""
    specs = {spec.id: spec for spec in ModelCatalogue.with_folders({})}
    return {name: Model(specs[name].title, specs[name].vocabulary) for name in ("pocket", "ltx-2")}
