"""Pictures of the procedural world: anti-aliased shapes over painted places, from signed distances."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from pipelines.world.scene import COLOURS, GROUND, Pose, Scene, pose

# Sky at the top, sky at the horizon, ground at the horizon, ground at the bottom.
_PALETTE = {
    "grass": ((120, 190, 245), (206, 232, 250), (108, 186, 82), (62, 138, 52)),
    "night": ((8, 10, 34), (30, 34, 84), (24, 30, 48), (10, 14, 26)),
    "sea": ((142, 206, 240), (222, 240, 246), (36, 124, 172), (12, 70, 124)),
    "desert": ((96, 176, 236), (246, 226, 184), (226, 182, 112), (188, 134, 72)),
    "snow": ((176, 192, 210), (222, 230, 238), (248, 250, 252), (206, 220, 236)),
    "sunset": ((92, 52, 120), (252, 146, 84), (104, 62, 84), (52, 32, 56)),
}
# Moon or sun: centre x, centre y, radius (picture shares), colour.
_DISCS = {
    "night": (0.80, 0.17, 0.075, (238, 236, 214)),
    "sunset": (0.24, 0.70, 0.12, (255, 214, 120)),
    "desert": (0.82, 0.16, 0.080, (255, 244, 190)),
}
_STARS = ((0.10, 0.12), (0.24, 0.30), (0.36, 0.10), (0.52, 0.22), (0.62, 0.08), (0.90, 0.38), (0.12, 0.46), (0.68, 0.42))


@lru_cache(maxsize=64)
def background(place: str, size: int) -> np.ndarray:
    """The empty place as ``[size, size, 3]`` float32, 0..1."""
    x, y = _grid(size)
    top, horizon, near, bottom = (np.array(colour, np.float32) / 255 for colour in _PALETTE[place])
    line = GROUND - 0.02 + _relief(place, x)
    sky = top + (horizon - top) * np.clip(y / line, 0, 1)[..., None] ** 1.3
    ground = near + (bottom - near) * np.clip((y - line) / (1 - line), 0, 1)[..., None]
    if place in _DISCS:
        centre_x, centre_y, radius, colour = _DISCS[place]
        disc = _cover(np.hypot(x - centre_x, y - centre_y) - radius, size)[..., None]
        sky = sky * (1 - disc) + disc * np.array(colour, np.float32) / 255
    if place == "night":
        for star_x, star_y in _STARS:
            sky = np.maximum(sky, _cover(np.hypot(x - star_x, y - star_y) - 0.007, size)[..., None])
    below = _cover(line - y, size)[..., None]
    return (sky * (1 - below) + ground * below).astype(np.float32)


def render(scene: Scene, num_frames: int, frame_rate: float, size: int = 128) -> np.ndarray:
    """The clip as ``[F, size, size, 3]`` uint8."""
    duration_s = num_frames / frame_rate
    frames = [render_frame(scene, pose(scene, index / frame_rate, duration_s), size)[0] for index in range(num_frames)]
    return np.stack(frames)


def render_frame(scene: Scene, at: Pose, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """One picture ``[size, size, 3]`` uint8 and the shape's coverage ``[size, size]`` float32, 0..1."""
    x, y = _grid(size)
    picture = background(scene.place, size)
    lift = max(0.0, GROUND - at.radius - at.y)
    reach = at.radius * (1 - 0.4 * min(1.0, lift / 0.5))
    shadow = np.exp(-(((x - at.x) / reach) ** 2) - ((y - GROUND - 0.012) / 0.022) ** 2) * 0.45 * math.exp(-3 * lift)
    mask = coverage(scene.shape, at, size)
    body = np.array(COLOURS[scene.colour], np.float32) / 255
    light = 0.86 + 0.30 * np.clip(0.5 - ((x - at.x) + (y - at.y)) / (2.2 * at.radius), 0, 1)
    painted = np.clip(body * light[..., None], 0, 1)
    picture = picture * (1 - shadow[..., None])
    picture = picture * (1 - mask[..., None]) + painted * mask[..., None]
    return (picture * 255 + 0.5).astype(np.uint8), mask


