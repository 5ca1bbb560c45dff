"""The words of six languages and what they stand for, from ``assets/lexicon/*.json``. Standard library only.

English is written as dictionary forms and inflected here; the others name their forms (``hüpf*`` is every word that begins
so) and, for what the embedded model's world has, the concept that they mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.prompting.kinds import EntityKind, Intent

FOLDER = Path(__file__).parent.parent.parent / "assets" / "lexicon"
LANGUAGES = ("en", "fr", "de", "es", "ja", "zh")
UNSPACED = frozenset({"ja", "zh"})  # written without spaces: words are found by their letters alone
WORD = re.compile(r"[^\W_]+")
Phrase = tuple[str, ...]

# What the kinds of the world's words are in a prompt; the rest says how, and is no entity of its own.
_OF_WORLD = {
    "subject": EntityKind.SUBJECT,
    "colour": EntityKind.COLOUR,
    "action": EntityKind.ACTION,
    "place": EntityKind.PLACE,
    "camera": EntityKind.CAMERA,
    "look": EntityKind.STYLE,
    "sound": EntityKind.SOUND,
    "ambience": EntityKind.SOUND,
}
# Places of the world that people would call a time.
_TIMES = frozenset({"night", "sunset"})
_SNOW = frozenset({"neige", "schnee", "nieve", "雪", "wind", "vent", "viento", "风"})
_VOWELS = "aeiou"


@dataclass(frozen=True)
class Meaning:
    """What a phrase stands for: ``kind`` in a prompt (``None`` for words that only the translation reads), the concept of
    the world where it has one, and what sort of action it is: moving, still, speaking or singing.
    """

    kind: EntityKind | None
    concept: tuple[str, str] | None = None
    manner: str = ""


@dataclass(frozen=True)
class Lexicon:
    """One language. ``phrases`` in lower case, words apart (one string in Japanese and Chinese); ``stems`` are beginnings."""

    language: str
    glue: frozenset[str]
    phrases: Mapping[Phrase, tuple[Meaning, ...]]
    stems: Mapping[str, Meaning]
    cues: Mapping[Intent, frozenset[Phrase]]
    longest: int


@cache
def lexicon(language: str) -> Lexicon:
    """The words of ``language``, one of ``LANGUAGES``; read once. Raises ``OSError`` or ``ValueError`` for a damaged file."""
    held = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    apart = _whole if language in UNSPACED else phrase_of
    found: dict[Phrase, list[Meaning]] = {}
    stems: dict[str, Meaning] = {}
    for form, meaning in _entries(held):
        if form.endswith("*"):
            stems[form[:-1].lower()] = meaning
        else:
            known = found.setdefault(apart(form), [])
            if all(each.kind is not meaning.kind for each in known):
                known.append(meaning)
            elif meaning.concept:  # what the world calls it is never lost
                known[:] = [meaning if each.kind is meaning.kind and not each.concept else each for each in known]
    cues = {Intent(name): frozenset(apart(form) for form in _listed(forms)) for name, forms in held["cue"].items()}
    phrases = {phrase: tuple(meanings) for phrase, meanings in found.items()}
    longest = max(len(phrase[0]) if language in UNSPACED else len(phrase) for phrase in phrases)
    return Lexicon(language, frozenset(held["glue"]), phrases, stems, cues, longest)


def phrase_of(text: str) -> Phrase:
    """A text in words as they are compared: lower case, without hyphens and apostrophes."""
    return tuple(WORD.findall(text.lower()))


def _whole(text: str) -> Phrase:
    return (text.lower(),)


def _listed(forms: str) -> list[str]:
    return [form.strip() for form in forms.split(",") if form.strip()]


def _entries(held: Mapping[str, Any]) -> Iterator[tuple[str, Meaning]]:
    """Every form of a file, with what it stands for; what comes first is meant first."""
    for kind, forms in held.get("phrase", {}).items():
        yield from ((form, Meaning(EntityKind(kind))) for form in _listed(forms))
    for kind, forms in held.get("noun", {}).items():
        for noun in _listed(forms):
            yield from ((form, Meaning(EntityKind(kind))) for form in _numbers(noun, held["plural"]))
    for manner, forms in held.get("verb", {}).items():
        for verb in _listed(forms):
            yield from ((form, Meaning(EntityKind.ACTION, manner=manner)) for form in _tenses(verb, held["irregular"]))
    for kind, table in held.get("labels", {}).items():
        for concept, forms in table.items():
            yield from ((form, _of_world(kind, concept, form)) for form in _listed(forms))
    for kind, forms in held.get("more", {}).items():
        manner = "moving" if kind == EntityKind.ACTION else ""
        yield from ((form, Meaning(EntityKind(kind), manner=manner)) for form in _listed(forms))


_MANNERS = {"talking": "speaking", "singing": "singing", "standing still": "still"}


def _of_world(kind: str, concept: str, form: str) -> Meaning:
    read_as = _OF_WORLD.get(kind)
    if kind == "place" and concept in _TIMES:
        read_as = EntityKind.TIME
    elif form in _SNOW:
        read_as = EntityKind.WEATHER
    return Meaning(read_as, (kind, concept), _MANNERS.get(concept, "moving") if kind == "action" else "")


def _numbers(noun: str, plural: Mapping[str, str]) -> Iterator[str]:
    """A noun and its plural."""
    yield noun
    if noun in plural:
        yield plural[noun]
    elif re.search(r"(s|x|z|ch|sh)$", noun):
        yield f"{noun}es"
    elif noun[-1] == "y" and noun[-2:-1] not in _VOWELS:
        yield f"{noun[:-1]}ies"
    else:
        yield f"{noun}s"


def _tenses(verb: str, irregular: Mapping[str, str]) -> Iterator[str]:
    """A verb, perhaps with what belongs to it (``stand still``), as it is, as ``-s``, ``-ing`` and ``-ed``."""
    yield verb
    yield from _listed(irregular.get(verb, ""))
    first, space, rest = verb.partition(" ")
    root = first[:-1] if first.endswith("e") and not first.endswith(("ee", "ye", "oe")) else first
    if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", first) or first in ("unzip", "begin"):
        root = first + first[-1]
    plain = root if first.endswith("e") or root != first else first
    past = f"{first[:-1]}ied" if first[-1] == "y" and first[-2] not in _VOWELS else f"{plain}ed"
    third = next(iter(list(_numbers(first, {}))[1:]))
    for form in (third, f"{plain}ing", past):
        yield f"{form}{space}{rest}"
