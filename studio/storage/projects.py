"""Projects and their histories: the timeline as it is now, and every change with what takes it back."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from studio.storage.database import Connection


@dataclass(frozen=True)
class ProjectRow:
    """One project of one owner; ``timeline`` is JSON.

    ``position`` is the number of the last change that is in force, 0 is none; ``revision`` rises with every step.
    """

    id: str
    owner: str
    name: str
    timeline: str
    revision: int
    position: int
    created_at: str
    updated_at: str
    deleted_at: str | None = None


@dataclass(frozen=True)
class ChangeRow:
    """One change of a project, numbered from 1; ``change`` and ``inverse``, which takes it back, are JSON."""

    project_id: str
    number: int
    change: str
    inverse: str
    created_at: str


def insert(connection: Connection, row: ProjectRow) -> None:
    """Add a project."""
    connection.execute("INSERT INTO projects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))


def get(connection: Connection, owner: str, project_id: str) -> ProjectRow | None:
    """The project if it is the owner's, also from the trash."""
    row = connection.execute("SELECT * FROM projects WHERE id = ? AND owner = ?", (project_id, owner)).fetchone()
    return None if row is None else ProjectRow(*row)


def of_owner(connection: Connection, owner: str, *, deleted: bool) -> list[ProjectRow]:
    """The owner's projects, or those in their trash; the one that was changed last first."""
    where = f"owner = ? AND deleted_at IS {'NOT ' if deleted else ''}NULL"
    rows = connection.execute(f"SELECT * FROM projects WHERE {where} ORDER BY updated_at DESC, id", (owner,))
    return [ProjectRow(*row) for row in rows]


def update(connection: Connection, row: ProjectRow) -> None:
    """Store the timeline of ``row`` and where its history stands."""
    connection.execute(
        "UPDATE projects SET name = ?, timeline = ?, revision = ?, position = ?, updated_at = ?, deleted_at = ? WHERE id = ?",
        (row.name, row.timeline, row.revision, row.position, row.updated_at, row.deleted_at, row.id),
    )


def add_change(connection: Connection, row: ChangeRow) -> None:
    """Add a change to the history; those that were undone before it can not be done again."""
    connection.execute("DELETE FROM project_changes WHERE project_id = ? AND number >= ?", (row.project_id, row.number))
    connection.execute("INSERT INTO project_changes VALUES (?, ?, ?, ?, ?)", astuple(row))


def change(connection: Connection, project_id: str, number: int) -> ChangeRow | None:
    """A change by its number, ``None`` where there is none."""
    row = connection.execute("SELECT * FROM project_changes WHERE project_id = ? AND number = ?", (project_id, number)).fetchone()
    return None if row is None else ChangeRow(*row)


def remove_deleted_before(connection: Connection, moment: str) -> None:
    """Forget the projects that went to the trash before ``moment``, and their histories."""
    connection.execute("DELETE FROM projects WHERE deleted_at IS NOT NULL AND deleted_at < ?", (moment,))
