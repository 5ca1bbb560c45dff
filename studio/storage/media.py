"""Which owner has uploaded which image."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from studio.storage.database import Connection


@dataclass(frozen=True)
class MediaRow:
    """One image of one owner; sides in pixels."""

    owner: str
    reference: str
    width: int
    height: int
    size_bytes: int
    created_at: str


def add(connection: Connection, row: MediaRow) -> None:
    """Note that the owner has this image; again is no fault."""
    connection.execute("INSERT INTO media VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", astuple(row))


def has(connection: Connection, owner: str, reference: str) -> bool:
    """Whether the owner has uploaded this image."""
    found = connection.execute("SELECT 1 FROM media WHERE owner = ? AND reference = ?", (owner, reference)).fetchone()
    return found is not None
