"""A prompt edited by its analysis: another word of the same kind, with all that has to follow, or without it."""

from __future__ import annotations

import pytest

from pipelines.prompting.reading import analyse
from pipelines.prompting.swaps import swaps, without
from pipelines.registry import ModelCatalogue

CATALOGUE = ModelCatalogue.with_folders({})
KNOWS = CATALOGUE.words_for("pocket-world")
BOUNCE = "A red ball bouncing on grass, with drums"


def entity(prompt: str, text: str):
    return next(each for each in analyse(prompt).entities if each.text == text)


@pytest.mark.parametrize(
    ("prompt", "text", "phrase", "expected"),
    [
        (BOUNCE, "red", "orange", "An orange ball bouncing on grass, with drums"),
        (BOUNCE, "ball", "star", "A red star bouncing on grass, with drums"),
        (BOUNCE, "bouncing", "rolling", "A red ball rolling on grass, with drums"),
        (BOUNCE, "grass", "in the desert", "A red ball bouncing in the desert, with drums"),
        (BOUNCE, "with drums", "in silence", "A red ball bouncing on grass, in silence"),
        ("an orange cat rolls", "orange", "red", "a red cat rolls"),
        ("pixel art, a cat", "pixel art", "pencil sketch", "Pencil sketch, a cat"),
    ],
)
def test_another_word_takes_its_place(prompt: str, text: str, phrase: str, expected: str) -> None:
    assert {each.phrase: each.prompt for each in swaps(prompt, entity(prompt, text), KNOWS)}[phrase] == expected


def test_verbs_keep_their_form_and_nothing_is_offered_for_itself() -> None:
    assert all(each.phrase.partition(" ")[0].endswith("ing") for each in swaps(BOUNCE, entity(BOUNCE, "bouncing"), KNOWS))
    assert "red" not in [each.phrase for each in swaps("a crimson ball", entity("a crimson ball", "crimson"), KNOWS)]
    said = 'a girl says "hello there"'
    assert swaps(said, entity(said, "says"), KNOWS) == [] and swaps(said, entity(said, "hello there"), KNOWS) == []


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        (BOUNCE, "red", "A ball bouncing on grass, with drums"),
        (BOUNCE, "grass", "A red ball bouncing, with drums"),
        (BOUNCE, "with drums", "A red ball bouncing on grass"),
        (BOUNCE, "ball", None),
        ("an orange cat at night", "orange", "a cat at night"),
        ("a cat on grass at night", "grass", "a cat at night"),
        ("noir style, a cat", "noir style", "a cat"),
    ],
)
def test_it_is_taken_out_with_what_led_to_it(prompt: str, text: str, expected: str | None) -> None:
    assert without(prompt, entity(prompt, text)) == expected


def test_a_model_that_takes_any_words_is_offered_the_longest_list() -> None:
    assert CATALOGUE.words_for("ltx-2") == KNOWS != CATALOGUE.words_for("pocket")
