"""Sizes, rates and colours as plain numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from studio.importing.colour import narrowed
from studio.importing.fitting import Size, fit_size, lost, size_notice
from studio.importing.order import MOST_FRAME_BYTES
from studio.importing.timeline import Timeline, steady_rate
from tests.studio.importing.foreign import signal_of
from tests.studio.importing.orders import POCKET


@pytest.mark.parametrize(
    ("width", "height", "wanted"),
    [
        (1920, 1080, "512x288"),
        (1080, 1920, "288x512"),
        (640, 480, "512x384"),
        (128, 128, "128x128"),
        (144, 176, "160x192"),
        (1, 1, "64x64"),
        (8192, 16, "512x64"),
    ],
)
def test_the_size_is_on_the_models_grid_and_loses_little(width: int, height: int, wanted: str) -> None:
    size = fit_size(Size(height, width), 24, POCKET)
    assert str(size) == wanted
    assert size.width % POCKET.pixel_multiple == 0 and size.height % POCKET.pixel_multiple == 0
    if min(width, height) > 100:
        assert lost(Size(height, width), size) < 0.03


def test_a_long_clip_is_made_smaller_so_that_it_fits_in_memory() -> None:
    short, long = (fit_size(Size(512, 512), frames, POCKET) for frames in (100, 3600))
    assert str(short) == "512x512"
    assert long.height * long.width * 3 * 3600 <= MOST_FRAME_BYTES and long.width >= 224


def test_what_was_done_to_a_size_is_told() -> None:
    assert size_notice(Size(64, 64), Size(64, 64)) is None
    assert size_notice(Size(1080, 1920), Size(288, 512)) == "The picture was scaled from 1920x1080 to 512x288."
    told = size_notice(Size(100, 400), Size(64, 192))
    assert told == "The picture was scaled from 400x100 to 256x64 and cut by 25 % at the sides, which makes it 192x64."


def line(*times: float, last_s: float = 0.04) -> Timeline:
    return Timeline(np.array(times), last_s)


def test_even_frames_keep_their_rate_and_uneven_ones_get_the_usual() -> None:
    even = line(*(number / 30 for number in range(60)))
    assert steady_rate(even, None, POCKET) == (Fraction(30), False)
    rounded = line(*(round(number / (30000 / 1001), 3) for number in range(60)))
    assert steady_rate(rounded, Fraction(30000, 1001), POCKET) == (Fraction(30000, 1001), False)
    paused = line(*(number / 25 for number in range(25)), *(5 + number / 25 for number in range(25)))
    assert steady_rate(paused, None, POCKET) == (Fraction(25), True)
    assert steady_rate(line(0.0, 1.0, 2.0), None, POCKET)[0] == 8
    assert steady_rate(line(*(number / 240 for number in range(20))), None, POCKET)[0] == 60
    assert steady_rate(line(3.0, last_s=2.0), None, POCKET)[0] == 8


@pytest.mark.parametrize("curve", [16, 18])
def test_high_dynamic_range_is_bent_and_not_cut(curve: int) -> None:
    """Grey of rising light stays grey and rises to the end; half of reference white is where BT.1886 has it."""
    light = np.repeat(np.array([[0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0]])[..., None], 3, axis=-1)
    pixels = narrowed(np.round(65535 * signal_of(light, curve)).astype(np.uint16), curve, 9)[0]
    assert np.ptp(pixels.astype(int), axis=-1).max() <= 1
    grey = pixels[:, 1].astype(int)
    assert grey[0] <= 2 and grey[3] == pytest.approx(255 * 0.5 ** (1 / 2.4), abs=3)
    assert list(grey) == sorted(set(grey)) and 225 < grey[4] < 250 and grey[-1] <= 255
