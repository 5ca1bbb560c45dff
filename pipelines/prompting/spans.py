"""Where the words of a lexicon are in a text, and which of several meanings they have there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.prompting.kinds import EntityKind
from pipelines.prompting.lexicon import WORD, Lexicon, Meaning, Phrase


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DETERMINERS = _set(
    "a an the two three four five six seven several many some his her its their my our your this that these those one"
)
_BEFORE_A_PLACE = _set("in into inside at through across over above onto on near beside behind under past along")
# What ends a run of words that no lexicon has, and last words of such runs that name nothing to be seen.
_STOPS = (
    _DETERMINERS
    | _BEFORE_A_PLACE
    | _set(
        "of and or with from to by for as while who which is are was that then than up down out off after before against "
        "around between toward towards where when same only very at"
    )
)
_NO_THINGS = _set(
    "end voice air way side middle top bottom back front background foreground camera style shot scene clip video look "
    "frame bit lot beat rhythm moment second time distance sound tone"
)
_NOUNS = frozenset({EntityKind.SUBJECT, EntityKind.PLACE})


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int


class Unspaced:
    """Japanese and Chinese: the longest phrase that begins at each letter."""

    def __init__(self, held: Lexicon, text: str) -> None:
        self._held, self._text = held, text.lower()

    def has(self, phrases: frozenset[Phrase]) -> bool:
        """Whether the text holds one of ``phrases``."""
        return any(phrase[0] in self._text for phrase in phrases)

    def found(self) -> Iterator[tuple[int, int, Meaning]]:
        """Start and end of every phrase that names an entity, in characters, and what it means."""
        at = 0
        while at < len(self._text):
            for length in range(min(self._held.longest, len(self._text) - at), 0, -1):
                meanings = self._held.phrases.get((self._text[at : at + length],))
                if meanings:
                    meaning = next((each for each in meanings if each.kind is EntityKind.SOUND), meanings[0])
                    if meaning.kind is not None:
                        yield at, at + length, meaning
                    at += length
                    break
            else:
                at += 1


class Spaced:
    """Languages with spaces between words: the longest phrase that begins at each word, then nouns that no lexicon has."""

    def __init__(self, held: Lexicon, text: str) -> None:
        self._held, self._text = held, text
        self._tokens = [_Token(match[0].lower(), *match.span()) for match in WORD.finditer(text)]

    def has(self, phrases: frozenset[Phrase]) -> bool:
        """Whether the text holds one of ``phrases``."""
        words = [token.text for token in self._tokens]
        runs = (tuple(words[at : at + length]) for at in range(len(words)) for length in (1, 2, 3))
        return any(run in phrases for run in runs)

    def found(self) -> Iterator[tuple[int, int, Meaning]]:
        """Start and end of every phrase that names an entity, in characters, and what it means."""
        spans = list(self._known())
        if self._held.language == "en":
            spans += self._guessed(spans)
        for first, last, meaning in spans:
            if meaning.kind is not None:
                yield self._tokens[first].start, self._tokens[last].end, meaning

    def _known(self) -> Iterator[tuple[int, int, Meaning]]:
        """First and last word of every phrase that is known, and what it means here."""
        at, before = 0, None
        while at < len(self._tokens):
            count, meanings = self._longest(at)
            if not count:
                at += 1
                continue
            meaning = self._meant(at, count, meanings, before)
            yield at, at + count - 1, meaning
            at += count
            before = (at - 1, meaning)

    def _longest(self, at: int) -> tuple[int, tuple[Meaning, ...]]:
        for count in range(min(self._held.longest, len(self._tokens) - at), 0, -1):
            last = self._tokens[at + count - 1]
            meanings = self._held.phrases.get(tuple(token.text for token in self._tokens[at : at + count]), ())
            if meanings and not re.match(r"-\w", self._text[last.end :]) and not self._is_split(at, count):
                return count, meanings
        stem = max((s for s in self._held.stems if self._tokens[at].text.startswith(s)), key=len, default=None)
        return (1, (self._held.stems[stem],)) if stem else (0, ())

    def _is_split(self, at: int, count: int) -> bool:
        """Whether a comma or a full stop lies between the words; ``3 a.m.`` has its own."""
        between = self._text[self._tokens[at].start : self._tokens[at + count - 1].end]
        return bool(re.search(r"[,;:!?]|\.\s", between))

    def _meant(self, at: int, count: int, meanings: tuple[Meaning, ...], before: tuple[int, Meaning] | None) -> Meaning:
        """Which of several meanings a phrase has between its neighbours: ``her cat watches`` and ``a gold watch``."""
        if len(meanings) == 1:
            return meanings[0]
        by_kind = {meaning.kind: meaning for meaning in meanings}
        action = by_kind.get(EntityKind.ACTION)
        after_a_noun = before is not None and before[1].kind in _NOUNS and self._only_adverbs(before[0] + 1, at)
        previous = self._tokens[at - 1].text if at else ""
        if action and (previous == "to" or after_a_noun) and previous not in _DETERMINERS:
            return action
        rest = [meaning for meaning in meanings if meaning is not action]
        place = by_kind.get(EntityKind.PLACE)
        if place and any(token.text in _BEFORE_A_PLACE for token in self._tokens[max(0, at - 2) : at]):
            return place
        sound, subject = by_kind.get(EntityKind.SOUND), by_kind.get(EntityKind.SUBJECT)
        if sound and subject:
            follows, known = self._longest(at + count) if at + count < len(self._tokens) else (0, ())
            return subject if follows and any(each.kind is EntityKind.ACTION for each in known) else sound
        return rest[0]

    def _only_adverbs(self, first: int, until: int) -> bool:
        between = self._text[self._tokens[first - 1].end : self._tokens[until].start]
        return not re.search(r"[,;:.!?]", between) and all(
            token.text.endswith("ly") or token.text in ("is", "are", "that", "who") for token in self._tokens[first:until]
        )

    def _guessed(self, known: list[tuple[int, int, Meaning]]) -> list[tuple[int, int, Meaning]]:
        """Nouns that no lexicon has: the last word of ``a ...`` before the next word that is known or the phrase's end."""
        taken = {at: meaning for first, last, meaning in known for at in range(first, last + 1)}
        found = []
        for at, token in enumerate(self._tokens):
            if token.text not in _DETERMINERS or at in taken:
                continue
            last = at
            while self._goes_on(last + 1, taken):
                last += 1
            follows = taken.get(last + 1)
            joined = last + 1 < len(self._tokens) and self._text[self._tokens[last].end : self._tokens[last + 1].start].isspace()
            if (
                last == at
                or self._tokens[last].text in _NO_THINGS
                or (joined and follows and follows.kind is not EntityKind.ACTION)
            ):
                continue
            is_place = at > 0 and self._tokens[at - 1].text in _BEFORE_A_PLACE
            found.append((last, last, Meaning(EntityKind.PLACE if is_place else EntityKind.SUBJECT)))
        return found

    def _goes_on(self, at: int, taken: dict[int, Meaning]) -> bool:
        if at >= len(self._tokens) or at in taken or self._tokens[at].text in _STOPS:
            return False
        return self._text[self._tokens[at - 1].end : self._tokens[at].start] in (" ", "-")
