"""What the child process is told to do and what it answers: plain values that travel as JSON, loaded in no time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

MOST_STREAMS = 32
LARGEST_SIDE = 8192
MOST_PIXELS = 8192 * 4320
MOST_FRAME_BYTES = 768 * 1024**2
"""All frames of a clip, as RGB: the tools of the studio hold a clip in memory."""


class Refusal(Exception):
    """Why a file does not become a clip: one sentence, and the HTTP status that it maps to."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Room:
    """What the model that the clip is made to fit can take; ``height``, ``width`` and ``frame_rate`` are its own."""

    pixel_multiple: int
    min_side: int
    max_side: int
    frame_rates: tuple[float, float]
    height: int
    width: int
    frame_rate: float


@dataclass(frozen=True)
class Order:
    """One file to be made into a clip: ``request`` is an ``ImportRequest`` whose shape is still open."""

    source: str
    target: str
    request: dict[str, Any]
    code_version: str
    room: Room
    max_seconds: float
    probe_s: float = 10.0
    """How long the child may take to its verdict, from the moment at which it stands ready."""
    convert_s: float = 300.0
    """How long it may take from the verdict to the finished clip."""
    memory_bytes: int = 3 * 1024**3
    """Address space of the child."""

    def to_json(self) -> str:
        """As the child reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """The order that ``to_json`` wrote down."""
        body = json.loads(text)
        room = body.pop("room")
        return cls(room=Room(**{**room, "frame_rates": tuple(room["frame_rates"])}), **body)
