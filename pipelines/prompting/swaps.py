"""What stands in a prompt, put into other words or taken out: an analysis that is edited instead of the sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.prompting.kinds import Entity, EntityKind

Knows = Mapping[str, Mapping[str, Sequence[str]]]
"""Phrases by kind and concept, the plainest first (``Vocabulary.knows``)."""

_KINDS = {
    EntityKind.SUBJECT: "subject",
    EntityKind.COLOUR: "colour",
    EntityKind.ACTION: "action",
    EntityKind.PLACE: "place",
    EntityKind.STYLE: "look",
    EntityKind.CAMERA: "camera",
    EntityKind.SOUND: "sound",
}
_BOUND = ("action", "camera")
_LED = ("place", "sound")  # these phrases begin with a word such as "on" or "to", and so may what they replace
_LEAD = re.compile(r"\b(in|on|at|over|under|above|below|by|near|through|across|along|into|to|with|of)\s+((the|a|an)\s+)?$", re.I)
_ARTICLE = re.compile(r"\b(a)n?(\s+)$", re.I)
_SENTENCE = re.compile(r"(^|[.!?]\s+)$")
_ENDS = re.compile(r"\s*[,.;:!?]|\s+(in|on|at|over|under|above|below|by|near|with|to|and|while|as|then)\b", re.I)
_GAPS = ((re.compile(r"[ \t]{2,}"), " "), (re.compile(r"\s+([,.;:!?])"), r"\1"), (re.compile(r",(\s*,)+"), ","))


@dataclass(frozen=True)
class Swap:
    """Another phrase for an entity, and the prompt with it."""

    phrase: str
    prompt: str


def swaps(prompt: str, entity: Entity, knows: Knows) -> list[Swap]:
    """The prompt with ``entity`` as everything else of its kind that a model knows, in the order of its vocabulary."""
    kind, said = _KINDS.get(entity.kind, ""), entity.text.lower()
    same = re.compile(rf"\b{re.escape(said)}\b")
    table = knows.get(kind, {})
    others = [phrases for phrases in table.values() if not any(map(same.search, phrases))]
    if kind in _BOUND and len(others) == len(table):  # a word that the sentence hangs on, such as "says"
        return []
    fresh = (phrase for phrase in (_in_form(said, phrases) for phrases in others) if phrase not in prompt)
    return [Swap(phrase, _put(prompt, entity, kind, phrase)) for phrase in fresh]


def without(prompt: str, entity: Entity) -> str | None:
    """The prompt with ``entity`` taken out, and with it the word that led to it, where that leads nowhere now.

    ``None`` for what everything else is said of.
    """
    if entity.kind is EntityKind.SUBJECT:
        return None
    before, after = prompt[: entity.start], prompt[entity.end :]
    if entity.kind is EntityKind.SPEECH:
        before, after = before[:-1], after[1:]
    elif (lead := _LEAD.search(before)) and (not after.strip() or _ENDS.match(after)):
        before = before[: lead.start()]
    elif article := _ARTICLE.search(before):
        before = _agreeing(before, article, after.lstrip())
    whole = before + after
    for pattern, instead in _GAPS:
        whole = pattern.sub(instead, whole)
    return whole.strip().strip(",;: ")


def _in_form(said: str, phrases: Sequence[str]) -> str:
    """The plainest phrase that bends as ``said`` does: bouncing or bounces."""
    first = said.partition(" ")[0]
    for ending in ("ing", "s"):
        if first.endswith(ending):
            return next((each for each in phrases if each.partition(" ")[0].endswith(ending)), phrases[0])
    return phrases[0]


def _put(prompt: str, entity: Entity, kind: str, phrase: str) -> str:
    before, after = prompt[: entity.start], prompt[entity.end :]
    if kind in _LED and (lead := _LEAD.search(before)):
        before = before[: lead.start()]
    elif article := _ARTICLE.search(before):
        before = _agreeing(before, article, phrase)
    if _SENTENCE.search(before):
        phrase = phrase[0].upper() + phrase[1:]
    return before + phrase + after


def _agreeing(before: str, article: re.Match[str], following: str) -> str:
    """``before`` with its last "a" or "an" as what follows wants it."""
    n = "n" if following[:1].lower() in tuple("aeiou") and not following.startswith("uni") else ""
    return before[: article.start()] + article[1] + n + article[2]
