"""What a model knows: words of prompts found, forgiven or told, in any writing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pipelines.contract import ModelNotFound
from pipelines.registry import ModelCatalogue, published_models, spec_from_folder
from pipelines.vocabulary import FILE, Unknown, Vocabulary

SMALL = Vocabulary(
    knows={
        "subject": {"ball": ("ball", "sphere"), "cherry": ("cherry",), "lantern": ("jack-o-lantern",), "car": ("car",)},
        "action": {"bouncing": ("bouncing", "hopping"), "flight": ("flying in circles",), "talking": ("talking",)},
        "place": {"night": ("at night",), "forest": ("in the woods", "among trees"), "city": ("in front of buildings",)},
        "look": {"noir": ("black and white",)},
        "ambience": {"sea": ("waves",)},
    },
    glue=frozenset({"a", "an", "and", "the", "at", "in", "of", "on", "to", "among"}),
    near={
        "skyscraper": "in front of buildings",
        "black": "ball",
        "jumping": "bouncing",
        "oil painting": "black and white",
        "3d": "ball",
    },
)


def told(prompt: str, vocabulary: Vocabulary = SMALL) -> list[tuple[str, str | None]]:
    unknown = vocabulary.unknown(prompt)
    assert all(prompt[each.start : each.end] == each.word for each in unknown)
    return [(each.word, each.nearest) for each in unknown]


def test_an_unknown_word_is_told_with_its_place_and_its_nearest() -> None:
    assert SMALL.unknown("a Skyscraper at night") == (Unknown("Skyscraper", "in front of buildings", 2, 12),)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " \n\t ",
        "A BALL, BOUNCING; AT NIGHT!",
        "balls and spheres and cherries",
        "the ball's car bounced, bounces, hopped and hops: bounce, hop, talk",
        "a wave in the wood among a tree",
        "12 balls at 1080p in 4k",
        "black-and-white balls",
        "a jack o lantern",
        "🎬 a ball 🌊",
        "flying",
    ],
)
def test_what_is_known_or_does_not_count(prompt: str) -> None:
    assert told(prompt) == []


def test_phrases_are_known_as_a_whole_and_their_words_may_stand_for_something_else_alone() -> None:
    assert told("black and white, a black car") == [("black", "ball")]
    assert told("an oil  painting of a ball") == [("oil  painting", "black and white")]
    assert told("3d") == [("3d", "ball")]


def test_inflections_of_words_that_have_a_nearest() -> None:
    assert told("skyscrapers and cars jump, jumped") == [
        ("skyscrapers", "in front of buildings"),
        ("jump", "bouncing"),
        ("jumped", "bouncing"),
    ]


def test_a_noun_has_no_verb_forms() -> None:
    assert told("cars, caring") == [("caring", None)]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("bal", "ball"), ("bouncng", "bouncing"), ("shpere", "sphere"), ("skyscaper", "in front of buildings"), ("xylophone", None)],
)
def test_typing_errors(typed: str, meant: str | None) -> None:
    assert told(f"a {typed} at night") == [(typed, meant)]


@pytest.mark.parametrize(
    "speech",
    [
        '"good evening, skyscraper"',
        "“guten Abend”",
        "„guten Abend“",
        "«bonsoir»",
        "「こんばんは」",
        "'it's a fine day'",
        "‘hello there’",
        '"not yet closed',
    ],
)
def test_speech_is_never_unknown(speech: str) -> None:
    assert told(f"a ball talking: {speech}") == []


def test_apostrophes_are_not_quotes() -> None:
    assert [word for word, _ in told("don't bounce 'til the ball's at Smith's")] == ["don't", "til", "Smith's"]


def test_each_word_is_told_once_in_order() -> None:
    assert [word for word, _ in told("zebra, yak and Zebra, yak, gnu")] == ["zebra", "yak", "gnu"]


def test_other_scripts_are_told_by_the_run() -> None:
    assert told("красный мяч прыгает, a ball 一个红色的球 at night हिन्दी") == [
        ("красный мяч прыгает", None),
        ("一个红色的球", None),
        ("हिन्दी", None),
    ]
    assert told("een bäll") == [("een", None), ("bäll", None)]


@pytest.mark.parametrize(
    "text",
    ["a ball at night " * 62_500, "skyscraper " * 91_000, "q" * 10**6, "'a " * 333_000, '"' * 10**6, "красный мяч, " * 77_000],
    ids=["known", "unknown", "one word", "open quotes", "double quotes", "other script"],
)
def test_a_megabyte_takes_seconds_at_most(text: str) -> None:
    began = time.process_time()
    assert len(SMALL.unknown(text)) <= 2
    assert time.process_time() - began < 15


def test_many_different_unknown_words_are_all_told_but_only_some_guessed() -> None:
    letters = "bcdfghjklmnpqrstvwxz"
    words = [f"{a}{b}{c}x" for a in letters for b in letters for c in letters]
    began = time.process_time()
    assert len(SMALL.unknown(" ".join(words))) == len(words)
    assert time.process_time() - began < 15


def test_the_file_beside_a_model(tmp_path: Path) -> None:
    assert Vocabulary.in_folder(tmp_path) is None
    (tmp_path / FILE).write_text(json.dumps({"knows": {"subject": {"ball": ["ball"]}}, "glue": ["a"], "near": {"orb": "ball"}}))
    read = Vocabulary.in_folder(tmp_path)
    assert read is not None and told("a ball, an orb", read) == [("an", None), ("orb", "ball")]
    for damaged in ("[]", "{}", "{", '{"knows": {"subject": []}, "glue": [], "near": {}}'):
        (tmp_path / FILE).write_text(damaged)
        with pytest.raises(ValueError, match=FILE):
            Vocabulary.in_folder(tmp_path)


def test_models_have_their_vocabulary_from_their_folder(tmp_path: Path) -> None:
    models = ModelCatalogue.with_folders({})
    pocket = models.get("pocket")
    assert pocket.has_vocabulary and FILE in pocket.sha256
    assert [each.nearest for each in pocket.unknown_words("a mountain bouncing at night")] == ["snow"]
    assert all(pocket.unknown_words(prompt) == () for prompt in pocket.examples)
    assert [spec.id for spec in published_models() if spec.has_vocabulary] == ["pocket", "pocket-fast", "pocket-world"]
    assert models.get("ltx-2").unknown_words("a skyscraper") == ()
    for part in ("vae/config.json", "transformer/config.json", "model_index.json"):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / part).write_text((Path(pocket.source) / part).read_text())
    assert not spec_from_folder("mine", tmp_path).has_vocabulary
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(ModelNotFound, match="json is damaged"):
        spec_from_folder("mine", tmp_path)
