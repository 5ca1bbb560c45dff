"""Pictures of the procedural world: a place seen by a camera, subjects with their shadows in it, and a look over it all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from pipelines.world.drawings import REACH, tile
from pipelines.world.looks import apply
from pipelines.world.motion import GROUND, Pose, poses
from pipelines.world.places import MARGIN_X, MARGIN_Y, painting
from pipelines.world.scene import Scene, Subject

_PAN = 0.17
_ZOOM = 0.45


@dataclass(frozen=True)
class View:
    """What the camera sees: the world's point at the picture's centre, and how much larger than life things are."""

    x: float = 0.5
    y: float = 0.5
    scale: float = 1.0


def view(scene: Scene, time_s: float, duration_s: float) -> View:
    """Where the camera is at one moment."""
    share = time_s / duration_s
    match scene.camera:
        case "pan left":
            return View(0.5 + _PAN * (1 - 2 * share))
        case "pan right":
            return View(0.5 - _PAN * (1 - 2 * share))
        case "zoom in":
            return View(0.5, 0.5 + 0.06 * share, 1 + _ZOOM * share)
        case "zoom out":
            return View(0.5, 0.5 + 0.06 * (1 - share), 1 + _ZOOM * (1 - share))
        case "shake":
            turn = 2 * math.pi * (time_s + scene.phase)
            return View(0.5 + 0.030 * math.sin(3.1 * turn) + 0.015 * math.sin(4.3 * turn), 0.5 + 0.025 * math.sin(3.7 * turn + 1))
        case _:
            return View()


def render(scene: Scene, num_frames: int, frame_rate: float, size: int = 128) -> np.ndarray:
    """The clip as ``[F, size, size, 3]`` uint8."""
    times = np.arange(num_frames) / frame_rate
    return render_at(scene, times, num_frames / frame_rate, size)[0]


def render_at(scene: Scene, times_s: np.ndarray, duration_s: float, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Pictures ``[F, size, size, 3]`` uint8 at the given moments, and how much subjects cover ``[F, size, size]``, 0..2.

    A mouth counts twice: it is small, and it is what speech is about.
    """
    made, covers = [], []
    for time_s, placed in zip(times_s, poses(scene, times_s, duration_s), strict=True):
        seen = view(scene, float(time_s), duration_s)
        picture = _place(scene.place, seen, size)
        cover = np.zeros((size, size), np.float32)
        for pose in placed:
            _shade(picture, pose, seen)
        for subject, pose in zip(scene.subjects, placed, strict=True):
            _put(picture, cover, subject, pose, seen)
        made.append((np.clip(apply(scene.look, picture, np.minimum(cover, 1)), 0, 1) * 255 + 0.5).astype(np.uint8))
        covers.append(cover)
    return np.stack(made), np.stack(covers)


def _place(place: str, seen: View, size: int) -> np.ndarray:
    """The part of the painting that the camera sees, ``[size, size, 3]`` float32."""
    whole = painting(place, size)
    step = 1 / seen.scale
    left, top = (seen.x + MARGIN_X) * size - 0.5 * size * step, (seen.y + MARGIN_Y) * size - 0.5 * size * step
    matrix = np.array(((step, 0, left + 0.5 * step - 0.5), (0, step, top + 0.5 * step - 0.5)))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(whole, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _shade(picture: np.ndarray, pose: Pose, seen: View) -> None:
    """A soft shadow on the ground under the subject, smaller and paler the higher it is."""
    size = picture.shape[0]
    x, y = _grid(size)
    lift = max(0.0, GROUND - pose.radius - pose.y)
    reach = pose.radius * (1 - 0.4 * min(1.0, lift / 0.5)) * seen.scale
    centre_x, centre_y = _on_screen(pose.x, GROUND + 0.012, seen)
    depth = 0.45 * math.exp(-3 * lift)
    shadow = np.exp(-(((x - centre_x) / reach) ** 2)) * (np.exp(-(((y - centre_y) / (0.022 * seen.scale)) ** 2)) * depth)
    picture *= 1 - shadow[..., None]


def _put(picture: np.ndarray, cover: np.ndarray, subject: Subject, pose: Pose, seen: View) -> None:
    """Paint the subject over the picture and add what it covers, both in place."""
    size = picture.shape[0]
    radius = pose.radius * seen.scale * size
    drawn, mouth = tile(subject, pose, round(radius / REACH))
    scale = radius / (REACH * drawn.shape[0])
    centre_x, centre_y = (share * size - 0.5 for share in _on_screen(pose.x, pose.y, seen))
    wide, high = scale * (1 + 0.7 * (1 - pose.squash)), scale * pose.squash
    cos, sin = math.cos(pose.angle), math.sin(pose.angle)
    half = drawn.shape[0] / 2 - 0.5
    turn = np.array(((wide * cos, -wide * sin), (high * sin, high * cos)))
    shift = np.array((centre_x, centre_y)) - turn @ np.array((half, half))
    matrix = np.concatenate([turn, shift[:, None]], axis=1)
    placed = cv2.warpAffine(drawn, matrix, (size, size), flags=cv2.INTER_LINEAR)
    picture *= 1 - placed[..., 3:]
    picture += placed[..., :3]
    np.maximum(cover, placed[..., 3], out=cover)
    if mouth is not None:
        cover += cv2.warpAffine(mouth, matrix, (size, size), flags=cv2.INTER_LINEAR) * placed[..., 3]


def _on_screen(x: float, y: float, seen: View) -> tuple[float, float]:
    return 0.5 + (x - seen.x) * seen.scale, 0.5 + (y - seen.y) * seen.scale


@lru_cache(maxsize=8)
def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    return centres[None, :], centres[:, None]
