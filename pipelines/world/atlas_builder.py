"""Draws the picture atlas from its vector sources; for development only, the studio reads what this wrote.

``python -m pipelines.world.atlas_builder --emoji FLUENT.json --second NOTO.json --dicebear STYLES_DIR`` with the
``icons.json`` of the npm packages ``@iconify-json/fluent-emoji-flat`` and ``@iconify-json/noto``, and the folder of the
PyPI package ``dicebear-styles``. It needs the PyPI packages ``resvg_py`` and ``dicebear-core``; equal sources give equal
pixels.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TILE = 256
REACH = 0.48  # the visible pixel furthest from the centre, as a share of the tile
IDENTITIES = 24
_DRAWN = 512  # pixels a side at which a vector picture is drawn before it shrinks into its tile
_COLUMNS = 12
_ASSETS = Path(__file__).parent.parent.parent / "assets" / "world"

# Our word for a picture, and the icon's key where it is another word; both sources know the same keys.
_SPRITES = """
cat=cat-face dog=dog-face fox rabbit=rabbit-face bear panda pig=pig-face frog lion tiger=tiger-face monkey=monkey-face
mouse=mouse-face cow=cow-face koala chick=hatching-chick penguin owl duck turtle fish=tropical-fish whale=spouting-whale
octopus butterfly bee=honeybee ladybug=lady-beetle unicorn elephant crab apple=red-apple banana watermelon strawberry
carrot pizza burger=hamburger cookie cupcake cake=birthday-cake lemon pineapple cherry=cherries mushroom car=automobile
bus taxi tractor train=locomotive plane=airplane helicopter rocket boat=sailboat ufo=flying-saucer basketball
football=soccer-ball balloon bell robot ghost teddy=teddy-bear pumpkin=jack-o-lantern crown gift=wrapped-gift snowman
sunflower umbrella guitar
"""


@dataclass(frozen=True)
class _HeadStyle:
    """A style of heads: its file, two mouths that span a mouth's place, the variants readable when small, moved parts."""

    file: str
    mouths: tuple[str, str]
    options: Mapping[str, str]
    transforms: Mapping[str, str] = field(default_factory=dict)


_HEADS = {
    "monster": _HeadStyle(
        "critters.json",
        ("grin", "laugh"),
        {
            "eyesVariant": "round bigPupils sideeye inward mono uneven trio threeRow four wide close",
            "bodyVariant": "dome block squat blob round tilt lean peak bell wedge wedgeInv steps",
        },
    ),
    "clay": _HeadStyle(
        "clay.json",
        ("smileBig", "laugh"),
        {
            "eyesVariant": "googly even big mono trio side outward inward",
            "bodyVariant": "pear boulder loaf stack gumdrop dollop slug egg blob bell cube squat lean",
        },
    ),
    "smiley": _HeadStyle(
        "moods.json", ("wide", "laugh"), {"eyesVariant": "pupils bigPupils sparkle uneven tallPupils lookSide lookUp"}
    ),
    # The plant shrinks towards the pot's rim, so that the face keeps most of the tile; the eyes make room for the mouth.
    "sprout": _HeadStyle(
        "sprouts.json",
        ("grin", "open"),
        {"eyesVariant": "round bigPupils sideeye wide close"},
        {
            "plant": "translate(51 62) scale(.6) translate(-34 -53)",
            "eyes": "translate(30 63.5)",
            "mouth": "translate(40 82.5)",
        },
    ),
}


def sprite_keys() -> dict[str, str]:
    """Every picture's name in the studio with the icon's key in both sources."""
    pairs = (word.partition("=") for word in _SPRITES.split())
    return {name: key or name for name, _, key in pairs}


def icon_svg(collection: Mapping[str, Any], key: str) -> str:
    """The icon ``key`` of an Iconify collection as SVG text; aliases are followed."""
    aliases = collection.get("aliases", {})
    if key in aliases:
        return icon_svg(collection, aliases[key]["parent"])
    icon = collection["icons"][key]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = (icon.get(side, collection.get(side, 16)) for side in ("width", "height"))
    box = f"{left} {top} {width} {height}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{icon["body"]}</svg>'


def draw(svg: str, size: int) -> Image.Image:
    """The SVG drawn ``size`` pixels a side, mode RGBA."""
    resvg = _package("resvg_py", "resvg_py")
    return Image.open(io.BytesIO(resvg.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True))).convert(
        "RGBA"
    )


@dataclass(frozen=True)
class Frame:
    """A square of the drawing that becomes a tile: centre and side in pixels of the drawing."""

    centre_x: float
    centre_y: float
    side: float


