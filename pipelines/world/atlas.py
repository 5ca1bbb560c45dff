"""The picture atlas of the procedural world: sprites in two drawings each, and heads of characters that can talk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_FOLDER = Path(__file__).parent.parent.parent / "assets" / "world"


@dataclass(frozen=True)
class Head:
    """A face without a mouth, ``[256, 256, 4]`` as ``sprite`` gives it, and the place where a mouth goes.

    The mouth's centre (right and down from the tile's corner) and the width free for it are shares of the tile.
    """

    picture: np.ndarray
    mouth_x: float
    mouth_y: float
    mouth_width: float


def sprite_names() -> tuple[str, ...]:
    """Every sprite's name: plain English nouns, in the atlas's order."""
    return tuple(_atlas()["sprites"])


def head_styles() -> tuple[str, ...]:
    """The names of the characters' styles, in the atlas's order."""
    return tuple(_atlas()["heads"])


def identities(style: str) -> int:
    """How many different heads a style has."""
    return len(_heads(style))


@lru_cache(maxsize=32)
def sprite(name: str, drawing: int) -> np.ndarray:
    """One drawing (0 or 1) of a sprite: ``[256, 256, 4]`` float32, 0..1, premultiplied alpha, read only.

    The visible part is centred and reaches at most 0.48 of the tile from its middle.
    """
    places = _atlas()["sprites"].get(name)
    if places is None:
        raise KeyError(f"The atlas has no sprite {name!r}; it has {', '.join(sprite_names())}.")
    if not 0 <= drawing < len(places):
        raise ValueError(f"The sprite {name!r} has the drawings 0 to {len(places) - 1}, not {drawing}.")
    return _cut("sprites.webp", places[drawing])


@lru_cache(maxsize=128)
def head(style: str, identity: int) -> Head:
    """The head of one identity, counted from 0."""
    heads = _heads(style)
    if not 0 <= identity < len(heads):
        raise ValueError(f"The style {style!r} has the identities 0 to {len(heads) - 1}, not {identity}.")
    record = heads[identity]
    return Head(_cut("heads.webp", record["tile"]), *record["mouth"])


def _heads(style: str) -> list[dict[str, Any]]:
    heads: list[dict[str, Any]] | None = _atlas()["heads"].get(style)
    if heads is None:
        raise KeyError(f"The atlas has no heads of the style {style!r}; it has {', '.join(head_styles())}.")
    return heads


@lru_cache(maxsize=1)
def _atlas() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_FOLDER / "atlas.json").read_text(encoding="utf-8"))
    return content


@lru_cache(maxsize=2)
def _sheet(file: str) -> np.ndarray:
    """A whole sheet as ``[height, width, 4]`` uint8, straight alpha."""
    with Image.open(_FOLDER / file) as picture:
        return np.asarray(picture.convert("RGBA"))


def _cut(file: str, place: list[int]) -> np.ndarray:
    """The tile at ``place`` (left, top in pixels), premultiplied; frozen, because every caller shares it."""
    left, top = place
    size = _atlas()["tile"]
    tile = _sheet(file)[top : top + size, left : left + size].astype(np.float32) / 255
    tile[..., :3] *= tile[..., 3:]
    tile.setflags(write=False)
    return tile
