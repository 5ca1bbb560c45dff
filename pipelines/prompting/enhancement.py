"""Prompts enhanced in four ways by rules and phrases: at once, offline, and for one prompt always the same.

Nothing that was written is ever changed: a strategy only writes on (or puts time stamps between sentences), and only what the
prompt lacks, so that enhancing twice adds nothing more. Which of several phrases is taken comes from the prompt's SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise
from typing import Any, Literal

from pipelines.contract import MAX_PROMPT_CHARACTERS, InvalidRequest
from pipelines.prompting import inside
from pipelines.prompting.difference import Piece, difference
from pipelines.prompting.kinds import Analysis, EntityKind, Intent
from pipelines.prompting.lexicon import FOLDER, WORD
from pipelines.prompting.reading import QUOTED, analyse
from pipelines.prompting.timeline import stamp, timeline_of
from pipelines.prompting.translation import in_words_of
from pipelines.vocabulary import Vocabulary


class Strategy(StrEnum):
    """What is added to a prompt."""

    DETAIL = "detail"
    """What the model wants and the prompt lacks: time, light, colour, texture."""
    CINEMATIC = "cinematic"
    """Camera, light and film."""
    SOUND = "sound"
    """What is heard, and when."""
    STRUCTURE = "structure"
    """Time stamps: a list of shots."""


@dataclass(frozen=True)
class Model:
    """What an enhancement needs to know of a model: its name, the only words that it knows (``None``: any), the clip's length."""

    title: str
    vocabulary: Vocabulary | None = None
    duration_s: float = 5.0


@dataclass(frozen=True)
class Enhancement:
    """A prompt before and after. ``note`` says in one sentence why nothing was added, where nothing was; ``engine`` who wrote."""

    strategy: Strategy
    original: str
    prompt: str
    language: str
    difference: tuple[Piece, ...]
    note: str | None = None
    engine: Literal["rules", "model"] = "rules"


COMPLETE = "There is nothing to add here: the prompt says all of it."
_FULL = f"The prompt is at its limit of {MAX_PROMPT_CHARACTERS:,} characters; shorten it to add anything."
_SHOT_S = 1.0  # no shot of a list is shorter
_SHOTS = 4


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# The clip's first or last moments, or a stretch of it.
_WHEN = re.compile(r"\b(first|begin\w*|start\w*|end|throughout|then|after|until|fades?|towards)\b|\d\s*s\b", re.IGNORECASE)
_NIGHT = frozenset({"night", "midnight", "dusk", "twilight", "nightfall", "nighttime", "blue hour", "3 a.m."})
_OUTSIDE = _set("street alley city town highway road crosswalk bridge square market rooftop station tokyo london paris")
_INDOORS = _set(
    "room bedroom kitchen bathroom house home office library hallway corridor attic basement cafe café bar diner restaurant "
    "hospital church classroom school museum gallery studio laboratory lab workshop garage apartment cabin ballroom "
    "theatre theater"
)


def enhance(prompt: str, strategy: Strategy, model: Model, keep: Sequence[str] = ()) -> Enhancement:
    """``prompt`` with what ``strategy`` adds for ``model``; quoted speech and the words of ``keep`` stay as they are.

    For a model with a vocabulary only words that it knows are added, and a prompt in another language is first said in them.
    Raises ``InvalidRequest`` for an empty prompt, or one whose time stamps cannot be read.
    """
    if not prompt.strip():
        raise InvalidRequest("prompt is empty: say what to see and hear.", field="prompt")
    if model.vocabulary:
        after, note = _inside(prompt.rstrip(), strategy, model, keep)
    elif strategy is Strategy.STRUCTURE:
        after, note = _structured(prompt.rstrip(), model.duration_s, keep, _for(phrases()["structure"], analyse(prompt))), None
    else:
        after, note = _written_on(prompt.rstrip(), _additions(prompt.rstrip(), strategy)), None
    if after == prompt.rstrip():
        after, note = prompt, note or (_FULL if len(prompt) > MAX_PROMPT_CHARACTERS - _ROOM else COMPLETE)
    return Enhancement(strategy, prompt, after, analyse(_own(prompt)).language, difference(prompt, after), note)


def _inside(prompt: str, strategy: Strategy, model: Model, keep: Sequence[str]) -> tuple[str, str | None]:
    """The enhanced prompt for a model that knows certain words only, and why nothing was added."""
    title, vocabulary = model.title, model.vocabulary
    assert vocabulary is not None
    said = in_words_of(prompt, vocabulary, keep)
    if said is None and analyse(prompt).language != "en":
        return prompt, f"{title} knows none of these words; say it in English, or choose a model that takes any words."
    base = said or prompt
    if strategy is Strategy.STRUCTURE:
        shots = _structured(base, model.duration_s, keep)
        return shots, f"{title} makes a shot of each sentence; write two or more." if shots == base else None
    if inside.lacks_words(strategy.value, vocabulary):
        return base, f"{title} knows no words for this; choose something else, or a model that takes any words."
    written = _written_on(base, inside.additions(base, strategy.value, vocabulary))
    return written, f"{title} knows no more words that go with these." if written == base else None


_ROOM = 160  # what the longest phrase takes: a slot is filled where the longest would fit, or never


@cache
def phrases() -> dict[str, Any]:
    """The phrases of every strategy by slot and circumstance, from ``assets/lexicon/phrases.json``."""
    held: dict[str, Any] = json.loads((FOLDER / "phrases.json").read_text(encoding="utf-8"))
    return held


