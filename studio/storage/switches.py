"""Switches that stay as they were set over a restart."""

from __future__ import annotations

from studio.storage.database import Connection


def is_on(connection: Connection, name: str) -> bool:
    """Whether the switch was set; one that nobody touched is off."""
    row = connection.execute("SELECT is_on FROM switches WHERE name = ?", (name,)).fetchone()
    return row is not None and bool(row[0])


def turn(connection: Connection, name: str, on: bool) -> None:
    """Set the switch."""
    connection.execute("INSERT INTO switches VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET is_on = excluded.is_on", (name, on))
