"""The frames of a foreign file as a player would show them: upright, square pixels, one for every tick of a steady rate."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from studio.importing.colour import Painter
from studio.importing.decoding import Decoder
from studio.importing.fitting import Size, covering, fit_size, size_notice
from studio.importing.order import LARGEST_SIDE, MOST_PIXELS, Refusal, Room
from studio.importing.timeline import Timeline


@dataclass(frozen=True)
class Ticks:
    """The ``count`` moments at which frames are wanted, ``rate`` a second from the timeline's start on."""

    line: Timeline
    rate: Fraction
    count: int

    def of(self, moment_s: float | None, number: int) -> int:
        """The tick nearest to the moment of the ``number``-th picture."""
        if self.line.counted_s is not None or moment_s is None:
            return round(number * (self.line.counted_s or 1 / float(self.rate)) * float(self.rate))
        return round((moment_s - self.line.start_s) * float(self.rate))


@dataclass(frozen=True)
class Turn:
    """What a display matrix asks for: sides swapped, then mirrored."""

    swaps: bool = False
    mirrors_x: bool = False
    mirrors_y: bool = False

    @classmethod
    def of(cls, frame: Any) -> Turn:
        """The turn that the file asks for: x' = ax + cy, y' = bx + dy, y downwards (ISO/IEC 14496-12)."""
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def size(self, size: Size) -> Size:
        """``size`` turned; the same turn leads back."""
        return Size(size.width, size.height) if self.swaps else size

    def pixels(self, pixels: np.ndarray) -> np.ndarray:
        """``[H, W, 3]`` turned."""
        turned = pixels.swapaxes(0, 1) if self.swaps else pixels
        return turned[:: -1 if self.mirrors_y else 1, :: -1 if self.mirrors_x else 1]


@dataclass(frozen=True)
class Film:
    """Frames ``[F, H, W, 3]`` uint8, and what a person should know of how they were made."""

    frames: np.ndarray
    notices: tuple[str, ...]


def film_of(pictures: Decoder, ticks: Ticks, aspect: Fraction, room: Room) -> Film:
    """The frames at ``ticks``, each the last picture before it. Raises ``Refusal`` where most cannot be decoded."""
    painter = Painter()
    frames, notice, size, at = np.empty(0), None, Size(1, 1), -1
    for number, frame in enumerate(pictures):
        turn = Turn.of(frame)
        shown = turn.size(_square(frame, aspect))
        if at < 0:
            size = fit_size(shown, ticks.count, room)
            frames, notice = np.empty((ticks.count, size.height, size.width, 3), np.uint8), size_notice(shown, size)
        tick = ticks.of(frame.time, number)
        if not at <= tick < ticks.count:
            continue
        pixels = _cut(turn.pixels(painter.paint(frame, turn.size(covering(shown, size)))), size)
        frames[at + 1 : tick] = frames[at] if at >= 0 else pixels
        frames[tick] = pixels
        at = tick
    if at < 0 or pictures.damaged > pictures.whole:
        raise Refusal("video has a picture of which most cannot be decoded: it is damaged; choose another file.")
    frames[at + 1 :] = frames[at]
    damage = pictures.damaged and f"{pictures.damaged} of {pictures.damaged + pictures.whole} pictures are damaged in the file."
    return Film(frames, tuple(each for each in (notice, *painter.notices(), damage) if each))


def _square(frame: Any, aspect: Fraction) -> Size:
    """A frame's size once its pixels are square. Raises ``Refusal`` where a frame is larger than its header said."""
    if max(frame.width, frame.height) > LARGEST_SIDE or frame.width * frame.height > MOST_PIXELS:
        raise Refusal(
            f"video has pictures of {frame.width}x{frame.height} pixels in it, which are too many: scale it down first."
        )
    if aspect >= 1:
        return Size(frame.height, max(1, round(frame.width * aspect)))
    return Size(max(1, round(frame.height / aspect)), frame.width)


def _cut(pixels: np.ndarray, size: Size) -> np.ndarray:
    """The middle of ``[H, W, 3]``."""
    top, left = (pixels.shape[0] - size.height) // 2, (pixels.shape[1] - size.width) // 2
    return pixels[top : top + size.height, left : left + size.width]
