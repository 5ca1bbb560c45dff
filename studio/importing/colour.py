"""Frames of any colour space, depth and range as 8-bit RGB with the primaries and the curve of BT.709.

High dynamic range is brought down on the display's side: the signal to light (SMPTE ST 2084, or ITU-R BT.2100 hybrid log-gamma
for a display of 1000 cd/m2), light relative to the 203 cd/m2 of reference white (ITU-R BT.2408) into BT.709 primaries, highlights
bent below white by a soft knee that keeps their hue, and light to signal with BT.1886's exponent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from studio.importing.fitting import Size

_WHITE = 203.0
_KNEE = 0.6
_GAMMA = 2.4
_UNTOLD, _BT709, _BT601, _BT2020 = 2, 1, 5, 9
_KNOWN_MATRICES = (0, 1, 4, 5, 6, 7, 9)
_PQ, _HLG = 16, 18
# To BT.709 from BT.2020 and from Display P3, both with the white of D65.
_TO_BT709 = {
    9: np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32),
    12: np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]], np.float32),
}
_BT2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)


class Painter:
    """Makes RGB of the frames of one stream, scaled as each is told; keeps swscale's tables between frames."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self.changes: set[str] = set()
        """What was done to colours, in words for a notice."""

    def paint(self, frame: Any, size: Size) -> np.ndarray:
        """``frame`` at ``size`` as ``[H, W, 3]`` uint8, transparent parts on white."""
        if any(component.is_alpha for component in frame.format.components):
            return self._on_white(frame, size)
        is_wide = frame.color_trc in (_PQ, _HLG) or frame.color_primaries in _TO_BT709
        scaled = self._scaled(frame, size, "rgb48le" if is_wide else "rgb24")
        if not is_wide:
            return scaled
        is_bright = frame.color_trc in (_PQ, _HLG)
        self.changes.add("High dynamic range was" if is_bright else "The wide range of colours was")
        return narrowed(scaled, frame.color_trc, frame.color_primaries)

    def _scaled(self, frame: Any, size: Size, format: str) -> np.ndarray:
        is_smaller = size.height < frame.height or size.width < frame.width
        kernel = Interpolation.AREA if is_smaller else Interpolation.BICUBIC
        made = self._reformatter.reformat(
            frame, size.width, size.height, format, src_colorspace=_matrix(frame), interpolation=kernel
        )
        pixels: np.ndarray = made.to_ndarray()
        return pixels

    def _on_white(self, frame: Any, size: Size) -> np.ndarray:
        """Blended before it is scaled: colours that nobody sees must not seep in at the edges."""
        layer = self._reformatter.reformat(frame, format="rgba", src_colorspace=_matrix(frame)).to_ndarray()
        alpha = layer[..., 3:].astype(np.float32) / 255
        if alpha.min() < 1:
            self.changes.add("Transparent parts were")
        flat = np.round(layer[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
        if flat.shape[:2] == (size.height, size.width):
            return flat
        is_smaller = size.height < frame.height or size.width < frame.width
        return cv2.resize(flat, (size.width, size.height), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC)

    def notices(self) -> list[str]:
        """One sentence for each change."""
        ends = {"Transparent parts were": "put on white."}
        return [f"{change} {ends.get(change, 'brought to standard range (BT.709, 8 bit).')}" for change in sorted(self.changes)]


def _matrix(frame: Any) -> int | None:
    """The matrix from YUV that players take: as told, and by the size where nothing is told. ``None`` for RGB."""
    told = frame.colorspace
    if told in _KNOWN_MATRICES:
        return None
    if told == 10 or frame.color_primaries == _BT2020:
        return _BT2020
    return _BT709 if frame.height >= 720 else _BT601


def narrowed(signal: np.ndarray, curve: int, primaries: int) -> np.ndarray:
    """16-bit RGB ``[H, W, 3]`` of a wide space as 8-bit BT.709; ``curve`` and ``primaries`` are numbers of ITU-T H.273."""
    light = _light_of(curve)[signal]
    if curve == _HLG:  # the display's own brightness bends the scene's light (BT.2100, gamma 1.2)
        light *= (light @ _BT2020_LUMINANCE)[..., None] ** 0.2 * (1000 / _WHITE)
    matrix = _TO_BT709.get(primaries)
    if matrix is not None:
        light = light @ matrix.T
    light = np.maximum(light, 0)
    if curve in (_PQ, _HLG):
        peak = light.max(axis=-1, keepdims=True)
        bent = _KNEE + (1 - _KNEE) * (1 - np.exp(-(peak - _KNEE) / (1 - _KNEE)))
        light *= np.where(peak > _KNEE, bent / np.maximum(peak, 1e-6), 1)
    return np.round(255 * np.minimum(light, 1) ** (1 / _GAMMA)).astype(np.uint8)


@cache
def _light_of(curve: int) -> np.ndarray:
    """The light of every 16-bit signal: reference white is 1 for PQ and SDR, HLG is scene light from 0 to 1."""
    signal = np.linspace(0, 1, 65536)
    curves: dict[int, Callable[[np.ndarray], np.ndarray]] = {_PQ: _pq, _HLG: _hlg}
    return curves.get(curve, _sdr)(signal).astype(np.float32)


def _sdr(signal: np.ndarray) -> np.ndarray:
    """BT.1886's EOTF, over white."""
    bright: np.ndarray = signal**_GAMMA
    return bright


def _pq(signal: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084's EOTF, over reference white."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    bright: np.ndarray = 10_000 / _WHITE * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return bright


def _hlg(signal: np.ndarray) -> np.ndarray:
    """BT.2100's inverse OETF of hybrid log-gamma."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
