"""A studio's fortnight of prompts, made up by rules and always the same: ``prompts.jsonl``, one request a line.

    python benchmarks/traces/prompts.py > benchmarks/traces/prompts.jsonl

Nobody's real prompts are in it. Six people, the first of them the busiest, sit down to work now and then. In a sitting they
follow a few ideas: mostly new ones, at times an example of the model or an idea they had before, the latest most likely. Of an
idea they try a few seeds, then change one thing about it, retake it with the same words, go back to one of the last words, or
give it times ("[0.0-1.0 s] ... [1.0-2.08 s] ..."), whose bound they may move again. Each has one negative prompt for everything,
most the empty one. A tenth of the sittings is with a fine-tuned model of their own, the others with pocket. And four times in the
fortnight a program puts a list of new prompts into the queue, each once.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

SITTINGS, PEOPLE, APART_S = 30, 6, 11 * 3600.0
LISTS, LISTED = 4, 60
EXAMPLES = (
    "a red ball bouncing on grass",
    "a yellow star dancing at night to drums",
    "a blue cube drifting right by the sea",
    "a pink heart growing in the snow",
    "a green triangle rising in the desert",
    "a purple ring shrinking at sunset",
)
NEGATIVES = ("", "", "", "", "blurry", "dull, noise")
WORDS: dict[str, tuple[str, ...]] = {
    "colour": ("red", "blue", "green", "yellow", "pink", "purple", "black", "white"),
    "subject": ("ball", "star", "cube", "heart", "ring", "cat", "dog", "fox", "bee", "duck", "owl", "car", "boat", "drum"),
    "action": (
        "bouncing", "spinning", "drifting right", "rolling", "rising", "falling", "growing", "shrinking", "dancing to drums",
        "standing still", "talking", "singing",
    ),
    "place": ("on grass", "at night", "by the sea", "in the desert", "in the snow", "at sunset", "in a forest", "in the city"),
    "extra": ("", "", ", camera panning left", ", camera zooming in", ", pixel art", ", sketch look", ", soft music", ", wind"),
}  # fmt: skip


@dataclass(frozen=True)
class Idea:
    """What somebody wants to see, in five parts."""

    colour: str
    subject: str
    action: str
    place: str
    extra: str

    def __str__(self) -> str:
        return f"a {self.colour} {self.subject} {self.action} {self.place}{self.extra}"

    @classmethod
    def new(cls, chance: random.Random) -> Idea:
        """Any."""
        return cls(**{part: chance.choice(words) for part, words in WORDS.items()})

    def changed(self, chance: random.Random) -> Idea:
        """With one part said otherwise."""
        part = chance.choice(tuple(WORDS))
        return replace(self, **{part: chance.choice(WORDS[part])})


def some(chance: random.Random, mean: float) -> int:
    """At least 1, ``mean`` more on average."""
    return 1 + int(chance.expovariate(1 / mean))


def rank(chance: random.Random, steepness: float, count: int) -> int:
    """0 is the likeliest of ``count``, by Zipf's law."""
    return min(int(chance.paretovariate(steepness)) - 1, count - 1)


def wordings(chance: random.Random, had: list[Idea]) -> Iterator[str]:
    """The prompts of one idea, one after another; ``had`` are the person's ideas, the latest last."""
    example = chance.random() < 0.15
    idea = had[-1 - rank(chance, 0.8, len(had))] if had and chance.random() < 0.3 else Idea.new(chance)
    prompt = EXAMPLES[rank(chance, 1.1, len(EXAMPLES))] if example else str(idea)
    for _ in range(some(chance, 4)):
        for _ in range(some(chance, 1.5)):
            yield prompt
        had.append(idea)
        way = chance.random()
        if way < 0.12:
            other = idea.changed(chance)
            for bound in chance.sample((0.7, 1.0, 1.3), min(some(chance, 0.5), 3)):
                yield f"[0.0-{bound} s] {idea} [{bound}-2.08 s] {other}"
        elif way < 0.25:
            yield prompt
        elif way < 0.4:
            idea = had[-1 - chance.randrange(min(len(had), 6))]
        else:
            idea = idea.changed(chance)
        prompt = str(idea)


def requests(seed: int = 7) -> list[dict[str, Any]]:
    """All of them, in the order in which they come."""
    chance = random.Random(seed)
    had: list[list[Idea]] = [[] for _ in range(PEOPLE)]
    made, begins = [], 0.0
    for _ in range(SITTINGS):
        person = rank(chance, 1.0, PEOPLE)
        begins += chance.expovariate(1 / APART_S)
        at_s, model = begins, "mine" if chance.random() < 0.1 else "pocket"
        for _ in range(some(chance, 3)):
            for prompt in wordings(chance, had[person]):
                at_s += chance.uniform(5, 120)
                made.append({"at_s": round(at_s), "model": model, "prompt": prompt, "negative_prompt": NEGATIVES[person]})
    for _ in range(LISTS):
        at_s = chance.uniform(0, begins)
        for _ in range(LISTED):
            at_s += chance.uniform(3, 5)
            made.append({"at_s": round(at_s), "model": "pocket", "prompt": str(Idea.new(chance)), "negative_prompt": ""})
    return sorted(made, key=lambda request: request["at_s"])


if __name__ == "__main__":
    for each in requests():
        print(json.dumps(each))
