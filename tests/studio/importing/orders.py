"""Orders for the child process, as the upload service gives them."""

from __future__ import annotations

from pathlib import Path

from studio.importing.order import Order, Room

POCKET = Room(32, 64, 512, (8.0, 60.0), 128, 128, 12.0)


def order_for(source: Path, target: Path, room: Room = POCKET, max_seconds: float = 60.0) -> Order:
    """A file to be made into a clip for a small model."""
    request = {"kind": "import", "prompt": source.stem, "file_name": source.name, "file_sha256": "0" * 64}
    return Order(str(source), str(target), request, "test", room, max_seconds)
