"""Captions in SubRip (``.srt``) from prompts: a time-stamped prompt says when, a plain one holds over its whole shot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from pipelines.prompting.timeline import timeline_of
from studio.timelines.cut import Cut

_BLANK = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class Caption:
    """Text from ``start`` to ``end``, in seconds."""

    start: Fraction
    end: Fraction
    text: str


def captions_of(prompt: str, first: Fraction, last: Fraction) -> list[Caption]:
    """The captions of a clip from ``first`` to ``last``, counted from ``first``. Raises ``InvalidRequest``."""
    stamped = timeline_of(prompt)
    if stamped is None:
        return [Caption(Fraction(0), last - first, prompt)] if prompt.strip() else []
    parts = [(max(first, _exact(part.start_s)), min(last, _exact(part.end_s)), part.text) for part in stamped.segments]
    return [Caption(start - first, end - first, text) for start, end, text in parts if end > start]


def captions_of_cut(cut: Cut) -> list[Caption]:
    """The captions of all shots in a row. Raises ``InvalidRequest``."""
    return [
        Caption(moment + each.start, moment + each.end, each.text)
        for piece, moment in zip(cut.pieces, cut.moments, strict=False)
        for each in captions_of(piece.footage.prompt, piece.start, piece.start + piece.duration)
    ]


def srt(captions: Sequence[Caption]) -> str:
    """The captions as SubRip, numbered from 1; a blank line would end one, so there is none within."""
    texts = [_BLANK.sub("\n", each.text.strip()) for each in captions]
    times = [f"{_clock(each.start)} --> {_clock(each.end)}" for each in captions]
    return "\n".join(f"{number}\n{time}\n{text}\n" for number, (time, text) in enumerate(zip(times, texts, strict=True), 1))


def _exact(seconds: float) -> Fraction:
    return Fraction(str(seconds))


def _clock(moment: Fraction) -> str:
    """``00:00:01,500``, to the nearest millisecond."""
    seconds, milliseconds = divmod(round(moment * 1000), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{milliseconds:03}"
