"""What finished jobs took of the memory, by stage: the evidence of the forecast."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from studio.storage.database import Connection

KEPT = 64
"""Runs of each model and device that are kept, the latest."""


@dataclass(frozen=True)
class MemoryRow:
    """One run: ``work`` and ``peaks`` are JSON, ``free_bytes`` is what was left before it, and
    ``ran_short`` whether that was too little at first."""

    device: str
    model: str
    work: str
    rest_bytes: int
    settled_bytes: int
    free_bytes: int
    peaks: str
    ran_short: bool
    created_at: str


def insert(connection: Connection, row: MemoryRow) -> None:
    """Add a run and let go of those that are too old to matter."""
    connection.execute(
        "INSERT INTO memory_runs (device, model, work, rest_bytes, settled_bytes, free_bytes, peaks, ran_short, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        astuple(row),
    )
    connection.execute(
        "DELETE FROM memory_runs WHERE device = ? AND model = ? AND number NOT IN "
        "(SELECT number FROM memory_runs WHERE device = ? AND model = ? ORDER BY number DESC LIMIT ?)",
        (row.device, row.model, row.device, row.model, KEPT),
    )


def latest(connection: Connection, device: str, model: str) -> list[MemoryRow]:
    """The runs of a model on a kind of device, oldest first."""
    rows = connection.execute(
        "SELECT device, model, work, rest_bytes, settled_bytes, free_bytes, peaks, ran_short, created_at FROM memory_runs "
        "WHERE device = ? AND model = ? ORDER BY number",
        (device, model),
    )
    return [MemoryRow(**dict(row) | {"ran_short": bool(row["ran_short"])}) for row in rows]


def latest_device(connection: Connection) -> str | None:
    """The kind of device that the latest run was measured on."""
    row = connection.execute("SELECT device FROM memory_runs ORDER BY number DESC LIMIT 1").fetchone()
    return None if row is None else str(row[0])
