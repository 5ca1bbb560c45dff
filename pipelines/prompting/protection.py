"""What nobody may change when a prompt is written anew: speech in quotes, trigger words, time stamps. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.contract import InvalidRequest
from pipelines.prompting.reading import QUOTED
from pipelines.prompting.timeline import marks_of

FIELD = "engine"
_REMEDY = "use the rules, or enhance in another way"
_CLOSED = tuple('"”“»」』')


@dataclass(frozen=True)
class Protected:
    """The protected parts of a prompt in order: speech with its quotation marks, words of ``keep`` that it has, time stamps."""

    speech: tuple[str, ...]
    words: tuple[str, ...]
    stamps: tuple[str, ...]


def protected(prompt: str, keep: Sequence[str]) -> Protected:
    """What of ``prompt`` must come through; ``keep`` names trigger words."""
    silent = _silent(prompt)
    words = dict.fromkeys(word for word in keep if word.strip() and word in silent)
    return Protected(
        tuple(match[0] for match in QUOTED.finditer(prompt)), tuple(words), tuple(mark[0] for mark in marks_of(prompt))
    )


def restored(text: str, held: Protected, *, may_time: bool = False) -> str:
    """``text`` with every protected part exactly as it was; with ``may_time`` its time stamps are its own.

    Marks and letters that were changed are put back. Raises ``InvalidRequest`` where speech or a time is gone or was made up.
    """
    text = _with_speech(text, held.speech)
    return _with_words(text if may_time else _with_stamps(text, held.stamps), held.words)


def refused(fault: str) -> InvalidRequest:
    """What becomes of an answer that cannot be used."""
    return InvalidRequest(f"engine: the instruction model {fault}; {_REMEDY}.", field=FIELD)


def _silent(prompt: str) -> str:
    return QUOTED.sub(lambda match: " " * len(match[0]), prompt)


def _inner(quote: str) -> str:
    return quote.strip(' "“”„«»「」『』')


def _plain(quote: str) -> str:
    """The words alone, to tell whether two quotes say the same."""
    return "".join(letter for letter in quote.casefold() if letter.isalnum())


def _with_speech(text: str, speech: tuple[str, ...]) -> str:
    for quote in speech:
        if quote not in text and not any(_plain(found[0]) == _plain(quote) for found in QUOTED.finditer(text)):
            text = _quoted_again(text, quote)
    found = list(QUOTED.finditer(text))
    if len(found) < len(speech):
        heard = {_plain(each[0]) for each in found}
        said = next((quote for quote in speech if _plain(quote) not in heard), speech[-1])
        raise refused(f"left out what is said ({said[:60]})")
    if len(found) > len(speech):
        known = {_plain(quote) for quote in speech}
        made_up = next((each[0] for each in found if _plain(each[0]) not in known), found[-1][0])
        raise refused(f"made up speech ({made_up[:60]})")
    if found and not found[-1][0].endswith(_CLOSED) and speech[-1].endswith(_CLOSED):
        raise refused(f"left speech without an end ({found[-1][0][:60]})")
    return _placed(text, found, speech)


def _placed(text: str, found: list[re.Match[str]], speech: tuple[str, ...]) -> str:
    """Each quote of ``text`` as it was written: the one with the same words, else the next that has no place yet."""
    left = list(speech)
    chosen: list[str | None] = []
    for match in found:
        same = next((quote for quote in left if _plain(quote) == _plain(match[0])), None)
        if same is not None:
            left.remove(same)
        chosen.append(same)
    pieces, at = [], 0
    for match, quote in zip(found, chosen, strict=True):
        pieces += [text[at : match.start()], quote if quote is not None else left.pop(0)]
        at = match.end()
    return "".join([*pieces, text[at:]])


def _quoted_again(text: str, quote: str) -> str:
    """``text`` with the words of ``quote`` in their marks again, where they stand bare or in single ones."""
    words = r"\s+".join(map(re.escape, _inner(quote).split()))
    return re.sub(rf"(?<!\w)['‘’`]?{words}['‘’`]?(?!\w)", lambda _: quote, text, count=1, flags=re.IGNORECASE)


def _with_stamps(text: str, stamps: tuple[str, ...]) -> str:
    marks = marks_of(text)
    if not stamps:
        for mark in reversed(marks):
            text = f"{text[: mark.start()].rstrip()} {text[mark.end() :].lstrip()}".strip()
        return text
    if len(marks) != len(stamps):
        raise refused(f"changed the times (there are {len(marks)} instead of {len(stamps)})")
    pieces, at = [], 0
    for mark, stamp in zip(marks, stamps, strict=True):
        pieces += [text[at : mark.start()], stamp]
        at = mark.end()
    return "".join([*pieces, text[at:]])


def _with_words(text: str, words: tuple[str, ...]) -> str:
    for word in words:
        if word in _silent(text):
            continue
        exact = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
        spots = [match.span() for match in exact.finditer(_silent(text))]
        for start, end in reversed(spots):
            text = text[:start] + word + text[end:]
        if not spots:
            text = f"{text}{' ' if text.endswith(('.', '!', '?', '。')) else ', '}{word}"
    return text