def coverage(shape: str, at: Pose, size: int) -> np.ndarray:
    """How much of each pixel the shape covers, ``[size, size]`` float32, 0..1."""
    x, y = _grid(size)
    return _cover(_distance(shape, at, x, y), size)


@lru_cache(maxsize=8)
def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres as shares of the picture: x ``[1, size]`` and y ``[size, 1]`` broadcast together."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.meshgrid(centres, centres)
    return x, y


def _relief(place: str, x: np.ndarray) -> np.ndarray | float:
    match place:
        case "desert":
            return 0.030 * np.sin(7.0 * x + 0.6)
        case "grass":
            return 0.018 * np.sin(5.0 * x + 2.0)
        case "snow":
            return 0.022 * np.sin(6.0 * x + 4.0)
        case _:
            return 0.0


def _cover(distance: np.ndarray, size: int) -> np.ndarray:
    """Coverage 0..1 of pixels at a signed distance (picture shares), softened over about one pixel."""
    return np.clip(0.5 - distance * size / 1.4, 0, 1)


def _distance(shape: str, at: Pose, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to the shape's outline, negative inside (formulas after Quilez, 2D distance functions)."""
    cos, sin = math.cos(at.angle), math.sin(at.angle)
    wide = 1 + 0.7 * (1 - at.squash)
    dx, dy = (x - at.x) / wide, (y - at.y) / at.squash
    px, py, radius = cos * dx + sin * dy, -sin * dx + cos * dy, at.radius
    match shape:
        case "ball":
            return np.hypot(px, py) - radius
        case "cube":
            qx, qy = np.abs(px) - 0.80 * radius, np.abs(py) - 0.80 * radius
            return np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0) - 0.06 * radius
        case "ring":
            return np.abs(np.hypot(px, py) - 0.72 * radius) - 0.27 * radius
        case "triangle":
            return _polygon(px, py, radius * 1.12, 3, 0.5)
        case "star":
            return _star(px, py, radius * 1.15)
        case _:
            return _heart(px / radius, py / radius) * radius


def _polygon(px: np.ndarray, py: np.ndarray, radius: float, sides: int, inner: float) -> np.ndarray:
    """A regular polygon that stands on its side, corners at ``radius``."""
    angle = np.arctan2(px, -py)
    sector = 2 * math.pi / sides
    folded = (angle + sector / 2) % sector - sector / 2
    return np.hypot(px, py) * np.cos(sector / 2 - np.abs(folded)) - inner * radius


def _star(px: np.ndarray, py: np.ndarray, radius: float) -> np.ndarray:
    """Five points: the distance to the edge between an outer and an inner corner, mirrored around."""
    sector = 2 * math.pi / 5
    angle = np.abs((np.arctan2(px, -py) + sector / 2) % sector - sector / 2)
    length = np.hypot(px, py)
    qx, qy = length * np.cos(angle), length * np.sin(angle)
    inner_x, inner_y = 0.46 * radius * math.cos(sector / 2), 0.46 * radius * math.sin(sector / 2)
    edge_x, edge_y = inner_x - radius, inner_y
    return ((qx - radius) * edge_y - qy * edge_x) / math.hypot(edge_x, edge_y)


def _heart(px: np.ndarray, py: np.ndarray) -> np.ndarray:
    """A heart of unit radius: two round lobes over a square that stands on its corner, tangent to both."""
    ax, ay = np.abs(px), py + 0.02
    lobe = np.hypot(ax - 0.44, ay + 0.33) - 0.60
    point = (ax + ay - 0.96) / math.sqrt(2)
    body = np.maximum(point, np.maximum(-0.33 - ay, ax - 1.04))
    return np.minimum(lobe, body)
