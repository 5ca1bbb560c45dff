"""Prompts that say when: ``[0.0-1.0 s] a ball rises [1.0-2.0 s] it falls`` read into segments. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pipelines.contract import InvalidRequest
from pipelines.prompting.reading import QUOTED

_SECONDS = r"(?:\d{1,3}:\d{1,2}(?:\.\d{1,3})?|\d{1,4}(?:\.\d{1,3})?)"
_MARK = re.compile(rf"\[\s*({_SECONDS})\s*s?\s*(?:-|–|—|to)\s*({_SECONDS})\s*(?:s|sec|seconds)?\s*\]", re.IGNORECASE)
_TOLERANCE_S = 0.05  # a clip of 25 frames at 12 a second is not to the digit the 2.1 s that people write


@dataclass(frozen=True)
class Segment:
    """What is to be seen and heard from ``start_s`` until ``end_s``, in seconds."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Timeline:
    """A time-stamped prompt: ``preamble`` holds for the whole clip, and segments follow one another without overlap."""

    preamble: str
    segments: tuple[Segment, ...]

    def spoken(self) -> tuple[Segment, ...]:
        """The segments as a model is to hear them: each begins with the preamble."""
        return tuple(replace(each, text=f"{self.preamble} {each.text}".strip()) for each in self.segments)


def timeline_of(prompt: str, duration_s: float | None = None) -> Timeline | None:
    """The segments of a time-stamped prompt; ``None`` for a plain one. Marks inside quoted speech are speech.

    Raises ``InvalidRequest`` in one sentence when a time runs backwards, overlaps the one before it, ends after the clip
    (``duration_s``), or has nothing to show.
    """
    marks = marks_of(prompt)
    if not marks:
        return None
    segments: list[Segment] = []
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        text = prompt[mark.end() : following.start() if following else len(prompt)].strip(" \n:,-–—")
        segment = Segment(_seconds(mark[1]), _seconds(mark[2]), text)
        _check(mark[0], segment, segments[-1] if segments else None, duration_s)
        segments.append(segment)
    return Timeline(prompt[: marks[0].start()].strip(), tuple(segments))


def marks_of(prompt: str) -> list[re.Match[str]]:
    """The time stamps of a prompt, in order; those inside quoted speech are speech."""
    return list(_MARK.finditer(QUOTED.sub(lambda match: " " * len(match[0]), prompt)))


def stamp(start_s: float, end_s: float) -> str:
    """A mark as ``timeline_of`` reads it and as people write it: ``[0.0-1.0 s]``."""
    return f"[{start_s:.1f}-{end_s:.1f} s]"


def _seconds(text: str) -> float:
    minutes, colon, seconds = text.rpartition(":")
    return float(seconds) + (60 * int(minutes) if colon else 0)


def _check(mark: str, segment: Segment, before: Segment | None, duration_s: float | None) -> None:
    fault = ""
    if segment.end_s <= segment.start_s:
        fault = "runs backwards; write the earlier time first"
    elif before and segment.start_s < before.end_s:
        fault = f"begins before the one ahead of it ends; begin it at {before.end_s:g} s or later"
    elif duration_s is not None and segment.end_s > duration_s + _TOLERANCE_S:
        fault = f"ends after the clip; end it at {duration_s:.2f} s or make the clip longer"
    elif not segment.text:
        fault = "has nothing to show; say after it what to see and hear"
    if fault:
        raise InvalidRequest(f"prompt: the time {mark} {fault}.", field="prompt")
