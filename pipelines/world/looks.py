"""The looks: what is done to a finished picture so that it seems drawn, lit or printed otherwise."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

_PAPER = np.array((0.97, 0.95, 0.90), np.float32)
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


def apply(look: str, picture: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """``picture`` ``[S, S, 3]`` float32, 0..1, in another look; the same array for ``flat``.

    ``cover`` ``[S, S]``, 0..1, is where subjects are: outlines and glows are theirs.
    """
    match look:
        case "pixel":
            return _pixels(picture)
        case "sketch":
            return _sketch(picture, cover)
        case "neon":
            return _neon(picture, cover)
        case "noir":
            return _noir(picture)
        case _:
            return picture


def _pixels(picture: np.ndarray) -> np.ndarray:
    """Blocks of a thirty-second of the picture."""
    size = picture.shape[0]
    small = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_NEAREST)


def _outline(cover: np.ndarray) -> np.ndarray:
    """A soft line of about three pixels of 128 along the subjects' edges, ``[S, S, 1]``, 0..1."""
    soft = cv2.GaussianBlur(cover, (0, 0), 1.3 * cover.shape[0] / 128)
    return np.asarray(np.clip(4.4 * soft * (1 - soft) - 0.1, 0, 1))[..., None]


def _sketch(picture: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Grey pencil on paper: things keep a third of their colour and get an outline, the place is only hinted at."""
    luma = (picture @ _LUMA)[..., None]
    share = 0.30 + 0.45 * cover[..., None]
    drawn = 0.55 * luma + 0.45 * picture
    return np.asarray((_PAPER * (1 - share) + drawn * share) * (1 - 0.8 * _outline(cover)))


def _neon(picture: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """A dark place in which subjects are vivid and glow in their own colours."""
    size, body = picture.shape[0], cover[..., None]
    luma = (picture @ _LUMA)[..., None]
    vivid = np.clip(luma + 1.7 * (picture - luma), 0, 1)
    dark = 0.30 * picture * np.array((0.8, 0.7, 1.3), np.float32)
    glow = cv2.GaussianBlur(vivid * body, (0, 0), size / 128 * 6.0)
    return np.asarray(np.clip(dark * (1 - body) + 0.9 * vivid * body + 1.1 * glow * (1 - body) + 0.3 * _outline(cover), 0, 1))


def _noir(picture: np.ndarray) -> np.ndarray:
    """Hard greys and dark corners."""
    luma = (picture @ _LUMA)[..., None]
    hard = 0.5 + 0.62 * np.tanh(2.6 * (luma - 0.5))
    return np.repeat(np.clip(hard * _vignette(picture.shape[0]), 0, 1), 3, axis=-1)


@lru_cache(maxsize=4)
def _vignette(size: int) -> np.ndarray:
    line = np.linspace(-1, 1, size, dtype=np.float32)
    return np.asarray(1 - 0.45 * np.clip(np.hypot(line[None], line[:, None]) - 0.55, 0, 1))[..., None]
