"""A clip file's measures, read from its header and a count of its frames."""

from __future__ import annotations

from pathlib import Path

from pipelines.clip_io import opened
from pipelines.editing.plan import Shape
from pipelines.registry import Defaults


def shape_of(path: Path, unseen: Defaults) -> Shape:
    """The shape of a clip that this studio wrote: constant frame rate, every frame counted in its header.

    A clip without a picture is counted as if it had one of the model's own, ``unseen``. Raises ``InvalidRequest`` for unreadable
    files.
    """
    with opened(path) as container:
        video = next(iter(container.streams.video), None)
        has_audio = bool(container.streams.audio)
        if video is not None:
            return Shape(video.height, video.width, video.frames, float(video.average_rate), has_audio=has_audio)
        frames = max(1, round((container.duration or 0) / 1e6 * unseen.frame_rate))
        return Shape(unseen.height, unseen.width, frames, unseen.frame_rate, has_video=False, has_audio=has_audio)
