"""Time stamps in prompts: how they are written, and what is refused in one sentence."""

from __future__ import annotations

import pytest

from pipelines.contract import InvalidRequest
from pipelines.prompting.difference import difference
from pipelines.prompting.timeline import Segment, stamp, timeline_of


@pytest.mark.parametrize(
    "prompt",
    [
        "[0.0-1.0 s] a ball rises [1.0-2.0 s] it falls",
        "[0-1s] a ball rises\n[1 – 2 s]: it falls",
        "[00:00-00:01] a ball rises [00:01 to 00:02] it falls",
    ],
)
def test_ways_to_write_the_same(prompt: str) -> None:
    timeline = timeline_of(prompt, 2.0)
    assert timeline and timeline.segments == (Segment(0, 1, "a ball rises"), Segment(1, 2, "it falls"))


def test_a_preamble_and_a_gap() -> None:
    timeline = timeline_of("Pixel art. [0-1 s] a ball [3-4 s] a star")
    assert timeline and timeline.preamble == "Pixel art." and timeline.segments[1].start_s == 3


@pytest.mark.parametrize("prompt", ["a ball", "", "a [red] ball [1]", '"[0-1 s] is what he says"', "[a-b s] ball"])
def test_plain_prompts(prompt: str) -> None:
    assert timeline_of(prompt, 1.0) is None


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ("[1-0.5 s] a ball", "runs backwards"),
        ("[1-1 s] a ball", "runs backwards"),
        ("[0-1 s] a ball [0.5-2 s] a star", "begins before the one ahead of it ends; begin it at 1 s or later"),
        ("[1-2 s] a ball [0-1 s] a star", "begins before"),
        ("[0-3 s] a ball", "ends after the clip; end it at 2.00 s"),
        ("[0-1 s] [1-2 s] a ball", "has nothing to show"),
    ],
)
def test_times_that_contradict(prompt: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        timeline_of(prompt, 2.0)
    assert refused.value.field == "prompt" and refused.value.message.endswith(".")


def test_stamps_are_read_as_they_are_written() -> None:
    timeline = timeline_of(f"{stamp(0, 1.25)} a {stamp(1.25, 2.5)} b", 2.5)
    assert timeline and timeline.segments[0].end_s == timeline.segments[1].start_s


@pytest.mark.parametrize(
    ("before", "after"),
    [("a ball", "a ball, red"), ("a red ball", "a blue ball"), ("", "x"), ("x", ""), ("une balle", "a ball"), ("a  b", "a b c")],
)
def test_differences_are_exact(before: str, after: str) -> None:
    pieces = difference(before, after)
    assert "".join(piece.text for piece in pieces if piece.change != "added") == before
    assert "".join(piece.text for piece in pieces if piece.change != "removed") == after
    assert all(piece.text for piece in pieces)
