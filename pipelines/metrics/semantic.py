"""Whether a clip shows and sounds like what its prompt names, for models that know certain words: the world's readers judge."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from pipelines.vocabulary import Vocabulary
from pipelines.world.words import SHAPES

_QUOTED = re.compile(r'"[^"]*"|“[^”]*”')
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LEAST_ROOT = 3
Named = dict[str, tuple[str, ...]]
"""Concepts that a prompt names, by kind."""


def named(prompt: str, vocabulary: Vocabulary) -> Named:
    """What ``prompt`` names of what the vocabulary knows, each word once and in the longest phrase that it is part of.

    Inflections count as the word itself; what is said in quotes is no concept.
    """
    tokens = [_stem(word) for word in _WORD.findall(_QUOTED.sub(" ", prompt).lower())]
    taken = [False] * len(tokens)
    found: dict[str, list[str]] = {}
    for kind, concept, phrase in _phrases(vocabulary):
        for start in range(len(tokens) - len(phrase) + 1):
            place = slice(start, start + len(phrase))
            if tuple(tokens[place]) == phrase and not any(taken[place]):
                taken[place] = [True] * len(phrase)
                found.setdefault(kind, []).append(concept)
    return {kind: tuple(dict.fromkeys(concepts)) for kind, concepts in found.items()}


def _phrases(vocabulary: Vocabulary) -> list[tuple[str, str, tuple[str, ...]]]:
    """Every kind, concept and phrase in stems, the longest first."""
    every = {
        (kind, concept, tuple(_stem(word) for word in _WORD.findall(phrase.lower())))
        for kind, concepts in vocabulary.knows.items()
        for concept, phrases in concepts.items()
        for phrase in phrases
    }
    return sorted((each for each in every if each[2]), key=lambda each: (-len(each[2]), each))


def _stem(word: str) -> str:
    """A word without its inflection: ``bounces``, ``bouncing`` and ``bounce`` are one."""
    word = word.replace("’", "'").removesuffix("'s")
    for suffix in ("ing", "ed", "es", "s"):
        root = word.removesuffix(suffix)
        if root != word and len(root) >= _LEAST_ROOT:
            word = root[:-1] if root[-1] == root[-2] and suffix in ("ing", "ed") else root
            break
    return word.removesuffix("e") if len(word) > _LEAST_ROOT else word


def semantic_metrics(asked: Named, sure: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """``asked`` concepts against how sure the readers are of each class, 0..1, by kind; empty where nothing can be compared.

    A concept is read when it is among the likeliest of its kind, as many as are asked for. Colours are read of shapes alone.
    """
    if any(subject not in SHAPES for subject in asked.get("subject", ())):
        asked = {kind: concepts for kind, concepts in asked.items() if kind != "colour"}
    found: dict[str, float] = {}
    hits: list[bool] = []
    for kind, concepts in asked.items():
        wanted = [concept for concept in concepts if concept in sure.get(kind, {})]
        if not wanted:
            continue
        likeliest = sorted(sure[kind], key=lambda concept, kind=kind: -sure[kind][concept])[: len(wanted)]  # type: ignore[misc]
        hits += [concept in likeliest for concept in wanted]
        found[f"semantic.{kind}"] = float(np.mean([min(1.0, len(wanted) * sure[kind][concept]) for concept in wanted]))
    return found | {"semantic.match": float(np.mean(hits))} if hits else {}
