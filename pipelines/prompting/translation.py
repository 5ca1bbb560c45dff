"""A prompt in another language said in English, by a translator or in the words that a small model knows. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from pipelines.contract import MAX_PROMPT_CHARACTERS, InvalidRequest
from pipelines.prompting.exchange import Translator
from pipelines.prompting.kinds import Analysis, Entity, EntityKind
from pipelines.prompting.languages import Language
from pipelines.prompting.reading import QUOTED, analyse
from pipelines.prompting.timeline import marks_of
from pipelines.vocabulary import Vocabulary

_SENTENCE = re.compile(r"(?<=[.!?;])(\s+)(?=\S)|(?<=[。！？])(\s*)(?=\S)")

_AFTER_A_COMMA = ("sound", "ambience", "camera", "look")


def translated(prompt: str, language: Language, translator: Translator, keep: Sequence[str] = ()) -> str:
    """``prompt`` in English; quoted speech, the words of ``keep`` and time stamps stay as they are and where they are.

    What stands between those is translated sentence by sentence. Raises what the translator raises, or ``InvalidRequest``.
    """
    if language.code == "en":
        return prompt
    pieces = _pieces(prompt, keep)
    foreign = [at for at, (piece, is_held) in enumerate(pieces) if not is_held and re.search(r"[^\W\d_]", piece)]
    if not foreign:
        return prompt
    said = translator.translate(tuple(pieces[at][0].strip() for at in foreign), language.code)
    words = [piece for piece, _ in pieces]
    for at, sentence in zip(foreign, said, strict=True):
        piece = words[at]
        begin, end = len(piece) - len(piece.lstrip()), len(piece.rstrip())
        words[at] = piece[:begin] + " ".join(sentence.split()) + (piece[end:] or " " * (at + 1 < len(words)))
    text = "".join(words).rstrip()
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise InvalidRequest(f"prompt is over {MAX_PROMPT_CHARACTERS:,} characters in English: shorten it.", field="prompt")
    return text


def _pieces(prompt: str, keep: Sequence[str]) -> list[tuple[str, bool]]:
    """``prompt`` cut into what must stay as it is (true) and sentences, or what is between; joined they are the prompt."""
    held = [match.span() for match in QUOTED.finditer(prompt)] + [mark.span() for mark in marks_of(prompt)]
    for word in filter(str.strip, keep):
        held += [match.span() for match in re.finditer(re.escape(word), prompt)]
    pieces: list[tuple[str, bool]] = []
    at = 0
    for start, end in [*sorted(held), (len(prompt), len(prompt))]:
        if start < at:
            continue  # inside another
        cuts = [at, *(at + match.end() for match in _SENTENCE.finditer(prompt[at:start])), start]
        pieces += [(prompt[a:b], False) for a, b in pairwise(cuts) if a < b]
        pieces.append((prompt[start:end], True))
        at = end
    return [piece for piece in pieces if piece[0]]


def in_words_of(prompt: str, vocabulary: Vocabulary, keep: Sequence[str] = ()) -> str | None:
    """``prompt`` in the plainest phrases of ``vocabulary``; ``None`` if it is English or names nothing that the model knows.

    Quoted speech is taken over as it is, and so are those of ``keep`` that the prompt holds.
    """
    analysis = analyse(prompt)
    if analysis.language == "en":
        return None
    said = [_subjects(analysis, vocabulary), _phrases(analysis, vocabulary, "action")[:1], _places(analysis, vocabulary)]
    words = [word for part in said for word in part]
    if not words:
        return None
    tail = [phrase for kind in _AFTER_A_COMMA for phrase in _phrases(analysis, vocabulary, kind)[:1]]
    quotes = [f'saying "{each.text}"' for each in analysis.of(EntityKind.SPEECH)]
    triggers = [word for word in keep if word in prompt]
    return ", ".join([" ".join(words), *tail, *quotes, *triggers])


def _known(entity: Entity, vocabulary: Vocabulary) -> str | None:
    if entity.concept is None:
        return None
    kind, concept = entity.concept
    phrases = vocabulary.knows.get(kind, {}).get(concept)
    return phrases[0] if phrases else None


def _phrases(analysis: Analysis, vocabulary: Vocabulary, kind: str) -> list[str]:
    """What the prompt names of one kind of the world, each once."""
    named = [_known(each, vocabulary) for each in analysis.entities if each.concept and each.concept[0] == kind]
    return list(dict.fromkeys(phrase for phrase in named if phrase))


def _places(analysis: Analysis, vocabulary: Vocabulary) -> list[str]:
    return _phrases(analysis, vocabulary, "place")[:2]


def _subjects(analysis: Analysis, vocabulary: Vocabulary) -> list[str]:
    """``a red ball and a cat``: each colour goes with the subject that it stands nearest to."""
    subjects = [each for each in analysis.of(EntityKind.SUBJECT) if _known(each, vocabulary)]
    colours: dict[Entity, str] = {}
    for colour in analysis.of(EntityKind.COLOUR):
        word = _known(colour, vocabulary)
        if word and subjects:
            nearest = min(subjects, key=lambda each: min(abs(each.start - colour.end), abs(colour.start - each.end)))
            colours.setdefault(nearest, word)
    named = []
    for subject in subjects:
        words = " ".join(word for word in (colours.get(subject), _known(subject, vocabulary)) if word)
        named.append(f"{'an' if words[0] in 'aeio' else 'a'} {words}")
    return [" and ".join(dict.fromkeys(named))] if named else []
