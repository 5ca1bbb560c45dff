"""The table of what the world lacks: it leads to what the world has, and holds nothing that it has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.vocabulary import FILE, Vocabulary
from pipelines.world import caption, sample
from pipelines.world.nearby import GROUPS, NEAREST, PASSING
from pipelines.world.words import TABLES, words


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("model")
    (folder / FILE).write_text(json.dumps(words()))
    read = Vocabulary.in_folder(Path(folder))
    assert read is not None
    return read


PHRASES = [phrase for table in TABLES.values() for phrases in table.values() for phrase in phrases]


def test_the_table_is_large_and_says_each_word_once() -> None:
    written = [word for group in GROUPS for line in group.values() for word in line.split(", ")]
    assert len(NEAREST) >= 500
    assert all(word and word == word.lower().strip() for word in written)
    assert [word for word in NEAREST if written.count(word) > 1] == []


def test_what_it_leads_to_is_in_the_worlds_tables(vocabulary: Vocabulary) -> None:
    lost = [near for near in set(NEAREST.values()) if not any(f" {near} " in f" {phrase} " for phrase in PHRASES)]
    assert lost == []
    assert [near for near in set(NEAREST.values()) if vocabulary.unknown(near)] == [], "a nearest word is itself known"


def test_what_it_holds_is_not_known(vocabulary: Vocabulary) -> None:
    assert [word for word in NEAREST if word in PHRASES] == []
    assert [word for word in NEAREST if word in PASSING.split()] == []
    silent = [word for word in NEAREST if [each.nearest for each in vocabulary.unknown(word)] != [NEAREST[word]]]
    assert silent == []


def test_everything_that_the_world_says_is_known(vocabulary: Vocabulary) -> None:
    assert [phrase for phrase in PHRASES if vocabulary.unknown(phrase)] == []
    rng = np.random.default_rng(5)
    captions = [caption(sample(rng), rng) for _ in range(200)]
    assert [said for said in captions if vocabulary.unknown(said)] == []
