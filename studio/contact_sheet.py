"""A contact sheet: the stills of a grid on one PNG, with the heads of its rows and columns."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import cast

from PIL import Image, ImageDraw, ImageFont, ImageOps

_SIDE, _GAP, _EDGE, _LINE = 240, 12, 28, 22
_ROW_HEAD = 170
_WRAP = 4
_GROUND, _INK, _MUTED, _SCREEN, _ACCENT = "#fcfbf9", "#1c1e24", "#5c616c", "#0b0c0f", "#c2540a"
# Pillow's own font has no letters but those of English; these are where systems keep theirs, found by name.
_FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf", "Helvetica.ttc", "LiberationSans-Regular.ttf"),
    *("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "YuGothM.ttc", "Hiragino Sans GB.ttc", "wqy-microhei.ttc"),
)
_NO_LETTER = "\U0010ffff"


@dataclass(frozen=True)
class Picture:
    """One clip of the sheet: its still, or none where there is no clip; what is said under it; whether it is framed."""

    image: Image.Image | None
    text: str
    is_best: bool


@dataclass(frozen=True)
class Sheet:
    """What stands where. ``pictures`` row by row; without heads ``down`` they stand in one row, which is wrapped."""

    title: str
    note: str
    down: tuple[str, ...]
    across: tuple[str, ...]
    pictures: tuple[Picture, ...]


def drawn(sheet: Sheet) -> bytes:
    """The sheet as a PNG. Letters that no font of this machine has are drawn as that font draws what it lacks."""
    texts = (sheet.title, sheet.note, *sheet.down, *sheet.across, *(each.text for each in sheet.pictures))
    small, large = (_font(frozenset("".join(texts)), size) for size in (14, 19))
    columns = len(sheet.across) if sheet.down else min(_WRAP, len(sheet.across))
    rows = -(-len(sheet.pictures) // columns)
    side_head = _ROW_HEAD if sheet.down else 0
    width = 2 * _EDGE + side_head + columns * (_SIDE + _GAP) - _GAP
    title = _wrapped(sheet.title, large, width - 2 * _EDGE, 3)
    heads = [_wrapped(head, small, _SIDE, 2) for head in sheet.across]
    head_lines = max(len(head) for head in heads)
    cell = _SIDE + _LINE + _GAP + (0 if sheet.down else head_lines * _LINE)
    top = _EDGE + len(title) * 26 + _LINE + _GAP + (head_lines * _LINE if sheet.down else 0)
    page = Image.new("RGB", (width, top + rows * cell + _EDGE - _GAP), _GROUND)
    pen = ImageDraw.Draw(page)
    _lines(pen, (_EDGE, _EDGE), title, large, _INK, 26)
    _lines(pen, (_EDGE, _EDGE + len(title) * 26), [sheet.note], small, _MUTED)
    for place, picture in enumerate(sheet.pictures):
        row, column = divmod(place, columns)
        left, upper = _EDGE + side_head + column * (_SIDE + _GAP), top + row * cell
        if sheet.down and row == 0:
            _lines(pen, (left, top - head_lines * _LINE), heads[column], small, _INK)
        if sheet.down and column == 0:
            _lines(pen, (_EDGE, upper), _wrapped(sheet.down[row], small, _ROW_HEAD - _GAP, 9), small, _INK)
        if not sheet.down:
            _lines(pen, (left, upper), heads[place], small, _INK)
            upper += head_lines * _LINE
        _place(page, pen, (left, upper), picture, small)
    buffer = io.BytesIO()
    page.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _place(
    page: Image.Image, pen: ImageDraw.ImageDraw, corner: tuple[int, int], picture: Picture, font: ImageFont.FreeTypeFont
) -> None:
    left, upper = corner
    pen.rectangle((left, upper, left + _SIDE - 1, upper + _SIDE - 1), fill=_SCREEN)
    if picture.image is not None:
        still = ImageOps.contain(picture.image, (_SIDE, _SIDE), Image.Resampling.LANCZOS)
        page.paste(still, (left + (_SIDE - still.width) // 2, upper + (_SIDE - still.height) // 2))
    if picture.is_best:
        pen.rectangle((left - 4, upper - 4, left + _SIDE + 3, upper + _SIDE + 3), outline=_ACCENT, width=4)
    text = f"best: {picture.text}" if picture.is_best and picture.text else picture.text
    _lines(pen, (left, upper + _SIDE + 4), [text], font, _ACCENT if picture.is_best else _MUTED)


def _lines(
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    lines: Iterable[str],
    font: ImageFont.FreeTypeFont,
    ink: str,
    height: int = _LINE,
) -> None:
    left, upper = corner
    for number, line in enumerate(lines):
        pen.text((left, upper + number * height), line, fill=ink, font=font)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    """``text`` in lines of at most ``width`` pixels, cut after ``most`` of them; scripts without spaces break anywhere."""
    lines = [""]
    for word in text.replace("\n", " ").split(" "):
        for part in [word] if font.getlength(word) <= width else [*word]:
            joint = " " if lines[-1] and part is word else ""
            if font.getlength(lines[-1] + joint + part) <= width:
                lines[-1] += joint + part
            else:
                lines.append(part)
    lines = [line for line in lines if line]
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][:-1] + "…"]
    return lines


@cache
def _font(letters: frozenset[str], size: int) -> ImageFont.FreeTypeFont:
    """The first font of this machine that has all ``letters``, or the one that lacks the fewest."""
    wanted = [letter for letter in letters if letter.strip()]
    found: list[tuple[int, ImageFont.FreeTypeFont]] = []
    for name in _FONTS:
        try:
            font = ImageFont.truetype(name, size)
        except OSError:
            continue  # this system does not have it
        lacking = _shape(font, _NO_LETTER)
        found.append((sum(_shape(font, letter) == lacking for letter in wanted), font))
        if not found[-1][0]:
            return font
    own = cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))
    return min(found, key=lambda each: each[0], default=(0, own))[1]


def _shape(font: ImageFont.FreeTypeFont, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
