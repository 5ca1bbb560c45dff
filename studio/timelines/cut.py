"""What a timeline is made of, frame by frame: which frames of which file stand where. All times are exact fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from pipelines.contract import InvalidRequest
from studio.timelines.values import Trim

# A clip of 25 frames at 12 a second is not to the digit the 2.1 s that people write.
_TOLERANCE_S = 0.05


@dataclass(frozen=True)
class Footage:
    """A take's file: sides in pixels, ``rate`` in frames a second, also where it has only sound."""

    id: str
    path: Path
    prompt: str
    height: int
    width: int
    num_frames: int
    rate: Fraction
    has_video: bool
    has_audio: bool

    @property
    def duration(self) -> Fraction:
        """Seconds."""
        return self.num_frames / self.rate


@dataclass(frozen=True)
class Piece:
    """``count`` frames of a take from frame ``first`` on, under the name of their shot."""

    name: str
    footage: Footage
    first: int
    count: int

    @property
    def start(self) -> Fraction:
        """Where it begins in the take, in seconds."""
        return self.first / self.footage.rate

    @property
    def duration(self) -> Fraction:
        """Seconds."""
        return self.count / self.footage.rate


@dataclass(frozen=True)
class Cut:
    """Pieces one after the other; size and rate are those of the first piece with a picture."""

    name: str
    pieces: tuple[Piece, ...]

    @property
    def lead(self) -> Footage:
        """The take that gives the film its size and rate."""
        return next((piece.footage for piece in self.pieces if piece.footage.has_video), self.pieces[0].footage)

    @property
    def moments(self) -> tuple[Fraction, ...]:
        """Where each piece begins, in seconds, and at the end where the last one ends."""
        moments = [Fraction(0)]
        for piece in self.pieces:
            moments.append(moments[-1] + piece.duration)
        return tuple(moments)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First frame and number of frames of each piece at the film's rate; what is rounded does not add up."""
        return tuple((begin, end - begin) for begin, end in pairwise(round(moment * self.lead.rate) for moment in self.moments))


def rate_of(frame_rate: float) -> Fraction:
    """Frames a second as a fraction, 23.976 as 24000/1001."""
    return Fraction(frame_rate).limit_denominator(1001)


def piece_of(name: str, trim: Trim, footage: Footage) -> Piece:
    """The frames of a take that ``trim`` leaves; one that ends later than the take ends with it.

    Raises ``InvalidRequest`` when nothing is left.
    """
    first = round(Fraction(trim.start_s or 0.0) * footage.rate)
    end = footage.num_frames
    if trim.end_s is not None:
        end = min(end, max(first + 1, round(Fraction(trim.end_s) * footage.rate)))
    if first >= footage.num_frames:
        seconds = float(footage.duration)
        raise InvalidRequest(
            f"start_s is {trim.start_s:g} and the take of {name!r} ends at {seconds:.2f} s; trim the shot first.", field="start_s"
        )
    return Piece(name, footage, first, end - first)


def check_split(name: str, trim: Trim, at_s: float, footage: Footage) -> None:
    """Raises ``InvalidRequest`` unless at least one frame is left on each side of ``at_s``."""
    piece = piece_of(name, trim, footage)
    if not piece.first < round(Fraction(at_s) * footage.rate) < piece.first + piece.count:
        first, last = float(piece.start), float(piece.start + piece.duration)
        raise InvalidRequest(
            f"at_s is {at_s:g}; {name!r} shows {first:.2f} to {last:.2f} s of its take, split it between two frames of that.",
            field="at_s",
        )


def check_end(trim: Trim, footage: Footage) -> None:
    """Raises ``InvalidRequest`` when the trim ends later than the take."""
    seconds = float(footage.duration)
    if trim.end_s is not None and trim.end_s > seconds + _TOLERANCE_S:
        raise InvalidRequest(f"end_s is {trim.end_s:g}; the take ends at {seconds:.2f} s.", field="end_s")
