"""How well prompts are read, on labelled ones; and that every position is exact."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.prompting.kinds import EntityKind, Intent
from pipelines.prompting.lexicon import LANGUAGES, lexicon
from pipelines.prompting.reading import analyse, language_of
from pipelines.prompting.scores import f1
from pipelines.world.words import TABLES

GATE = 0.85


def test_there_are_enough_labels_of_every_kind(labelled: list[dict[str, Any]]) -> None:
    assert len(labelled) >= 300 and sum(row["split"] == "unseen" for row in labelled) >= 100
    assert {row["language"] for row in labelled} == set(LANGUAGES)
    assert {intent for row in labelled for intent in row["intents"]} == set(Intent)
    assert {entity["kind"] for row in labelled for entity in row["entities"]} == set(EntityKind)


@pytest.mark.parametrize("split", ["tuning", "unseen"])
def test_intents_and_entities_are_found(labelled: list[dict[str, Any]], split: str) -> None:
    rows = [row for row in labelled if row["split"] == split]
    read = [analyse(row["prompt"]) for row in rows]
    intents = f1(
        [{(i, name) for name in row["intents"]} for i, row in enumerate(rows)],
        [{(i, str(name)) for name in found.intents} for i, found in enumerate(read)],
    )
    entities = f1(
        [{(e["kind"], e["start"], e["end"]) for e in row["entities"]} for row in rows],
        [{(str(e.kind), e.start, e.end) for e in found.entities} for found in read],
    )
    assert intents >= GATE and entities >= GATE, (intents, entities)


def test_every_position_is_exact_and_nothing_overlaps(labelled: list[dict[str, Any]]) -> None:
    for row in labelled:
        end = 0
        for entity in analyse(row["prompt"]).entities:
            assert row["prompt"][entity.start : entity.end] == entity.text and entity.text
            assert entity.start >= end, row["prompt"]
            end = entity.end


def test_languages_are_told_apart(labelled: list[dict[str, Any]]) -> None:
    wrong = [row["prompt"] for row in labelled if language_of(row["prompt"]) != row["language"]]
    assert len(wrong) <= 0.03 * len(labelled), wrong


@pytest.mark.parametrize("language", ["fr", "de", "es", "ja", "zh"])
@pytest.mark.parametrize("kind", ["subject", "colour", "action", "place", "camera", "look", "sound", "tempo", "voice"])
def test_every_word_of_the_world_has_a_name_in_every_language(language: str, kind: str) -> None:
    held = lexicon(language)
    meanings = [*(meaning for found in held.phrases.values() for meaning in found), *held.stems.values()]
    reached = {meaning.concept[1] for meaning in meanings if meaning.concept and meaning.concept[0] == kind}
    assert set(TABLES[kind]) <= reached


@pytest.mark.parametrize(
    ("prompt", "kind", "text"),
    [
        ("🎬 a red ball", "colour", "red"),
        ("A gold watch", "subject", "watch"),
        ("her cat watches", "action", "watches"),
        ("a gribblefex dancing", "subject", "gribblefex"),
        ("a bird in the quaggery", "place", "quaggery"),
        ("a dog, „Komm, roter Ball!“", "speech", "Komm, roter Ball!"),
    ],
)
def test_words_between_their_neighbours(prompt: str, kind: str, text: str) -> None:
    assert text in [entity.text for entity in analyse(prompt).of(EntityKind(kind))]


def test_what_is_said_is_not_read() -> None:
    found = analyse('a man says "the red dragon flies at night"')
    assert not found.of(EntityKind.COLOUR) and not found.of(EntityKind.TIME)


@pytest.mark.parametrize("prompt", ["", " ", "!!!", "🎬", '"', "«", "1 2 3", "a", "a" * 4000, "the " * 1000])
def test_anything_can_be_read(prompt: str) -> None:
    assert analyse(prompt).prompt == prompt
