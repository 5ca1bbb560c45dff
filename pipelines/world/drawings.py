"""What subjects look like before they are placed: square tiles with premultiplied alpha, at several sizes."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from pipelines.world.atlas import head, sprite
from pipelines.world.motion import Pose
from pipelines.world.scene import Subject

TILE = 256
REACH = 0.48
"""A subject of radius 1 reaches this share of its tile from the centre."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 40, 44),
    "orange": (245, 138, 31),
    "yellow": (248, 218, 50),
    "green": (38, 166, 75),
    "teal": (40, 186, 190),
    "blue": (42, 92, 226),
    "purple": (142, 62, 190),
    "pink": (248, 130, 182),
    "brown": (140, 84, 44),
    "white": (244, 244, 246),
}
_LIPS, _THROAT, _TEETH = (0.44, 0.10, 0.12), (0.22, 0.04, 0.06), (0.97, 0.97, 0.95)


def tile(subject: Subject, pose: Pose, pixels: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The subject as ``[P, P, 4]`` float32, premultiplied, P the smallest stored size not below ``pixels``.

    The second part is the coverage of a talker's mouth region ``[P, P]``, else ``None``.
    """
    size = next((size for size in (32, 64, 128) if size >= pixels), TILE)
    if not subject.is_talker:
        return _still(subject.name, subject.drawing, subject.colour, size), None
    return _talking(subject.name, subject.drawing, pose, size)


@lru_cache(maxsize=512)
def _still(name: str, drawing: int, colour: str | None, size: int) -> np.ndarray:
    whole = sprite(name, drawing) if colour is None else _shape(name, colour)
    return whole if size == TILE else cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=256)
def _face(name: str, identity: int, size: int) -> np.ndarray:
    whole = head(name, identity).picture
    return whole if size == TILE else cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA)


def _talking(name: str, identity: int, pose: Pose, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A head with its mouth painted: lips as an ellipse, the throat inside, teeth where lips are wide and apart."""
    face, spot = _face(name, identity, size).copy(), head(name, identity)
    x, y = _centres(size)
    # Never narrower than this: a mouth of three pixels can neither be learnt nor seen.
    half = max(0.5 * spot.mouth_width, 0.12) * (0.62 + 0.50 * pose.mouth_wide)
    tall = 0.022 + 0.13 * pose.mouth_open
    centre_y = spot.mouth_y + 0.4 * tall
    across, down = (x - spot.mouth_x) / half, (y - centre_y) / tall
    softness = size * min(half, tall)
    lips = np.clip(0.5 - (np.hypot(across, down) - 1) * softness / 1.4, 0, 1)[..., None]
    face[..., :3] = face[..., :3] * (1 - lips) + lips * np.array(_LIPS, np.float32)
    if pose.mouth_open > 0.12:
        inside = np.clip(0.5 - (np.hypot(across / 0.82, down / 0.74) - 1) * 0.8 * softness / 1.4, 0, 1)[..., None]
        face[..., :3] = face[..., :3] * (1 - inside) + inside * np.array(_THROAT, np.float32)
        teeth = inside * np.clip(0.5 - (down + 0.42) * size * tall / 1.4, 0, 1)[..., None] * (pose.mouth_wide > 0.55)
        face[..., :3] = face[..., :3] * (1 - teeth) + teeth * np.array(_TEETH, np.float32)
    face[..., 3:] = np.maximum(face[..., 3:], lips)
    region = np.clip(0.5 - (np.hypot((x - spot.mouth_x) / (1.2 * half), (y - spot.mouth_y - 0.06) / 0.14) - 1) * 8, 0, 1)
    return face, region.astype(np.float32)


@lru_cache(maxsize=8)
def _centres(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres as shares of the tile: x ``[1, size]`` and y ``[size, 1]`` broadcast together."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    return centres[None, :], centres[:, None]


@lru_cache(maxsize=64)
def _shape(name: str, colour: str) -> np.ndarray:
    """A shape in its colour, lit from the upper left."""
    x, y = _centres(TILE)
    px, py = (x - 0.5) / REACH, (y - 0.5) / REACH
    mask = np.clip(0.5 - _distance(name, px, py) * TILE * REACH / 1.4, 0, 1)[..., None]
    light = 0.86 + 0.30 * np.clip(0.5 - (px + py) / 2.2, 0, 1)
    body = np.clip(np.array(COLOURS[colour], np.float32) / 255 * light[..., None], 0, 1)
    return np.concatenate([body * mask, mask], axis=-1).astype(np.float32)


def _distance(name: str, px: np.ndarray, py: np.ndarray) -> np.ndarray:
    """Signed distance to the outline of a shape of radius 1, negative inside (after Quilez, 2D distance functions)."""
    px, py = np.broadcast_arrays(px, py)
    match name:
        case "ball":
            return np.hypot(px, py) - 1
        case "cube":
            qx, qy = np.abs(px) - 0.80, np.abs(py) - 0.80
            return np.asarray(np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0) - 0.06)
        case "ring":
            return np.asarray(np.abs(np.hypot(px, py) - 0.70) - 0.29)
        case "triangle":
            return _polygon(px, py - 0.14, 1.14)
        case "star":
            return _star(px, py, 1.04)
        case _:
            return _heart(px, py)


def _polygon(px: np.ndarray, py: np.ndarray, radius: float) -> np.ndarray:
    """A triangle that stands on its side, corners at ``radius``."""
    sector = 2 * math.pi / 3
    folded = (np.arctan2(px, -py) + sector / 2) % sector - sector / 2
    return np.asarray(np.hypot(px, py) * np.cos(sector / 2 - np.abs(folded)) - 0.5 * radius)


def _star(px: np.ndarray, py: np.ndarray, radius: float) -> np.ndarray:
    """Five points: the distance to the edge between an outer and an inner corner, mirrored around."""
    sector = 2 * math.pi / 5
    angle = np.abs((np.arctan2(px, -py) + sector / 2) % sector - sector / 2)
    length = np.hypot(px, py)
    qx, qy = length * np.cos(angle), length * np.sin(angle)
    inner_x, inner_y = 0.46 * radius * math.cos(sector / 2), 0.46 * radius * math.sin(sector / 2)
    edge_x, edge_y = inner_x - radius, inner_y
    return np.asarray(((qx - radius) * edge_y - qy * edge_x) / math.hypot(edge_x, edge_y))


def _heart(px: np.ndarray, py: np.ndarray) -> np.ndarray:
    """Two round lobes over a square that stands on its corner, tangent to both."""
    ax, ay = np.abs(px), py + 0.02
    lobe = np.hypot(ax - 0.44, ay + 0.33) - 0.60
    point = (ax + ay - 0.96) / math.sqrt(2)
    body = np.maximum(point, np.maximum(-0.33 - ay, ax - 1.04))
    return np.asarray(np.minimum(lobe, body))
