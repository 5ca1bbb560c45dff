"""What a model can take of a foreign picture: the size on its grid that loses the least, and how a frame is brought to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from studio.importing.order import MOST_FRAME_BYTES, Room


@dataclass(frozen=True)
class Size:
    """Height and width in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def fit_size(shown: Size, num_frames: int, room: Room) -> Size:
    """The size on the model's grid for a picture that is shown at ``shown``; never enlarged but to reach the grid.

    Of the sizes around the scaled one, that which cuts the least away, then the nearest. All frames together stay within what
    the studio's tools hold in memory.
    """
    room_px = MOST_FRAME_BYTES / (3 * num_frames)
    scale = min(1.0, room.max_side / max(shown.height, shown.width), math.sqrt(room_px / (shown.height * shown.width)))
    pairs = list(product(_near(shown.height * scale, room), _near(shown.width * scale, room)))
    sizes = [Size(height, width) for height, width in pairs if height * width <= room_px] or [Size(*min(pairs))]
    wanted_px = shown.height * shown.width * scale**2
    return min(sizes, key=lambda size: (round(lost(shown, size), 2), abs(math.log(size.height * size.width / wanted_px))))


def _near(pixels: float, room: Room) -> set[int]:
    step = room.pixel_multiple
    around = (math.floor(pixels / step) * step, math.ceil(pixels / step) * step)
    return {min(max(side, room.min_side), room.max_side) for side in around}


def covering(shown: Size, size: Size) -> Size:
    """``shown`` scaled until it covers ``size``."""
    scale = max(size.height / shown.height, size.width / shown.width)
    return Size(max(size.height, round(shown.height * scale)), max(size.width, round(shown.width * scale)))


def lost(shown: Size, size: Size) -> float:
    """Which share of a picture is cut off where it covers ``size``."""
    whole = covering(shown, size)
    return 1 - size.height * size.width / (whole.height * whole.width)


def size_notice(shown: Size, size: Size) -> str | None:
    """What a person should know of the change of size, or ``None`` where there is none."""
    if shown == size:
        return None
    whole = covering(shown, size)
    cut = lost(shown, size)
    where = "at the sides" if whole.width > size.width else "at top and bottom"
    trimmed = f" and cut by {100 * cut:.0f} % {where}" if cut >= 0.005 else ""
    scaled = f"scaled from {shown} to {whole}" if whole != shown else f"kept at {shown}"
    return (
        f"The picture was {scaled}{trimmed}, which makes it {size}."
        if trimmed
        else f"The picture was scaled from {shown} to {size}."
    )
