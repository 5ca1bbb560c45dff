"""A film of what differs between two clips.

``python -m pipelines.metrics.difference A B OUT`` writes it, for those who have no room for two clips of any size themselves.
Exits 0, or 2 with ``{"message": ..., "field": ...}`` on its standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.clip_io import read_media, write_film
from pipelines.contract import InvalidRequest, StudioError

_SAME_RATE = 0.01
GAIN = 3
"""How much brighter than it is a difference is shown: small ones are those worth a map."""


def difference(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """``GAIN`` times the difference of two clips ``[F, H, W, 3]`` uint8, over the frames that both have."""
    found = np.empty_like(one[: min(len(one), len(two))])
    for made, here, there in zip(found, one, two, strict=False):  # a frame at a time: clips may be large
        made[:] = np.minimum(GAIN * np.abs(here.astype(np.int16) - there), 255)
    return found


def write_difference(files: Sequence[Path], out: Path) -> None:
    """An MP4 of what differs between two clips' pictures. Raises ``InvalidRequest`` where there is none, or no writing it."""
    if len(files) != 2:
        raise InvalidRequest(f"map shows what differs between two clips, and {len(files)} are given.", field="map")
    if out.suffix.lower() != ".mp4" or not out.absolute().parent.is_dir():
        raise InvalidRequest(f"map is {str(out)[:200]}; name an MP4 in a folder that exists.", field="map")
    if any(out.exists() and file.exists() and out.samefile(file) for file in files):
        raise InvalidRequest("map is one of the clips; name another file.", field="map")
    one, two = (_film(file) for file in files)
    if one[0].shape[1:] != two[0].shape[1:]:
        sizes = " and ".join(f"{frames.shape[2]}x{frames.shape[1]}" for frames, _ in (one, two))
        raise InvalidRequest(f"map needs two clips of one size; these are {sizes}.", field="map")
    if abs(one[1] - two[1]) > _SAME_RATE:
        raise InvalidRequest(f"map needs two clips of one frame rate; these have {one[1]:g} and {two[1]:g}.", field="map")
    found = difference(one[0], two[0])
    height, width = found.shape[1] // 2 * 2, found.shape[2] // 2 * 2  # H.264 stores colours for two by two pixels
    try:
        write_film(out, found[:, :height, :width], one[1])
    except OSError as error:  # such as a folder that nobody may write to; a full disk is told by write_film
        raise InvalidRequest(
            f"map cannot be written to {str(out)[:200]} ({error.strerror}); name another file.", field="map"
        ) from error


def _film(file: Path) -> tuple[np.ndarray, float]:
    """Frames, and how many a second."""
    if not file.is_file():
        raise InvalidRequest(f"file {str(file)[:200]} does not exist; check the path.", field="file")
    media = read_media(file)
    if media.frames is None or media.frame_rate is None:
        raise InvalidRequest(f"map needs pictures, and {file.name} has none.", field="map")
    return media.frames, media.frame_rate


def main(one: str, two: str, out: str) -> int:
    """Exit status 0 once the film is there."""
    try:
        write_difference((Path(one), Path(two)), Path(out))
    except StudioError as error:
        sys.stdout.write(json.dumps({"message": error.message, "field": error.field}) + "\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
