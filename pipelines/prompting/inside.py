"""What can be added to a prompt for a model that knows certain words only: phrases of its vocabulary, and none else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from pipelines.prompting.kinds import EntityKind
from pipelines.prompting.lexicon import phrase_of
from pipelines.prompting.reading import QUOTED, analyse
from pipelines.vocabulary import Vocabulary

# The kinds of its words that each strategy adds, in the order in which they are written.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "detail": ("action", "place", "colour"),
    "cinematic": ("camera", "look"),
    "sound": ("sound", "ambience"),
}
# What the prompt says in any words, also in some that the model does not know, is said.
_TOLD_BY: Mapping[str, frozenset[EntityKind]] = {
    "action": frozenset({EntityKind.ACTION}),
    "place": frozenset({EntityKind.PLACE, EntityKind.TIME, EntityKind.WEATHER}),
    "colour": frozenset({EntityKind.COLOUR}),
    "camera": frozenset({EntityKind.CAMERA}),
    "look": frozenset({EntityKind.STYLE}),
    "sound": frozenset({EntityKind.SOUND, EntityKind.SPEECH}),
    "ambience": frozenset({EntityKind.SOUND}),
}
# Only these have a colour to choose in the world; animals and things have their own.
_TAKES_A_COLOUR = frozenset({"ball", "cube", "star", "triangle", "heart", "ring", "monster", "clay", "balloon"})
# Still and silent are the absence of what a strategy is asked to add.
_ABSENT = frozenset({"still", "silence", "flat", "standing still", "talking", "singing", "colliding"})


def additions(prompt: str, strategy: str, vocabulary: Vocabulary) -> list[str]:
    """A phrase of each kind that ``strategy`` adds and ``prompt`` lacks, always the same for the same prompt.

    Only phrases of which ``vocabulary`` knows every word.
    """
    words = phrase_of(QUOTED.sub(" ", prompt))
    named = {kind: list(_named(words, kind, vocabulary)) for kind in vocabulary.knows}
    told = {each.kind for each in analyse(prompt).entities}
    added = []
    for kind in _KINDS[strategy]:
        if kind not in vocabulary.knows or named[kind] or told & _TOLD_BY[kind] or not _wants(kind, named):
            continue
        phrase = _chosen(prompt, kind, vocabulary)
        if phrase and not vocabulary.unknown(phrase):
            added.append(phrase)
    return added


def lacks_words(strategy: str, vocabulary: Vocabulary) -> bool:
    """Whether the model has no words at all for what ``strategy`` adds."""
    return not any(vocabulary.knows.get(kind) for kind in _KINDS[strategy])


def _named(words: Sequence[str], kind: str, vocabulary: Vocabulary) -> Iterator[str]:
    """The concepts of one kind that a prompt names, also by the words that stand for them."""
    stands_for = {phrase_of(word): phrase for word, phrase in vocabulary.near.items()}
    runs = {tuple(words[at : at + length]) for at in range(len(words)) for length in range(1, 7)}
    runs |= {(*run[:-1], run[-1][:-1]) for run in runs if run and run[-1].endswith("s") and len(run[-1]) > 3}
    meant = {phrase_of(stands_for[run]) for run in runs if run in stands_for}
    for concept, phrases in vocabulary.knows[kind].items():
        said = {phrase_of(phrase) for phrase in phrases}
        # "in the sea" is there for "by the sea": what holds phrases together is not what they mean.
        core = {run for phrase in said for run in [tuple(word for word in phrase if word not in vocabulary.glue)] if run}
        if (said | core) & (runs | meant) or core & {_core(run, vocabulary) for run in meant}:
            yield concept


def _core(run: Sequence[str], vocabulary: Vocabulary) -> tuple[str, ...]:
    return tuple(word for word in run if word not in vocabulary.glue)


def _wants(kind: str, named: Mapping[str, Sequence[str]]) -> bool:
    if kind == "colour":
        subjects = named.get("subject", ())
        return len(subjects) == 1 and subjects[0] in _TAKES_A_COLOUR
    if kind == "ambience":  # music takes its place
        return not named.get("sound")
    return True


def _chosen(prompt: str, kind: str, vocabulary: Vocabulary) -> str | None:
    concepts = [concept for concept in vocabulary.knows[kind] if concept not in _ABSENT]
    if not concepts:
        return None
    digest = hashlib.sha256(f"{kind}\n{prompt}".encode()).digest()
    word = vocabulary.knows[kind][concepts[int.from_bytes(digest[:4], "big") % len(concepts)]][0]
    return f"its colour is {word}" if kind == "colour" else word
