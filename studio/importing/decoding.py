"""The frames of one stream, decoded one by one; what is damaged is passed over and counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from av.error import FFmpegError


class Decoder:
    """Iterates over the frames of ``stream``; ``whole`` and ``damaged`` count what came of its packets so far."""

    def __init__(self, container: Any, stream: Any) -> None:
        stream.thread_type = "AUTO"
        self._packets = container.demux(stream)
        self.whole = self.damaged = 0

    def __iter__(self) -> Iterator[Any]:
        while (packet := self._next()) is not None:
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                self.damaged += frame.is_corrupt
                self.whole += not frame.is_corrupt
                yield frame

    def _next(self) -> Any:
        try:
            return next(self._packets, None)
        except MemoryError:
            raise
        except FFmpegError:  # the file ends in the middle of a packet
            return None
