"""The places: one painting each, wider than the picture, so that the camera can move in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw

MARGIN_X, MARGIN_Y = 0.25, 0.125
"""How far a painting reaches beyond the picture on each side, in picture shares."""
_FINE = 3  # painted larger, then averaged: soft edges
Colour = tuple[int, int, int]

# Sky at the top, sky at the horizon, ground at the horizon, ground at the bottom.
_PALETTE: dict[str, tuple[Colour, Colour, Colour, Colour]] = {
    "sky": ((70, 150, 238), (150, 206, 250), (240, 246, 252), (206, 224, 244)),
    "night": ((8, 10, 34), (30, 34, 84), (24, 30, 48), (10, 14, 26)),
    "grass": ((120, 190, 245), (206, 232, 250), (108, 186, 82), (62, 138, 52)),
    "desert": ((96, 176, 236), (246, 226, 184), (226, 182, 112), (188, 134, 72)),
    "sea": ((142, 206, 240), (222, 240, 246), (36, 124, 172), (12, 70, 124)),
    "sunset": ((92, 52, 120), (252, 146, 84), (104, 62, 84), (52, 32, 56)),
    "forest": ((120, 168, 120), (164, 200, 140), (74, 104, 50), (44, 66, 32)),
    "snow": ((176, 192, 210), (222, 230, 238), (248, 250, 252), (206, 220, 236)),
    "city": ((116, 126, 142), (168, 174, 184), (84, 88, 96), (58, 62, 70)),
    "room": ((236, 214, 176), (226, 200, 158), (156, 104, 66), (122, 78, 48)),
    "space": ((6, 4, 20), (24, 10, 48), (128, 126, 134), (84, 82, 92)),
    "stage": ((60, 12, 22), (96, 20, 32), (134, 86, 52), (84, 50, 32)),
}


class Canvas:
    """Draws in picture shares on a painting that is larger than the picture."""

    def __init__(self, pixels: np.ndarray, size: int) -> None:
        self._image = Image.fromarray(pixels)
        self._draw, self._scale = ImageDraw.Draw(self._image), size * _FINE

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return (x + MARGIN_X) * self._scale, (y + MARGIN_Y) * self._scale

    def disc(self, x: float, y: float, radius: float, colour: Colour, *, flat: float = 1.0) -> None:
        """A disc, or with ``flat`` below 1 an ellipse."""
        self._draw.ellipse((*self._at(x - radius, y - radius * flat), *self._at(x + radius, y + radius * flat)), fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """A rectangle."""
        self._draw.rectangle((*self._at(left, top), *self._at(right, bottom)), fill=colour)

    def polygon(self, colour: Colour, *points: tuple[float, float]) -> None:
        """A filled outline."""
        self._draw.polygon([self._at(x, y) for x, y in points], fill=colour)

    def hills(self, colour: Colour, base: float, height: float, waves: float, phase: float) -> None:
        """A rolling line with everything under it filled."""
        xs = np.linspace(-MARGIN_X, 1 + MARGIN_X, 60)
        line = [(float(x), base - height * math.sin(waves * float(x) + phase)) for x in xs]
        self.polygon(colour, *line, (1 + MARGIN_X, 1 + MARGIN_Y), (-MARGIN_X, 1 + MARGIN_Y))

    def cloud(self, x: float, y: float, width: float, colour: Colour = (248, 250, 252)) -> None:
        """Three puffs."""
        for shift, share in ((-0.35, 0.30), (0.0, 0.42), (0.36, 0.28)):
            self.disc(x + shift * width, y, share * width, colour, flat=0.55)

    def pixels(self) -> np.ndarray:
        """What is painted, ``[h, w, 3]`` uint8, still at the fine scale."""
        return np.asarray(self._image)


@lru_cache(maxsize=64)
def painting(place: str, size: int) -> np.ndarray:
    """The empty place with its margins: ``[size * 1.25, size * 1.5, 3]`` float32, 0..1, for pictures of ``size`` pixels."""
    width, height = round((1 + 2 * MARGIN_X) * size), round((1 + 2 * MARGIN_Y) * size)
    y = (np.arange(height * _FINE) + 0.5) / (size * _FINE) - MARGIN_Y
    top, horizon, near, bottom = (np.array(colour, np.float32) for colour in _PALETTE[place])
    sky = top + (horizon - top) * np.clip(y / HORIZON, 0, 1)[:, None] ** 1.3
    ground = near + (bottom - near) * np.clip((y - HORIZON) / (1 - HORIZON), 0, 1)[:, None]
    rows = np.where((y < HORIZON)[:, None], sky, ground)
    canvas = Canvas(np.repeat(rows.round().astype(np.uint8)[:, None], width * _FINE, axis=1), size)
    _FEATURES[place](canvas)
    soft = cv2.resize(canvas.pixels(), (width, height), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(soft, (0, 0), size / 128 * 0.9).astype(np.float32) / 255


HORIZON = 0.76


def _sky(c: Canvas) -> None:
    for x, y, width in ((0.12, 0.22, 0.26), (0.80, 0.34, 0.30), (0.45, 0.08, 0.16), (-0.15, 0.5, 0.2), (1.15, 0.12, 0.2)):
        c.cloud(x, y, width)
    for k in range(8):
        c.disc(-0.2 + 0.2 * k, HORIZON + 0.03, 0.13, (240, 246, 252), flat=0.5)


def _night(c: Canvas) -> None:
    c.disc(0.80, 0.17, 0.085, (238, 236, 214))
    c.disc(0.765, 0.15, 0.07, (16, 18, 48))
    for x, y in ((0.10, 0.12), (0.24, 0.30), (0.36, 0.10), (0.52, 0.22), (0.62, 0.08), (0.90, 0.38), (-0.12, 0.4), (1.12, 0.2)):
        c.disc(x, y, 0.011, (226, 226, 240))
    c.hills((18, 22, 42), HORIZON, 0.03, 6.0, 1.0)


def _grass(c: Canvas) -> None:
    c.cloud(0.20, 0.16, 0.22)
    c.cloud(0.86, 0.26, 0.20)
    c.hills((132, 200, 104), HORIZON - 0.04, 0.05, 5.0, 2.0)
    c.hills((96, 172, 72), HORIZON + 0.02, 0.015, 4.0, 0.0)


def _desert(c: Canvas) -> None:
    c.disc(0.82, 0.16, 0.085, (255, 244, 190))
    c.hills((236, 196, 128), HORIZON - 0.02, 0.05, 7.0, 0.6)
    c.hills((214, 166, 98), HORIZON + 0.04, 0.02, 5.0, 2.6)
    for x, size in ((0.08, 1.0), (1.16, 1.2)):
        c.box(x - 0.018 * size, 0.56, x + 0.018 * size, 0.78, (60, 130, 70))
        c.box(x - 0.07 * size, 0.62, x - 0.04 * size, 0.69, (60, 130, 70))
        c.box(x - 0.07 * size, 0.67, x, 0.69, (60, 130, 70))


def _sea(c: Canvas) -> None:
    c.disc(0.18, 0.18, 0.08, (255, 246, 206))
    for k, shade in enumerate((18, 34, 10)):
        c.hills((36 + shade, 124 + shade, 172 + shade // 2), HORIZON + 0.01 + 0.07 * k, 0.014, 22.0 - 5 * k, 1.7 * k)


def _sunset(c: Canvas) -> None:
    c.disc(0.24, 0.68, 0.13, (255, 214, 120))
    c.hills((120, 66, 92), HORIZON - 0.01, 0.035, 5.0, 0.4)
    c.hills((84, 48, 72), HORIZON + 0.05, 0.015, 4.0, 2.4)


def _forest(c: Canvas) -> None:
    for x in (-0.16, 0.06, 0.30, 0.70, 0.94, 1.18):
        c.box(x - 0.028, 0.2, x + 0.028, HORIZON + 0.04, (92, 66, 44))
        c.disc(x, 0.10, 0.15, (52, 108, 54))
        c.disc(x - 0.05, 0.22, 0.09, (66, 126, 62))
    c.hills((74, 104, 50), HORIZON + 0.02, 0.01, 8.0, 0.0)


def _snow(c: Canvas) -> None:
    for x, size in ((-0.1, 1.1), (0.10, 0.9), (0.90, 1.0), (1.12, 0.8)):
        for level in range(3):
            top, half = 0.40 + 0.10 * level, (0.06 + 0.025 * level) * size
            c.polygon((86, 122, 116), (x, top), (x - half, top + 0.15), (x + half, top + 0.15))
    c.hills((250, 252, 254), HORIZON - 0.01, 0.025, 6.0, 4.0)


def _city(c: Canvas) -> None:
    blocks = (
        (-0.24, 0.30),
        (-0.06, 0.42),
        (0.10, 0.22),
        (0.28, 0.38),
        (0.56, 0.34),
        (0.74, 0.18),
        (0.92, 0.40),
        (1.08, 0.28),
    )
    for k, (left, top) in enumerate(blocks):
        shade = 62 + 14 * (k % 3)
        c.box(left, top, left + 0.155, HORIZON, (shade, shade + 4, shade + 16))
        for row in range(int((HORIZON - top) / 0.17)):
            y = top + 0.05 + 0.17 * row
            c.box(left + 0.04, y, left + 0.115, y + 0.07, (176, 162, 120))


def _room(c: Canvas) -> None:
    c.box(0.06, 0.14, 0.34, 0.46, (250, 246, 236))
    c.box(0.08, 0.16, 0.32, 0.44, (150, 204, 240))
    c.box(0.19, 0.14, 0.21, 0.46, (250, 246, 236))
    c.box(0.72, 0.18, 0.94, 0.38, (120, 76, 50))
    c.box(0.74, 0.20, 0.92, 0.36, (206, 120, 96))
    c.box(-0.25, HORIZON - 0.03, 1.25, HORIZON, (244, 236, 220))


def _space(c: Canvas) -> None:
    for k in range(14):
        c.disc(-0.22 + (k * 0.377) % 1.44, -0.1 + (k * 0.231) % 0.8, 0.012, (196, 196, 220))
    c.disc(0.80, 0.22, 0.13, (196, 118, 80))
    c.disc(0.80, 0.22, 0.21, (220, 186, 150), flat=0.12)
    c.hills((128, 126, 134), HORIZON, 0.012, 7.0, 0.0)
    for x, y in ((0.12, 0.86), (0.52, 0.93), (0.86, 0.87), (1.12, 0.93)):
        c.disc(x, y, 0.07, (102, 100, 110), flat=0.35)


def _stage(c: Canvas) -> None:
    for k in range(6):
        left = -0.25 + 0.25 * k
        c.box(left, -MARGIN_Y, left + 0.12, HORIZON, (112, 24, 36))
    c.polygon((150, 52, 56), (0.40, -MARGIN_Y), (0.60, -MARGIN_Y), (0.86, HORIZON), (0.14, HORIZON))
    c.disc(0.5, 0.86, 0.36, (196, 146, 96), flat=0.22)


_FEATURES: dict[str, Callable[[Canvas], None]] = {
    "sky": _sky,
    "night": _night,
    "grass": _grass,
    "desert": _desert,
    "sea": _sea,
    "sunset": _sunset,
    "forest": _forest,
    "snow": _snow,
    "city": _city,
    "room": _room,
    "space": _space,
    "stage": _stage,
}
