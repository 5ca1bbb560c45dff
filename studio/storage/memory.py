"""What finished jobs took of the memory, by stage: the evidence of the forecast."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass

from pipelines.contract import Quantization
from pipelines.optimize.memory import Evidence, Measured, Work
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


def evidence(connection: Connection, device: str, model: str) -> Evidence:
    """The same as what a worker or a forecast reckons with; what cannot be read, such as of a later studio, is left out."""
    return Evidence(device, tuple(_measured(latest(connection, device, model))))


def _measured(rows: Iterable[MemoryRow]) -> Iterator[Measured]:
    for row in rows:
        with suppress(ValueError, TypeError, AttributeError):
            yield _run(row)


def _run(row: MemoryRow) -> Measured:
    told = json.loads(row.work)
    work = Work(**told | {"quantization": Quantization(told.get("quantization", Work.quantization))})
    return Measured(work, row.rest_bytes, row.settled_bytes, json.loads(row.peaks), row.ran_short)


def latest_device(connection: Connection) -> str | None:
    """The kind of device that the latest run was measured on."""
    row = connection.execute("SELECT device FROM memory_runs ORDER BY number DESC LIMIT 1").fetchone()
    return None if row is None else str(row[0])
