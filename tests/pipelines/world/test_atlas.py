"""The picture atlas: every sprite and head is there, bold, centred, and a mouth has its place."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from pipelines.world.atlas import Head, head, head_styles, identities, sprite, sprite_names

FOLDER = Path(__file__).parents[3] / "assets" / "world"


def check_picture(picture: np.ndarray) -> None:
    assert picture.shape == (256, 256, 4) and picture.dtype == np.float32
    assert picture.min() >= 0 and picture.max() <= 1
    alpha = picture[..., 3]
    assert (picture[..., :3] <= alpha[..., None] + 1e-6).all(), "alpha is premultiplied"
    assert 0.10 < alpha.mean() < 0.75
    assert ((alpha > 0.02) & (alpha < 0.98)).sum() > 100, "edges are soft"
    rows, columns = np.nonzero(alpha > 0.1)
    assert abs((rows.min() + rows.max()) / 2 - 127.5) <= 1 and abs((columns.min() + columns.max()) / 2 - 127.5) <= 1
    assert np.hypot(rows - 127.5, columns - 127.5).max() <= 0.48 * 256 + 1, "it may turn without leaving its tile"


def test_the_world_has_many_sprites():
    assert len(sprite_names()) == len(set(sprite_names())) == 66
    assert {"cat", "apple", "rocket", "teddy", "guitar"} <= set(sprite_names())


@pytest.mark.parametrize("name", sprite_names())
def test_every_sprite_has_two_drawings(name):
    one, two = sprite(name, 0), sprite(name, 1)
    check_picture(one)
    check_picture(two)
    assert np.abs(one - two).mean() > 0.01


def test_sprites_differ_from_each_other():
    for one, two in pairwise(sprite_names()):
        assert np.abs(sprite(one, 0) - sprite(two, 0)).mean() > 0.02, (one, two)


@pytest.mark.parametrize("style", head_styles())
def test_heads_have_a_place_for_a_mouth(style):
    assert identities(style) >= 20
    for identity in range(identities(style)):
        face = head(style, identity)
        assert isinstance(face, Head)
        check_picture(face.picture)
        assert 0.08 <= face.mouth_width <= 0.6
        columns = np.linspace(face.mouth_x - face.mouth_width / 2, face.mouth_x + face.mouth_width / 2, 9) * 256
        assert face.picture[int(face.mouth_y * 256), columns.astype(int), 3].min() > 0.98, (style, identity)


@pytest.mark.parametrize("style", head_styles())
def test_identities_differ(style):
    heads = [head(style, identity).picture for identity in range(identities(style))]
    assert min(np.abs(one - two).mean() for one, two in combinations(heads, 2)) > 0.015


def test_pictures_are_shared_and_cannot_be_painted_over():
    assert sprite("cat", 0) is sprite("cat", 0)
    with pytest.raises(ValueError, match="read-only"):
        sprite("cat", 0)[0, 0, 0] = 1


def test_unknown_names_are_answered_in_a_sentence():
    with pytest.raises(KeyError, match="no sprite 'dragon'"):
        sprite("dragon", 0)
    with pytest.raises(ValueError, match="drawings 0 to 1, not 2"):
        sprite("cat", 2)
    with pytest.raises(KeyError, match="style 'human'"):
        identities("human")
    with pytest.raises(ValueError, match="not -1"):
        head("clay", -1)


def test_the_atlas_is_small_and_names_its_sources():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8 * 2**20
    notice = (FOLDER / "NOTICE.md").read_text(encoding="utf-8")
    for word in ("MIT License", "Microsoft", "Apache-2.0", "Google", "CC0 1.0", "Critters", "Clay", "Moods", "Sprouts"):
        assert word in notice
