"""References as models are shown them: images and clips as frames of the clip's size and speed, cut to fill it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.clip_io import read_media
from pipelines.conditioning import cover
from pipelines.contract import InvalidRequest


def picture_of(path: Path, field: str = "references") -> Image.Image:
    """A stored image, which is for ``field``. Raises ``InvalidRequest``."""
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
            return image.convert("RGB")
    except OSError as error:
        raise InvalidRequest(f"{field} cannot be read ({error}); upload the image again.", field=field) from error


def frames_of(path: Path, num_frames: int, frame_rate: float) -> np.ndarray:
    """Frames ``[F, H, W, 3]`` uint8 of a clip at ``frame_rate``, ``num_frames`` of them or as many as it has.

    Raises ``InvalidRequest`` for a clip without a picture.
    """
    media = read_media(path)
    if media.frames is None or media.frame_rate is None:
        raise InvalidRequest("references has a clip without a picture: choose another.", field="references")
    index = np.round(np.arange(num_frames) / frame_rate * media.frame_rate).astype(int)
    return media.frames[index[index < len(media.frames)]]


def covered(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Each frame cut in the middle and scaled to ``height x width``."""
    if frames.shape[1:3] == (height, width):
        return frames
    return np.stack([np.asarray(cover(Image.fromarray(frame), height, width)) for frame in frames])
