"""The job table: the queue, who holds which job, and what became of it.

``fence`` rises with every claim; whoever reports with an older number has lost the job and is not listened to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio.storage.database import Connection

_QUEUE = "priority DESC, order_number"


@dataclass(frozen=True)
class JobRow:
    """One row of ``jobs``; ``position`` is the place in the queue (1 is next) or ``None``."""

    id: str
    owner: str
    state: str
    priority: int
    order_number: int
    attempts: int
    fence: int
    lease_until: float | None
    request: str
    idempotency_key: str | None
    submitted: str
    clip_id: str | None
    error_message: str | None
    error_field: str | None
    cancel_requested: int
    orphaned: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    group_id: str | None = None
    position: int | None = None


def _row(row: Any) -> JobRow:
    return JobRow(**dict(row))


_POSITION = f"""CASE WHEN state = 'queued' THEN (
    SELECT count(*) FROM jobs AS other WHERE other.state = 'queued' AND (
        other.priority > jobs.priority OR other.priority = jobs.priority AND other.order_number <= jobs.order_number)
) END AS position -- by {_QUEUE}
"""


@dataclass(frozen=True)
class NewJob:
    """What a submitted job starts with."""

    id: str
    owner: str
    priority: int
    request: str
    submitted: str
    idempotency_key: str | None
    created_at: str
    group_id: str | None = None


def insert(connection: Connection, job: NewJob) -> None:
    """Append a queued job. Raises an integrity error when the owner has used the idempotency key before."""
    connection.execute(
        """INSERT INTO jobs (id, owner, state, priority, order_number, request, submitted, idempotency_key, created_at, group_id)
        VALUES (?, ?, 'queued', ?, (SELECT coalesce(max(order_number), 0) + 1 FROM jobs), ?, ?, ?, ?, ?)""",
        (job.id, job.owner, job.priority, job.request, job.submitted, job.idempotency_key, job.created_at, job.group_id),
    )


def get(connection: Connection, job_id: str) -> JobRow | None:
    """The job with its place in the queue, whoever owns it."""
    row = connection.execute(f"SELECT *, {_POSITION} FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return None if row is None else _row(row)


def with_key(connection: Connection, owner: str, idempotency_key: str) -> JobRow | None:
    """The job that ``owner`` submitted under this key."""
    row = connection.execute(
        f"SELECT *, {_POSITION} FROM jobs WHERE owner = ? AND idempotency_key = ?", (owner, idempotency_key)
    ).fetchone()
    return None if row is None else _row(row)


def in_group(connection: Connection, owner: str, group_id: str) -> list[JobRow]:
    """The jobs that ``owner`` handed in together, in that order."""
    rows = connection.execute(
        f"SELECT *, {_POSITION} FROM jobs WHERE owner = ? AND group_id = ? ORDER BY rowid", (owner, group_id)
    )
    return [_row(row) for row in rows]


@dataclass(frozen=True)
class GroupRow:
    """Jobs that were handed in together: how many, and how many of them are not over."""

    id: str
    created_at: str
    prompt: str
    """Of the first."""
    size: int
    unfinished: int


def groups(connection: Connection, owner: str, limit: int) -> list[GroupRow]:
    """The groups of ``owner``, the newest first."""
    rows = connection.execute(
        """SELECT group_id, created_at, json_extract(request, '$.prompt'), count(*), sum(state IN ('queued', 'running')),
            min(rowid) AS first -- the other columns are those of its row
        FROM jobs WHERE owner = ? AND group_id IS NOT NULL GROUP BY group_id ORDER BY first DESC LIMIT ?""",
        (owner, limit),
    )
    return [GroupRow(*tuple(row)[:-1]) for row in rows]


def count(connection: Connection, state: str, owner: str | None = None) -> int:
    """How many jobs of one owner, or of all, are ``queued`` or ``running``."""
    whose, values = ("", ()) if owner is None else (" AND owner = ?", (owner,))
    return int(connection.execute(f"SELECT count(*) FROM jobs WHERE state = {_literal(state)}{whose}", values).fetchone()[0])


def _literal(state: str) -> str:
    # A literal, not a parameter: SQLite uses a partial index only where it can see its condition.
    return {"queued": "'queued'", "running": "'running'"}[state]


def waiting(connection: Connection, owner: str | None = None) -> list[JobRow]:
    """Queued jobs in the order in which they will run, with their places in the whole queue."""
    rows = connection.execute(
        f"SELECT *, row_number() OVER (ORDER BY {_QUEUE}) AS position FROM jobs WHERE state = 'queued' ORDER BY {_QUEUE}"
    )
    return [_row(row) for row in rows if owner is None or row["owner"] == owner]


def running(connection: Connection, owner: str | None = None) -> list[JobRow]:
    """Running jobs, the longest running first."""
    rows = connection.execute("SELECT * FROM jobs WHERE state = 'running' ORDER BY started_at, id")
    return [_row(row) for row in rows if owner is None or row["owner"] == owner]


def finished(connection: Connection, owner: str, states: Sequence[str], limit: int) -> list[JobRow]:
    """Finished jobs in one of ``states``, newest first."""
    marks = ", ".join("?" * len(states))
    rows = connection.execute(
        f"SELECT * FROM jobs WHERE owner = ? AND state IN ({marks}) ORDER BY finished_at DESC LIMIT ?", (owner, *states, limit)
    )
    return [_row(row) for row in rows]


def first(connection: Connection) -> JobRow | None:
    """The job that ``claim`` would take."""
    row = connection.execute(f"SELECT * FROM jobs WHERE state = 'queued' ORDER BY {_QUEUE} LIMIT 1").fetchone()
    return _row(row) if row else None


def next_in_line(connection: Connection, count: int) -> list[JobRow]:
    """The first of the queued jobs."""
    return [
        _row(row) for row in connection.execute(f"SELECT * FROM jobs WHERE state = 'queued' ORDER BY {_QUEUE} LIMIT ?", (count,))
    ]


def claim(connection: Connection, lease_until: float, started_at: str) -> JobRow | None:
    """Take the next job: one attempt and one fencing number more. ``None`` when nothing waits."""
    row = connection.execute(
        f"""UPDATE jobs SET state = 'running', attempts = attempts + 1, fence = fence + 1, lease_until = ?, started_at = ?
        WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY {_QUEUE} LIMIT 1) RETURNING *""",
        (lease_until, started_at),
    ).fetchall()
    return _row(row[0]) if row else None


def renew(connection: Connection, job_id: str, fence: int, lease_until: float) -> bool:
    """Hold on to a job; false when it is no longer held under this number."""
    return _held(connection, "lease_until = ?", (lease_until,), job_id, fence)


def finish(connection: Connection, job_id: str, fence: int, clip_id: str, finished_at: str) -> bool:
    """Mark a held job as done; false when it is no longer held under this number."""
    change = "state = 'done', clip_id = ?, finished_at = ?, lease_until = NULL"
    return _held(connection, change, (clip_id, finished_at), job_id, fence)


def fail(connection: Connection, job_id: str, fence: int, fault: tuple[str, str | None], finished_at: str) -> bool:
    """Mark a held job as failed for a reason (message, field); false when it is no longer held under this number."""
    change = "state = 'failed', error_message = ?, error_field = ?, finished_at = ?, lease_until = NULL"
    return _held(connection, change, (*fault, finished_at), job_id, fence)


def stop(connection: Connection, job_id: str, fence: int, finished_at: str) -> bool:
    """Mark a held job as cancelled; false when it is no longer held under this number."""
    return _held(connection, "state = 'cancelled', finished_at = ?, lease_until = NULL", (finished_at,), job_id, fence)


def put_back(connection: Connection, job_id: str, fence: int, *, unspent: bool) -> bool:
    """Queue a held job again at its old place; ``unspent`` gives the attempt back. False when it is no longer held."""
    change = "state = 'queued', attempts = attempts - ?, started_at = NULL, lease_until = NULL"
    return _held(connection, change, (int(unspent),), job_id, fence)


def begin_again(connection: Connection, job_id: str) -> bool:
    """Queue a job that failed or was cancelled once more, behind all others, as if it had not run. False for any other."""
    changed = connection.execute(
        """UPDATE jobs SET state = 'queued', order_number = (SELECT max(order_number) + 1 FROM jobs), attempts = 0, orphaned = 0,
            cancel_requested = 0, error_message = NULL, error_field = NULL, started_at = NULL, finished_at = NULL
        WHERE id = ? AND state IN ('failed', 'cancelled')""",
        (job_id,),
    )
    return changed.rowcount == 1


def orphan(connection: Connection, job_id: str, fence: int) -> bool:
    """Queue a job again that the studio's sudden end left running: no attempt is spent, but it is counted."""
    change = "state = 'queued', attempts = attempts - 1, orphaned = orphaned + 1, started_at = NULL, lease_until = NULL"
    return _held(connection, change, (), job_id, fence)


def _held(connection: Connection, change: str, values: tuple[Any, ...], job_id: str, fence: int) -> bool:
    cursor = connection.execute(
        f"UPDATE jobs SET {change} WHERE id = ? AND fence = ? AND state = 'running'", (*values, job_id, fence)
    )
    return bool(cursor.rowcount == 1)


def cancel_queued(connection: Connection, job_id: str, finished_at: str) -> bool:
    """Cancel a job that has not begun; false when it has."""
    cursor = connection.execute(
        "UPDATE jobs SET state = 'cancelled', cancel_requested = 1, finished_at = ? WHERE id = ? AND state = 'queued'",
        (finished_at, job_id),
    )
    return bool(cursor.rowcount == 1)


def ask_to_cancel(connection: Connection, job_id: str) -> bool:
    """Note the wish to cancel a running job; false when it does not run."""
    cursor = connection.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state = 'running'", (job_id,))
    return bool(cursor.rowcount == 1)


def place(connection: Connection, job_id: str, priority: int, order_number: int) -> None:
    """Give a queued job another place in the queue."""
    connection.execute(
        "UPDATE jobs SET priority = ?, order_number = ? WHERE id = ? AND state = 'queued'", (priority, order_number, job_id)
    )
