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
        ("pixel art, a cat", "pixel art", "pencil sketch", "pencil sketch, a cat"),
        ("Grass, a ball", "Grass", "in the desert", "In the desert, a ball"),
        ("a ball beside a castle at night", "castle", "in the desert", "a ball in the desert at night"),
        ("a ball in front of the castle", "castle", "on grass", "a ball on grass"),
        ("[0-1 s] a dog on grass [1-2 s] a cat", "grass", "in the desert", "[0-1 s] a dog in the desert [1-2 s] a cat"),
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
    ("prompt", "text"),
    [
        ("a castle at night", "castle"),
        ("the city wakes up", "city"),
        ("a man in an old city", "city"),
        ("a violin plays", "violin"),
        ("two red balls bounce", "bounce"),
        ("two red balls bounce", "balls"),
    ],
)
def test_where_the_sentence_would_break_nothing_is_offered(prompt: str, text: str) -> None:
    assert swaps(prompt, entity(prompt, text), KNOWS) == []


def test_only_whole_words_count_as_said() -> None:
    prompt = "a red ball on a string"
    assert {"bear", "ring", "pig"} <= {each.phrase for each in swaps(prompt, entity(prompt, "ball"), KNOWS)}
    assert "cube" not in [each.phrase for each in swaps("a ball and a cube", entity("a ball and a cube", "ball"), KNOWS)]


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("[0-1 s] a dog on grass [1-2 s] a cat", "grass", "[0-1 s] a dog [1-2 s] a cat"),
        ("a cat on grass\n\nslow", "grass", "a cat\n\nslow"),
        ("a city, a dog", "city", None),
        ("the ball is red", "red", None),
        ('a girl says "hello there"', "hello there", None),
        ("a cat ,  on grass, slow", "grass", "a cat , slow"),
        (BOUNCE, "bouncing", "A red ball on grass, with drums"),
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
