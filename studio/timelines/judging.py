"""Whether a file is the clip that a package says it is, told from the MP4's own tables: nothing is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from pipelines.contract import Clip, InvalidRequest, TooLarge

_TOLERANCE_S = 0.25  # a container counts its longest stream, to the end of the last packet
_MOST_SIDE = 8192
_MOST_DECODED_BYTES = 4 * 1024**3  # a strip of a clip is made with all its frames in memory
_FENCES = {"protocol_whitelist": "none", "format_whitelist": "mov"}


def check_clip(path: Path, member: str, clip: Clip) -> None:
    """Raises ``InvalidRequest`` when the file at ``path``, called ``member``, is not ``clip``, ``TooLarge`` when it is huge."""
    if max(clip.height, clip.width) > _MOST_SIDE or clip.num_frames * clip.height * clip.width * 3 > _MOST_DECODED_BYTES:
        raise TooLarge(
            f"file holds {member} of {clip.num_frames:,} frames of {clip.width} x {clip.height}, which is too large.",
            field="file",
        )
    try:
        # Opened here and named MP4: what only names other files, a playlist, is none and finds no way to them.
        with path.open("rb") as stream, av.open(stream, format="mov", container_options=_FENCES) as container:
            is_it = _is(container, clip)
    except (FFmpegError, UnicodeDecodeError):
        is_it = False
    if not is_it:
        raise InvalidRequest(f"file holds {member}, which is not the clip that project.json describes.", field="file")


def _is(container: Any, clip: Clip) -> bool:
    pictures, sounds = container.streams.video, container.streams.audio
    if len(pictures) != clip.has_video or len(sounds) != clip.has_audio:
        return False
    if any((video.width, video.height, video.frames) != (clip.width, clip.height, clip.num_frames) for video in pictures):
        return False
    seconds = [float(container.duration or 0) / av.time_base]
    seconds += [float(stream.duration * stream.time_base) for stream in (*pictures, *sounds) if stream.duration]
    return all(abs(each - clip.num_frames / clip.frame_rate) <= _TOLERANCE_S for each in seconds)
