"""Latents to few bytes and back: one step size a channel, the change over time, and an adaptive entropy coder.

Values are rounded to multiples of their channel's step. Where a channel hardly moves, the difference to the moment before
is written instead; that is exact, being taken between whole numbers. LZMA's literal coder, an adaptive binary range coder
(https://www.7-zip.org/sdk.html), then takes the numbers as bytes, those of one moment together, so that it follows from
channel to channel how large they are.
"""

from __future__ import annotations

import lzma
import struct

import numpy as np

# No literal context and no alignment: neighbouring bytes are different channels or places, not letters of one word.
_CODER = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 20, "lc": 0, "lp": 0, "pb": 0}]
_PER_OCTAVE = 8
_MIDDLE = 128
_ESCAPE = 255
_LARGEST = 2**30


def exponents_of(steps: np.ndarray) -> np.ndarray:
    """Step sizes as uint8, an eighth of an octave apart from 2^-16 to almost 2^16."""
    return np.clip(np.round(np.log2(steps) * _PER_OCTAVE) + _MIDDLE, 0, 255).astype(np.uint8)


def steps_of(exponents: np.ndarray) -> np.ndarray:
    """The inverse of ``exponents_of``."""
    steps: np.ndarray = np.exp2((exponents.astype(np.float64) - _MIDDLE) / _PER_OCTAVE)
    return steps


def pack(values_TPC: np.ndarray, exponents_C: np.ndarray) -> bytes:
    """``[moments, places, channels]`` as bytes; off by half a step at most. Raises ``ValueError`` for what is not finite."""
    scaled = values_TPC.astype(np.float64) / steps_of(exponents_C)
    if not np.isfinite(scaled).all() or np.abs(scaled).max(initial=0) > _LARGEST:
        raise ValueError("latents are not finite, or far too large for their steps")
    whole = np.rint(scaled).astype(np.int64)
    changes = np.diff(whole, axis=0, prepend=0)
    moves = _bits(changes) < _bits(whole)
    numbers = np.where(moves, changes, whole).transpose(0, 2, 1).ravel()
    folded = 2 * np.abs(numbers) - (numbers < 0)  # 0, -1, 1, -2, 2 ... as 0, 1, 2, 3, 4 ...
    large = folded[folded >= _ESCAPE]
    coded = lzma.compress(np.minimum(folded, _ESCAPE).astype(np.uint8).tobytes(), lzma.FORMAT_RAW, filters=_CODER)
    return b"".join(
        (struct.pack("<II", len(coded), len(large)), np.packbits(moves).tobytes(), coded, large.astype("<u8").tobytes())
    )


def unpack(body: bytes, shape: tuple[int, int, int], exponents_C: np.ndarray) -> np.ndarray:
    """The inverse of ``pack``, float32. Raises ``ValueError`` where ``body`` is not of that shape."""
    moments, places, channels = shape
    begin = struct.calcsize("<II") + (channels + 7) // 8
    try:
        length, large = struct.unpack_from("<II", body)
        moves = np.unpackbits(np.frombuffer(body[begin - (channels + 7) // 8 : begin], np.uint8), count=channels).astype(bool)
        coded = lzma.decompress(body[begin : begin + length], lzma.FORMAT_RAW, filters=_CODER)
    except (struct.error, lzma.LZMAError) as error:
        raise ValueError(f"packed latents cannot be read ({error})") from error
    folded = np.frombuffer(coded, np.uint8).astype(np.int64)
    tail = body[begin + length :]
    if folded.size != moments * places * channels or len(tail) != 8 * large or (folded == _ESCAPE).sum() != large:
        raise ValueError("packed latents have another shape")
    folded[folded == _ESCAPE] = np.frombuffer(tail, "<u8")
    numbers = np.where(folded % 2, -(folded + 1) // 2, folded // 2).reshape(moments, channels, places).transpose(0, 2, 1)
    whole = np.where(moves, np.cumsum(numbers, axis=0), numbers)
    values: np.ndarray = (whole * steps_of(exponents_C)).astype(np.float32)
    return values


def _bits(numbers_TPC: np.ndarray) -> np.ndarray:
    """About how many bits each channel takes."""
    bits: np.ndarray = np.log2(1 + np.abs(numbers_TPC)).sum((0, 1))
    return bits
