"""A prompt in another language said in the words that a small model knows. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.prompting.kinds import Analysis, Entity, EntityKind
from pipelines.prompting.reading import analyse
from pipelines.vocabulary import Vocabulary

_AFTER_A_COMMA = ("sound", "ambience", "camera", "look")


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