def frame_of(picture: Image.Image) -> Frame:
    """The frame whose middle is the visible bounding box's, wide enough that no visible pixel lies beyond ``REACH``."""
    visible = np.asarray(picture)[..., 3] >= 26
    rows, columns = np.nonzero(visible)
    centre_x, centre_y = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
    furthest = np.hypot(np.abs(columns + 0.5 - centre_x) + 0.5, np.abs(rows + 0.5 - centre_y) + 0.5).max()
    return Frame(float(centre_x), float(centre_y), float(furthest) / REACH)


def shrink(picture: Image.Image, frame: Frame) -> Image.Image:
    """The frame of a drawing as one tile, mode RGBA; averaged with premultiplied alpha, so that edges keep their colour."""
    margin = picture.width
    wide = Image.new("RGBa", (3 * margin, 3 * margin))
    wide.paste(picture.convert("RGBa"), (margin, margin))
    x, y, half = frame.centre_x + margin, frame.centre_y + margin, frame.side / 2
    tile = wide.resize((TILE, TILE), Image.Resampling.HAMMING, box=(x - half, y - half, x + half, y + half))
    return tile.convert("RGBA")


def build_sprites(collections: list[Mapping[str, Any]]) -> tuple[Image.Image, dict[str, list[list[int]]]]:
    """The sheet of all sprites and, for each name, the left and top pixel of each drawing's tile."""
    tiles: dict[str, list[Image.Image]] = {}
    for name, key in sprite_keys().items():
        pictures = [draw(icon_svg(collection, key), _DRAWN) for collection in collections]
        tiles[name] = [shrink(picture, frame_of(picture)) for picture in pictures]
    return _sheet(tiles, _COLUMNS)


def build_heads(styles: Path) -> tuple[Image.Image, dict[str, list[dict[str, Any]]]]:
    """The sheet of all heads and, for each style, one record an identity: tile, seed, mouth (x, y, width as shares)."""
    tiles: dict[str, list[Image.Image]] = {}
    records: dict[str, list[dict[str, Any]]] = {}
    for name, style in _HEADS.items():
        definition = json.loads((styles / style.file).read_text(encoding="utf-8"))
        licence = definition["meta"]["license"]["name"]
        if not licence.startswith("CC0"):
            raise SystemExit(f"{style.file} is licensed under {licence}; the atlas takes CC0 styles only.")
        artist = _Artist(definition, style)
        tiles[name], records[name] = [], []
        seed = 0
        while len(tiles[name]) < IDENTITIES:
            made = artist.identity(str(seed))
            if made is not None and all(_differ(made[0], other) for other in tiles[name]):
                tiles[name].append(made[0])
                records[name].append({"seed": str(seed), "mouth": made[1]})
            seed += 1
        sys.stdout.write(f"{name}: {IDENTITIES} identities out of {seed} seeds\n")
    sheet, places = _sheet(tiles, IDENTITIES)
    for name, heads in records.items():
        for record, place in zip(heads, places[name], strict=True):
            record["tile"] = place
    return sheet, records


class _Artist:
    """Draws the identities of one style: whole, without a mouth, and without eyes."""

    def __init__(self, definition: Mapping[str, Any], style: _HeadStyle) -> None:
        dicebear = _package("dicebear", "dicebear-core")
        self._avatar = dicebear.Avatar
        self._style = style
        definition = _without(_moved(definition, style.transforms), "pattern")  # some look like a second mouth
        self._whole = dicebear.Style(definition)
        self._mute = dicebear.Style(_without(definition, "mouth"))
        self._blind = dicebear.Style(_without(_without(definition, "mouth"), "eyes"))

    def identity(self, seed: str) -> tuple[Image.Image, list[float]] | None:
        """The tile without a mouth, and the mouth's centre x, y and width as shares; None where a mouth has no free place."""
        mute = self._draw(self._mute, seed, {})
        mouth = np.zeros((_DRAWN, _DRAWN), bool)
        for variant in self._style.mouths:
            mouth |= _changed(mute, self._draw(self._whole, seed, {"mouthVariant": [variant]}))
        eyes = _changed(mute, self._draw(self._blind, seed, {}))
        if not mouth.any():
            return None
        rows, columns = np.nonzero(mouth)
        place = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        if eyes[place].any() or np.asarray(mute)[..., 3][place].min() < 250:
            return None
        frame = frame_of(mute)
        x, y = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
        row = np.asarray(mute)[int(y), :, 3] >= 250
        margin = min(_edge(row[: int(x)][::-1]), _edge(row[int(x) :]))
        width = min(float(columns.max() + 1 - columns.min()), 0.8 * 2 * margin)
        shares = ((x - frame.centre_x) / frame.side + 0.5, (y - frame.centre_y) / frame.side + 0.5, width / frame.side)
        return shrink(mute, frame), [round(float(share), 4) for share in shares]

    def _draw(self, style: Any, seed: str, chosen: Mapping[str, list[str]]) -> Image.Image:
        """One identity ``_DRAWN`` pixels a side, without its cast shadow: a head floats over any place."""
        still = {"seed": seed, "animationVariant": "none", "backgroundColor": ["#00000000"]}
        kept = {option: words.split() for option, words in self._style.options.items()}
        picture = draw(str(self._avatar(style, {**still, **kept, **chosen})), _DRAWN)
        pixels = np.asarray(picture).copy()
        pixels[..., 3] = np.clip((pixels[..., 3].astype(np.float32) - 64) * 255 / 191, 0, 255).round().astype(np.uint8)
        return Image.fromarray(pixels)


