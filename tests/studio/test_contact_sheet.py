"""The contact sheet: every still at its place, the best one framed, any words, any shape."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from studio.contact_sheet import Picture, Sheet, drawn

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (200, 30, 200), (30, 200, 200)]


def pictures(size: tuple[int, int] = (64, 64)) -> tuple[Picture, ...]:
    return tuple(Picture(Image.new("RGB", size, colour), f"{at}", at == 4) for at, colour in enumerate(COLOURS))


def opened(sheet: Sheet) -> np.ndarray:
    image = Image.open(io.BytesIO(drawn(sheet)))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


def centres(pixels: np.ndarray) -> dict[tuple[int, int, int], tuple[float, float]]:
    found = {}
    for colour in COLOURS:
        rows, columns = np.nonzero((pixels == colour).all(-1))
        found[colour] = (rows.mean(), columns.mean())
    return found


def test_rows_run_down_and_columns_across():
    sheet = Sheet("a red ball", "pocket", ("seed 1", "seed 2"), ("one", "two", "three"), pictures())
    at = centres(opened(sheet))
    assert at[COLOURS[0]][0] == at[COLOURS[2]][0] < at[COLOURS[3]][0] == at[COLOURS[5]][0]
    assert at[COLOURS[0]][1] == at[COLOURS[3]][1] < at[COLOURS[1]][1] < at[COLOURS[2]][1]


def test_one_row_is_wrapped_after_four():
    at = centres(opened(Sheet("", "pocket", (), tuple(f"seed {number}" for number in range(6)), pictures())))
    assert at[COLOURS[3]][0] < at[COLOURS[4]][0] and at[COLOURS[0]][1] == at[COLOURS[4]][1]


def test_the_best_is_framed_and_shapes_are_kept():
    sheet = Sheet("", "", ("a", "b"), ("c", "d", "e"), pictures((160, 90)))
    pixels = opened(sheet)
    accent = (pixels == (194, 84, 10)).all(-1)
    row, column = centres(pixels)[COLOURS[4]]
    rows, columns = np.nonzero(accent)
    assert abs(columns.mean() - column) < 40 and abs(rows.mean() - row) < 40
    rows, columns = np.nonzero((pixels == COLOURS[0]).all(-1))
    assert np.ptp(columns) + 1 == 240 and np.ptp(rows) + 1 == 135


@pytest.mark.parametrize("words", ["un éléphant à l'aube × 2", "赤いボールが草の上で跳ねる" * 20, "x" * 3000, "", "a\nb"])
def test_any_words_fit(words):
    texts = Sheet(words, words[:40], (words, "b"), (words, "d", "e"), pictures())
    assert opened(texts).shape == opened(texts).shape
    assert opened(texts).shape[1] == opened(Sheet("", "", ("a", "b"), ("c", "d", "e"), pictures())).shape[1]


def test_a_cell_without_a_clip_says_why():
    pixels = opened(Sheet("", "", (), ("seed 1",), (Picture(None, "failed", False),)))
    assert (pixels == (11, 12, 15)).all(-1).sum() == 240 * 240