@cache
def _slots_of() -> Mapping[str, frozenset[str]]:
    """Every phrase in lower case, with the slots that it fills: its own, and those of all that it names."""
    return {
        phrase.lower(): frozenset(
            {slot["slot"], *(each.kind.value for each in analyse(phrase).entities), *(["when"] if _WHEN.search(phrase) else [])}
        )
        for strategy in (Strategy.DETAIL, Strategy.CINEMATIC, Strategy.SOUND)
        for slot in phrases()[strategy.value]
        for choices in slot["say"].values()
        for phrase in choices
    }


def _own(prompt: str) -> str:
    """A prompt without what an enhancement wrote on: its language and its circumstances stay what they were."""
    lowered = prompt.lower()
    if len(lowered) != len(prompt):  # a few capitals have longer small letters
        return prompt
    for phrase in _slots_of():
        while (at := lowered.find(phrase)) >= 0:
            lowered, prompt = (text[:at] + text[at + len(phrase) :] for text in (lowered, prompt))
    return prompt if prompt.strip(" ,.") else lowered


def _additions(prompt: str, strategy: Strategy) -> list[str]:
    """A phrase for each slot of ``strategy`` that ``prompt`` leaves open, in order."""
    analysis = analyse(_own(prompt))
    room = MAX_PROMPT_CHARACTERS - len(prompt)
    filled = {slot for phrase, slots in _slots_of().items() if phrase in prompt.lower() for slot in slots}
    added: list[str] = []
    for slot in phrases()[strategy.value]:
        if slot["slot"] in filled or _is_filled(slot["slot"], analysis) or room < _ROOM:
            continue
        phrase = picked(_for(slot["say"], analysis), prompt, f"{strategy}/{slot['slot']}")
        added.append(phrase)
        filled |= _slots_of()[phrase.lower()]
        room -= len(phrase) + 2
    return added


def _is_filled(slot: str, analysis: Analysis) -> bool:
    if slot == "when":
        return bool(_WHEN.search(QUOTED.sub(" ", analysis.prompt)))
    if slot == "time" and {Intent.PRODUCT, Intent.ABSTRACT} & set(analysis.intents):
        return True  # a product and a pattern have no hour
    if slot == "sound" and Intent.MUSIC in analysis.intents:
        return True
    return bool(analysis.of(EntityKind(slot)))


def _for(say: Mapping[str, list[str]], analysis: Analysis) -> list[str]:
    """The phrases for the circumstances of a prompt; those for any where none are for these."""
    return next((say[name] for name in _circumstances(analysis) if name in say), say["any"])


def _circumstances(analysis: Analysis) -> list[str]:
    words = {word for each in analysis.of(EntityKind.PLACE) for word in WORD.findall(each.text.lower())}
    told = {
        "spoken": Intent.SPEECH in analysis.intents,
        "product": Intent.PRODUCT in analysis.intents,
        "night": any(each.text.lower() in _NIGHT for each in analysis.of(EntityKind.TIME)),
        "indoors": bool(words & _INDOORS),
        "city": bool(words & _OUTSIDE),
        "nature": Intent.NATURE in analysis.intents,
        "moving": Intent.ACTION in analysis.intents,
    }
    return [name for name, holds in told.items() if holds]


def picked(choices: Sequence[str], prompt: str, salt: str) -> str:
    """One of ``choices``, always the same for the same prompt."""
    digest = hashlib.sha256(f"{salt}\n{prompt}".encode()).digest()
    return choices[int.from_bytes(digest[:4], "big") % len(choices)]


def _written_on(prompt: str, additions: Sequence[str]) -> str:
    """``prompt`` and what is added: sentences after a full stop, else after commas."""
    text = prompt
    for phrase in additions:
        is_sentence = phrase[:1].isupper()
        ends = re.search(r"[.!?。！？…][\"”»」』“]?$", text) or re.search(r"[.!?][\"”»“]$", text)
        if ends:
            text = f"{text} {phrase[:1].upper()}{phrase[1:]}."
        elif is_sentence:
            text = f"{text}. {phrase}."
        else:
            text = f"{text}{'' if text.endswith((',', ';', ':')) else ','} {phrase}"
    return text if len(text) <= MAX_PROMPT_CHARACTERS else prompt


def _structured(prompt: str, duration_s: float, keep: Sequence[str], going_on: Sequence[str] = ()) -> str:
    """``prompt`` as a list of shots: its sentences share the clip's time; a single one is followed by some of ``going_on``."""
    if timeline_of(prompt) is not None:
        return prompt
    most = max(1, min(_SHOTS, int(duration_s / _SHOT_S)))
    shots = _grouped(_sentences(prompt, keep), most)
    if len(shots) == 1 and (most == 1 or not going_on):
        return prompt
    if len(shots) == 1:
        first = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:2], "big") % (len(going_on) - 1)
        shots += going_on[first : first + most - 1]
    length = duration_s / len(shots)
    text = " ".join(f"{stamp(at * length, (at + 1) * length)} {shot}" for at, shot in enumerate(shots))
    return text if len(text) <= MAX_PROMPT_CHARACTERS else prompt


def _sentences(prompt: str, keep: Sequence[str]) -> list[str]:
    """The sentences of a prompt, never cut inside quoted speech or one of ``keep``."""
    guarded = QUOTED.sub(lambda match: "x" * len(match[0]), prompt)
    for word in filter(None, keep):
        guarded = guarded.replace(word, "x" * len(word))
    cuts = [match.end() for match in re.finditer(r"[.!?;]\s+(?=\S)|[。！？]\s*(?=\S)", guarded)]
    return [prompt[a:b].strip() for a, b in zip([0, *cuts], [*cuts, len(prompt)], strict=True)]


def _grouped(sentences: list[str], most: int) -> list[str]:
    """At most ``most`` groups of neighbouring sentences, as even as can be."""
    count = min(most, len(sentences))
    edges = [round(at * len(sentences) / count) for at in range(count + 1)]
    return [" ".join(sentences[a:b]) for a, b in pairwise(edges)]