def _edge(row: np.ndarray) -> int:
    """How many leading values of a row are true."""
    return len(row) if row.all() else int(np.argmin(row))


def _changed(one: Image.Image, two: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(one).astype(np.int16) - np.asarray(two)).max(-1) > 24


def _differ(one: Image.Image, two: Image.Image) -> bool:
    first, second = (np.asarray(tile.convert("RGBa")).astype(np.float32) / 255 for tile in (one, two))
    return float(np.abs(first - second).mean()) > 0.02


def _without(definition: Mapping[str, Any], component: str) -> dict[str, Any]:
    """A style whose component, where it has it, draws nothing."""
    changed: dict[str, Any] = copy.deepcopy(dict(definition))
    for variant in changed["components"].get(component, {"variants": {}})["variants"].values():
        variant["elements"] = []
    return changed


def _moved(definition: Mapping[str, Any], transforms: Mapping[str, str]) -> dict[str, Any]:
    """A style whose named components stand under other SVG transforms."""
    changed: dict[str, Any] = copy.deepcopy(dict(definition))
    waiting = list(changed["canvas"]["elements"])
    while waiting:
        element = waiting.pop()
        waiting += element.get("children", [])
        if element["type"] == "component" and element["name"] in transforms:
            element["attributes"] = {**element.get("attributes", {}), "transform": transforms[element["name"]]}
    return changed


def _sheet(tiles: Mapping[str, list[Image.Image]], columns: int) -> tuple[Image.Image, dict[str, list[list[int]]]]:
    """All tiles row by row in one picture, and the left and top pixel of each."""
    count = sum(len(group) for group in tiles.values())
    sheet = Image.new("RGBA", (columns * TILE, -(-count // columns) * TILE))
    places: dict[str, list[list[int]]] = {}
    index = 0
    for name, group in tiles.items():
        places[name] = []
        for tile in group:
            corner = (index % columns * TILE, index // columns * TILE)
            sheet.paste(tile, corner)
            places[name].append([*corner])
            index += 1
    return sheet, places


def _package(module: str, package: str) -> Any:
    """A package that only building needs; says what to install where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SystemExit(f"Building the atlas needs the PyPI package {package}: pip install {package} ({error})") from error


def main() -> None:
    """Reads the three sources and writes ``sprites.webp``, ``heads.webp`` and ``atlas.json``."""
    parser = argparse.ArgumentParser(description="Draw the picture atlas of the procedural world.")
    parser.add_argument("--emoji", type=Path, required=True, help="icons.json of @iconify-json/fluent-emoji-flat")
    parser.add_argument("--second", type=Path, required=True, help="icons.json of @iconify-json/noto")
    parser.add_argument("--dicebear", type=Path, required=True, help="the folder with the style files of dicebear-styles")
    parser.add_argument("--output", type=Path, default=_ASSETS, help="where the sheets and atlas.json go")
    given = parser.parse_args()
    sprites, places = build_sprites([json.loads(path.read_text(encoding="utf-8")) for path in (given.emoji, given.second)])
    heads, records = build_heads(given.dicebear)
    given.output.mkdir(parents=True, exist_ok=True)
    for name, sheet in (("sprites.webp", sprites), ("heads.webp", heads)):
        sheet.save(given.output / name, lossless=True, quality=100, method=6)
    atlas = {"tile": TILE, "sprites": places, "heads": records}
    (given.output / "atlas.json").write_text(json.dumps(atlas, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
