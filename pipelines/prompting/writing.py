"""Prompts said more fully by an instruction model instead of rules: what it is told, and what of its answer is taken.

Standard library only: where the model runs is the ``Writer``'s business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise

from pipelines.contract import MAX_PROMPT_CHARACTERS, InvalidRequest
from pipelines.prompting.cleaning import cleaned
from pipelines.prompting.difference import difference
from pipelines.prompting.enhancement import COMPLETE, Enhancement, Model, Strategy
from pipelines.prompting.exchange import Writer
from pipelines.prompting.languages import spoken
from pipelines.prompting.lexicon import FOLDER
from pipelines.prompting.protection import Protected, protected, refused, restored
from pipelines.prompting.timeline import Timeline, stamp, timeline_of
from pipelines.vocabulary import Vocabulary

_WORDS, _WORDS_A_SHOT = 120, 40
_SHOT_S, _SHOTS = 1.0, 4
_NAMED = 5


@cache
def instructions() -> Mapping[str, str]:
    """What the model is told, from ``assets/lexicon/instructions.json``."""
    held: dict[str, str] = json.loads((FOLDER / "instructions.json").read_text(encoding="utf-8"))
    return held


def rewritten(prompt: str, strategy: Strategy, model: Model, writer: Writer, keep: Sequence[str] = ()) -> Enhancement:
    """``prompt`` as ``writer`` says it more fully; quoted speech, the words of ``keep`` and time stamps stay as they are.

    Raises ``InvalidRequest`` for an empty prompt and for an answer that does not keep them, or what the writer raises.
    """
    base = prompt.strip()
    if not base:
        raise InvalidRequest("prompt is empty: say what to see and hear.", field="prompt")
    held, before = protected(base, keep), timeline_of(base)
    if strategy is Strategy.STRUCTURE and before is not None:
        return Enhancement(strategy, prompt, prompt, spoken(prompt).code, difference(prompt, prompt), COMPLETE, "model")
    answer = writer.write(_system(strategy, model, held), f"user prompt: {base}")
    text = cleaned(answer.text, answer.is_whole)
    if not text:
        raise refused("wrote nothing that can be used")
    text = restored(text, held, may_time=strategy is Strategy.STRUCTURE)
    if strategy is Strategy.STRUCTURE:
        text = _timed(text, model.duration_s)
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise refused(f"wrote more than {MAX_PROMPT_CHARACTERS:,} characters")
    if model.vocabulary is not None:
        _check_words(base, text, model.title, model.vocabulary)
    after, note = (prompt, COMPLETE) if text == base else (text, None)
    return Enhancement(strategy, prompt, after, spoken(prompt).code, difference(prompt, after), note, "model")


def _system(strategy: Strategy, model: Model, held: Protected) -> str:
    """Everything that the model is told before it sees the prompt."""
    told, shots = instructions(), _shots(model.duration_s)
    words = _WORDS_A_SHOT * shots if strategy is Strategy.STRUCTURE else _WORDS
    example = " ... ".join(
        stamp(at * model.duration_s / shots, (at + 1) * model.duration_s / shots) for at in range(min(2, shots))
    )
    parts = [
        told["every"].format(words=words),
        told[strategy.value].format(shots=shots, example=example, duration=model.duration_s),
    ]
    if held.words:
        parts.append(told["keep"].format(keep=", ".join(held.words)))
    if held.stamps:
        parts.append(told["stamps"].format(stamp=held.stamps[0]))
    if model.vocabulary is not None:
        known = [phrases[0] for concepts in model.vocabulary.knows.values() for phrases in concepts.values()]
        parts.append(told["vocabulary"].format(known=", ".join(dict.fromkeys(known))))
    return " ".join(parts)


def _shots(duration_s: float) -> int:
    return max(1, min(_SHOTS, int(duration_s / _SHOT_S)))


def _timed(text: str, duration_s: float) -> str:
    """``text`` with its time stamps drawn out to fill the clip without a gap. Raises ``InvalidRequest`` where it has none."""
    try:
        timeline = timeline_of(text)
    except InvalidRequest:
        raise refused("wrote times that contradict one another") from None
    if timeline is None:
        raise refused("wrote no times")
    return _stamped(timeline, duration_s)


def _stamped(timeline: Timeline, duration_s: float) -> str:
    shots = timeline.segments
    edges = [0.0, *(shot.start_s for shot in shots[1:]), shots[-1].end_s]
    scaled = [round(edge * duration_s / edges[-1], 1) for edge in edges[:-1]] + [duration_s]
    if any(end <= start for start, end in pairwise(scaled)):
        raise refused("wrote shots that are too short")
    text = " ".join(f"{stamp(*ends)} {shot.text}" for ends, shot in zip(pairwise(scaled), shots, strict=True))
    return f"{timeline.preamble} {text}".strip()


def _check_words(before: str, after: str, title: str, vocabulary: Vocabulary) -> None:
    """Raises ``InvalidRequest`` where a model with a vocabulary would be told words that it does not know."""
    had = {each.word.lower() for each in vocabulary.unknown(before)}
    strange = [each.word for each in vocabulary.unknown(after) if each.word.lower() not in had]
    if strange:
        raise refused(f"wrote words that {title} does not know ({', '.join(strange[:_NAMED])})")
