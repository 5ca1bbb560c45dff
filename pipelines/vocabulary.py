"""The words that a model knows, and which words of a prompt are not among them. Standard library only.

A model that was trained on a small world carries ``words.json``: what it knows, by kind; the words that hold prompts together;
and for words that people type all the same, the nearest that it knows. Models without that file take any words.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

FILE = "words.json"
_LATIN = "A-Za-zÀ-ÖØ-öø-ɏ\u1e00-\u1eff"
# In this order: a time stamp; speech in any language's quotes, left open too; a run of another script; a word. Single quotes
# end soon or are apostrophes, so that the time a text takes grows with its length alone.
_PARTS = re.compile(
    r"\[ ?[\d:.]{1,12} ?s? ?(?:-|–|—|to) ?[\d:.]{1,12} ?(?:s|sec|seconds)? ?\]"
    r'|"[^"]*(?:"|\Z)|“[^”]*(?:”|\Z)|„[^“”]*(?:[“”]|\Z)|«[^»]*(?:»|\Z)|「[^」]*(?:」|\Z)'
    r"|(?<!\w)['‘][^'’\n]{1,200}(?:['’](?=\w)[^'’\n]{0,200}){0,4}['’](?!\w)"
    rf"|(?P<foreign>[^\W\d_{_LATIN}][^{_LATIN}\d\n.,;:!?\"“”«»「」。，、！？]*)"
    rf"|(?P<word>[{_LATIN}\d][{_LATIN}\d\u0300-\u036f]*(?:['’][{_LATIN}\d][{_LATIN}\d\u0300-\u036f]*)*)"
)
_SUFFIXES = ("ing", "ed", "es", "s")
_VERB = "-"  # marks what is left of a verb, so that "car" and "cared" stay apart
_GUESSED = 24  # words of one prompt that are compared with all others for typing errors: no page shows more
_LONGEST_GUESSED = 30


@dataclass(frozen=True)
class Unknown:
    """A word of a prompt that its model does not know: ``prompt[start:end]``, and the nearest that it does know."""

    word: str
    nearest: str | None
    start: int
    end: int


@dataclass(frozen=True)
class Vocabulary:
    """``knows`` is what the model knows, by kind and concept, each in several phrases; ``glue`` are words that never count;
    ``near`` maps words that the model lacks to phrases that it has.
    """

    knows: Mapping[str, Mapping[str, tuple[str, ...]]]
    glue: frozenset[str] = frozenset()
    near: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def in_folder(cls, folder: Path) -> Vocabulary | None:
        """The vocabulary that lies beside a model; ``None`` where there is none. Raises ``ValueError`` if it is damaged."""
        if not (folder / FILE).is_file():
            return None
        try:
            held = json.loads((folder / FILE).read_text(encoding="utf-8"))
            knows = {
                kind: {concept: tuple(map(str, phrases)) for concept, phrases in table.items()}
                for kind, table in held["knows"].items()
            }
            return cls(knows, frozenset(held["glue"]), {str(word): str(phrase) for word, phrase in held["near"].items()})
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{FILE} is damaged ({error!r})") from None

    def unknown(self, prompt: str) -> tuple[Unknown, ...]:
        """The words of ``prompt`` that the model does not know, in order, each once.

        Speech in quotes, time stamps, numbers and words that only hold a sentence together do not count, nor do plain
        inflections of known words (``balls``, ``bounced``). Another script is told by the run. Nearest are the phrase that the
        vocabulary names, else the known word with almost the same letters.
        """
        found: dict[str, Unknown] = {}
        guesses = _GUESSED
        for plain, nearest, start, end in self._strange(prompt):
            if plain in found:
                continue
            if nearest is None and guesses and len(plain) <= _LONGEST_GUESSED:
                guesses -= 1
                nearest = self._guess(plain)
            found[plain] = Unknown(prompt[start:end], nearest, start, end)
        return tuple(found.values())

    def _strange(self, prompt: str) -> Iterator[tuple[str, str | None, int, int]]:
        """What is not known, as often as it is there: in plain letters, what the vocabulary names for it, and where it is."""
        parts = [part for part in _PARTS.finditer(prompt) if part.lastgroup]
        plain = [part[0].lower().replace("’", "'") if part.lastgroup == "word" else "" for part in parts]
        judged: dict[str, str | None] = {}
        at = 0
        while at < len(parts):
            part, word = parts[at], plain[at]
            if not word:
                text = part[0].rstrip(" \t\r-–—()[]…'’")
                yield text, None, part.start(), part.start() + len(text)
            elif count := self._phrase_length(plain, at):
                phrase = " ".join(plain[at : at + count])
                if phrase not in self._whole:
                    yield phrase, self._near[phrase], part.start(), parts[at + count - 1].end()
                at += count - 1
            else:
                if word not in judged:
                    judged[word] = self._judge(word)
                nearest = judged[word]
                if nearest != word:
                    yield word, nearest, part.start(), part.end()
            at += 1

    def _judge(self, word: str) -> str | None:
        """``word`` itself when it is known or does not count, else what the vocabulary names for it, else ``None``."""
        if word in self.glue or word[0].isdigit():
            return self._near.get(word, word)
        for forms in ((word,), tuple(_forms(word))):
            if any(form in self._whole for form in forms):
                return word
            if named := next((self._near[form] for form in forms if form in self._near), None):
                return named
            if any(form in self._pieces for form in forms):
                return word
        return None

    def _guess(self, word: str) -> str | None:
        """The known word, or what stands for the unknown one, that this was probably meant to be."""
        for words, cutoff in ((self._guessable, 0.75 if len(word) > 4 else 0.8), (self._near, 0.85)):
            alike = [other for other in words if other[0] == word[0] and not other.endswith(_VERB)]
            if match := difflib.get_close_matches(word, alike, n=1, cutoff=cutoff):
                return self._near.get(match[0], match[0])
        return None

    def _phrase_length(self, plain: list[str], at: int) -> int:
        """How many words from ``at`` on make the longest phrase that is known, or named as near, as a whole."""
        for phrase in self._phrases_from.get(plain[at], ()):
            if tuple(plain[at : at + len(phrase)]) == phrase:
                return len(phrase)
        return 0

    @cached_property
    def _sayings(self) -> tuple[tuple[str, ...], ...]:
        """Every phrase that is known, in words."""
        return tuple(
            _words(phrase) for table in self.knows.values() for phrases in table.values() for phrase in phrases if _words(phrase)
        )

    @cached_property
    def _whole(self) -> frozenset[str]:
        """Known as they are, and what is left of known verbs."""
        single = [words[0] for words in self._sayings if len(words) == 1]
        return frozenset([*(" ".join(words) for words in self._sayings), *_stems(single)])

    @cached_property
    def _pieces(self) -> frozenset[str]:
        """Words that are known from phrases alone; ``near`` comes before them: ``black and white`` makes nothing black."""
        held = [word for words in self._sayings for word in words if word not in self.glue]
        return frozenset([*held, *_stems(held)])

    @cached_property
    def _near(self) -> Mapping[str, str]:
        named = {" ".join(_words(word)): phrase for word, phrase in self.near.items()}
        return {**{stem: phrase for word, phrase in named.items() for stem in _stems([word])}, **named}

    @cached_property
    def _phrases_from(self) -> Mapping[str, list[tuple[str, ...]]]:
        """Phrases of several words by the first of them, longest first."""
        found: dict[str, list[tuple[str, ...]]] = {}
        several = {words for words in (*self._sayings, *map(_words, self.near)) if len(words) > 1}
        for words in sorted(several, key=lambda words: (-len(words), words)):
            found.setdefault(words[0], []).append(words)
        return found

    @cached_property
    def _guessable(self) -> tuple[str, ...]:
        return tuple(sorted(word for word in self._pieces if len(word) > 2))


def _words(phrase: str) -> tuple[str, ...]:
    return tuple(part[0].lower().replace("’", "'") for part in _PARTS.finditer(phrase) if part.lastgroup == "word")


def _forms(word: str) -> Iterator[str]:
    """What ``word`` may be an inflection of: the noun of a plural, the plural of a noun, what is left of a verb."""
    word = word.removesuffix("'s")
    yield word
    yield f"{word}s"
    if word.endswith("ies"):
        yield f"{word[:-3]}y"
    if word.endswith("es"):
        yield word[:-2]
    if word.endswith("s"):
        yield word[:-1]
    yield word + _VERB
    yield from _roots(word)


def _stems(words: list[str]) -> Iterator[str]:
    """What is left of the verbs among ``words``, which the tables hold as ``bouncing``."""
    return (root for word in words if word.endswith("ing") for root in _roots(word))


def _roots(word: str) -> Iterator[str]:
    """``hopping`` as ``hopp-``, ``hoppe-`` and ``hop-``; three letters at least."""
    for suffix in _SUFFIXES:
        root = word.removesuffix(suffix)
        if root != word and len(root) > 2:
            yield root + _VERB
            yield f"{root}e{_VERB}"
            if root[-1] == root[-2]:
                yield root[:-1] + _VERB
