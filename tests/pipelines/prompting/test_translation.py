"""Prompts said in English by a translator: what stays as it is, and the three kinds of models with their codes of languages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipelines.contract import InvalidRequest, ModelNotFound
from pipelines.prompting.languages import BY_CODE, language_named, spoken
from pipelines.prompting.translation import translated
from pipelines.prompting.translation_model import TranslationModel
from tests.twins import instruction_twin, m2m100_twin, marian_twin, nllb_twin

PAIRS = [("une balle rouge", "a red ball"), ("un chat noir danse", "a black cat dances")]
FRENCH = BY_CODE["fr"]


class Shouts:
    """A translator of which one sees what it was given."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def translate(self, sentences: tuple[str, ...], language: str) -> tuple[str, ...]:
        self.given += sentences
        return tuple(sentence.upper() for sentence in sentences)


@pytest.mark.parametrize(
    ("prompt", "said", "given"),
    [
        ("un chat danse", "UN CHAT DANSE", ["un chat danse"]),
        ("un chat danse. il saute !", "UN CHAT DANSE. IL SAUTE !", ["un chat danse.", "il saute !"]),
        ('un chat dit : "Bonjour toi" et saute', 'UN CHAT DIT : "Bonjour toi" ET SAUTE', ["un chat dit :", "et saute"]),
        ("un chat, zxq-style, la nuit", "UN CHAT, zxq-style, LA NUIT", ["un chat,", ", la nuit"]),
        ("[0-1 s] un chat [1-2 s] un chien", "[0-1 s] UN CHAT [1-2 s] UN CHIEN", ["un chat", "un chien"]),
        ("「こんにちは」", "「こんにちは」", []),
        ("12 345", "12 345", []),
    ],
)
def test_what_is_protected_stays_where_it_is(prompt: str, said: str, given: list[str]) -> None:
    translator = Shouts()
    assert translated(prompt, FRENCH, translator, ("zxq-style",)) == said and translator.given == given


def test_english_is_left_alone() -> None:
    translator = Shouts()
    assert translated("a cat", BY_CODE["en"], translator) == "a cat" and not translator.given


def test_sentences_without_spaces_get_some() -> None:
    assert translated("赤い球。青い球。", BY_CODE["ja"], Shouts()) == "赤い球。 青い球。"


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("a red ball", "en"), ("une balle rouge sur l'herbe", "fr"), ("красный мяч", "ru"), ("червоний м'яч і кіт", "uk"),
        ("빨간 공", "ko"), ("كرة حمراء", "ar"), ("توپ قرمز پرید", "fa"), ("כדור אדום", "he"), ("μια κόκκινη μπάλα", "el"),
        ("लाल गेंद", "hi"), ("ลูกบอลสีแดง", "th"), ("赤いボール", "ja"), ("红色的球", "zh"), ('a cat says "привет"', "en"),
    ],
)  # fmt: skip
def test_the_language_is_found_out(prompt: str, code: str) -> None:
    assert spoken(prompt).code == code


def test_a_language_has_to_be_known() -> None:
    with pytest.raises(InvalidRequest, match="language is 'xx'; use one of en, fr"):
        language_named("xx")


@pytest.mark.parametrize("build", [marian_twin, m2m100_twin, nllb_twin])
def test_each_kind_of_model_translates(build: Callable[[Path, Sequence[tuple[str, str]]], Path], tmp_path: Path) -> None:
    model = TranslationModel.load(str(build(tmp_path, PAIRS)), "cpu")
    given = tuple(french for french, _ in PAIRS)
    said = model.translate(given, "fr", seconds=30)
    assert said == tuple(english for _, english in PAIRS) == model.translate(given, "fr", seconds=30)
    with pytest.raises(InvalidRequest, match="prompt is too long for the translator"):
        model.translate(("balle " * 100,), "fr", seconds=30)
    with pytest.raises(InvalidRequest, match="came to no end"):
        model.translate(given, "fr", seconds=1e-6)


def test_a_marian_model_reads_its_own_language_only(tmp_path: Path) -> None:
    model = TranslationModel.load(str(marian_twin(tmp_path / "fr", PAIRS)), "cpu")
    with pytest.raises(InvalidRequest, match="language is German, but the translator fr reads French"):
        model.translate(("ein Ball",), "de", seconds=30)
    several = TranslationModel.load(str(marian_twin(tmp_path / "roa", PAIRS, source="ROMANCE", target="eng")), "cpu")
    assert several.translate(("une balle rouge",), "fr", seconds=30) == ("a red ball",)
    with pytest.raises(ModelNotFound, match="translator de does not translate into English"):
        TranslationModel.load(str(marian_twin(tmp_path / "de", PAIRS, target="de")), "cpu")


def test_other_kinds_of_models_are_refused(tmp_path: Path) -> None:
    folder = instruction_twin(tmp_path / "chat", [("a", "b", "c")])
    with pytest.raises(ModelNotFound, match="translator chat is of the kind 'llama': choose a Marian, M2M100 or NLLB model"):
        TranslationModel.load(str(folder), "cpu")
