"""What stands in an English prompt, put into other words or taken out: an analysis that is edited instead of the sentence.

Nothing is offered where the sentence would have to be written anew: better no chip than a broken prompt.
"""

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
_KNOWN_ONLY = ("action", "camera")  # others of these may be what the sentence hangs on, such as "says"
_LED = (EntityKind.PLACE, EntityKind.SOUND, EntityKind.TIME)
"""These follow a word such as "on" or "to", which the phrases of a vocabulary bring along."""
_ADJECTIVES = (EntityKind.COLOUR, EntityKind.EMOTION)
_PREPOSITIONS = (
    "in front of|next to|in|on|at|over|under|above|below|by|near|through|across|along|into|onto|to|with|from|beside|inside|"
    "outside|past|behind|around"
)
_LEAD = re.compile(rf"\b(?:{_PREPOSITIONS})\s+(?:(?:the|a|an)\s+)?$", re.I)
_LEADS_ITSELF = re.compile(rf"(?:{_PREPOSITIONS})\b", re.I)
_ENDS = re.compile(rf"\s*(?:$|[,.;:!?\[\])\n])|\s+(?:{_PREPOSITIONS}|and|while|as|then)\b", re.I)
_BEGINS = re.compile(r"(?:^|[,.;:!?\[\](\n])\s*$")
_SENTENCE = re.compile(r"(?:^|[.!?\]\n])\s*$")
_ARTICLE = re.compile(r"\b(a)n?(\s+)$", re.I)


@dataclass(frozen=True)
class Swap:
    """Another phrase for an entity, and the prompt with it."""

    phrase: str
    prompt: str


def swaps(prompt: str, entity: Entity, knows: Knows) -> list[Swap]:
    """The prompt with ``entity`` as everything else of its kind that a model knows, in the order of its vocabulary."""
    kind, said = _KINDS.get(entity.kind, ""), entity.text.lower()
    table = knows.get(kind, {})
    others = {concept: phrases for concept, phrases in table.items() if not any(_holds(each, said) for each in phrases)}
    is_unknown = len(others) == len(table)
    if is_unknown and (kind in _KNOWN_ONLY or (kind == "subject" and said.endswith("s"))):
        return []
    if entity.kind in _LED and not _stands_alone(prompt, entity):
        return []
    found = []
    for phrases in others.values():
        phrase = _bent(said, phrases) if kind == "action" else phrases[0]
        if phrase and not _holds(prompt.lower(), phrase):
            found.append(Swap(phrase, _put(prompt, entity, phrase)))
    return found


def without(prompt: str, entity: Entity) -> str | None:
    """The prompt with ``entity`` taken out, and with it the word that led to it; ``None`` where the sentence needs it."""
    before, after = prompt[: entity.start], prompt[entity.end :]
    if entity.kind in _ADJECTIVES:
        if not re.match(r"\s+\w", after):
            return None
        article = _ARTICLE.search(before)
        return _joined(_agreeing(before, article, after.lstrip()) if article else before, after)
    if entity.kind in _LED and _stands_alone(prompt, entity):
        lead = _LEAD.search(before)
        return _joined(before[: lead.start()] if lead else before, after)
    is_clause = bool(_BEGINS.search(before) and re.match(r"\s*(?:$|[,.;:!?\n])", after))
    is_participle = entity.kind is EntityKind.ACTION and entity.text.partition(" ")[0].endswith("ing") and _ENDS.match(after)
    if (is_clause and entity.kind not in (EntityKind.SUBJECT, EntityKind.SPEECH)) or (is_participle and before.strip()):
        return _joined(before, after)
    return None


def _holds(text: str, words: str) -> bool:
    return re.search(rf"\b{re.escape(words)}\b", text) is not None


def _stands_alone(prompt: str, entity: Entity) -> bool:
    """Whether it is all that follows a preposition, or a clause of its own."""
    before, after = prompt[: entity.start], prompt[entity.end :]
    is_led = _LEAD.search(before) or _LEADS_ITSELF.match(entity.text) or _BEGINS.search(before)
    return bool(is_led and _ENDS.match(after))


def _bent(said: str, phrases: Sequence[str]) -> str | None:
    """The plainest phrase that bends as ``said`` does: bouncing or bounces; ``None`` where there is none."""
    ending = next((each for each in ("ing", "s") if said.partition(" ")[0].endswith(each)), None)
    return next((each for each in phrases if ending and each.partition(" ")[0].endswith(ending)), None)


def _put(prompt: str, entity: Entity, phrase: str) -> str:
    before, after = prompt[: entity.start], prompt[entity.end :]
    if entity.kind in _LED and (lead := _LEAD.search(before)):
        before = before[: lead.start()]
    elif article := _ARTICLE.search(before):
        before = _agreeing(before, article, phrase)
    if entity.text[:1].isupper() or (before != prompt[: entity.start] and _SENTENCE.search(before) and prompt[:1].isupper()):
        phrase = phrase[0].upper() + phrase[1:]
    return before + phrase + after


def _agreeing(before: str, article: re.Match[str], following: str) -> str:
    """``before`` with its last "a" or "an" as what follows wants it."""
    n = "n" if following[:1].lower() in tuple("aeiou") and not following.startswith("uni") else ""
    return before[: article.start()] + article[1] + n + article[2]


def _joined(before: str, after: str) -> str:
    """What is left and right of something that went, with one blank or comma between."""
    left, right = before.rstrip(" \t"), after.lstrip(" \t")
    if not left.rstrip(" ,;:"):
        return right.lstrip(" ,;:")
    if not right.strip(" ,;:"):
        return left.rstrip(" ,;:")
    if left[-1] in ",;:" and right[0] in ",;:":
        right = right[1:].lstrip(" \t")
    return left + right if right[0] in ",.;:!?\n" or left[-1] == "\n" else f"{left} {right}"
