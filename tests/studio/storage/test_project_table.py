"""The rows of projects: owners, order, a history that forgets only what a new change replaces, and the way there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlite_utils

from studio.storage import projects
from studio.storage.database import Database
from studio.storage.migrations import MIGRATIONS
from studio.storage.projects import ChangeRow, ProjectRow

FILM = ProjectRow("f" * 32, "local", "film", "{}", 1, 0, "2026-01-01", "2026-01-01")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path)
    yield opened
    opened.close()


def test_rows_come_back_as_they_were_and_only_to_their_owner(database: Database) -> None:
    later = replace(FILM, id="a" * 32, name="later", updated_at="2026-02-01")
    with database.write() as connection:
        for row in (FILM, later, replace(FILM, id="b" * 32, owner="somebody")):
            projects.insert(connection, row)
    with database.read() as connection:
        assert projects.get(connection, "local", FILM.id) == FILM
        assert projects.get(connection, "somebody", FILM.id) is None
        assert projects.of_owner(connection, "local", deleted=False) == [later, FILM]
    changed = replace(
        FILM, name="new", timeline='{"x": 1}', revision=2, position=1, updated_at="2026-03-01", deleted_at="2026-03-02"
    )
    with database.write() as connection:
        projects.update(connection, changed)
    with database.read() as connection:
        assert projects.get(connection, "local", FILM.id) == changed
        assert projects.of_owner(connection, "local", deleted=False) == [later]
        assert projects.of_owner(connection, "local", deleted=True) == [changed]


def test_a_change_replaces_those_that_were_undone(database: Database) -> None:
    def change(number: int, what: str) -> ChangeRow:
        return ChangeRow(FILM.id, number, what, f"not {what}", "2026-01-01")

    with database.write() as connection:
        projects.insert(connection, FILM)
        for number in (1, 2, 3):
            projects.add_change(connection, change(number, str(number)))
        projects.add_change(connection, change(2, "other"))
    with database.read() as connection:
        found = [projects.change(connection, FILM.id, number) for number in range(5)]
    assert found == [None, change(1, "1"), change(2, "other"), None, None]


def test_the_history_goes_with_its_project(database: Database) -> None:
    with database.write() as connection:
        projects.insert(connection, replace(FILM, deleted_at="2026-01-05"))
        projects.add_change(connection, ChangeRow(FILM.id, 1, "a", "b", "2026-01-01"))
        projects.remove_deleted_before(connection, "2026-01-05")
        assert projects.get(connection, "local", FILM.id) is not None
        projects.remove_deleted_before(connection, "2026-01-06")
        assert projects.get(connection, "local", FILM.id) is None and projects.change(connection, FILM.id, 1) is None


def test_a_database_from_before_projects_gets_them(tmp_path: Path) -> None:
    old = sqlite_utils.Database(tmp_path / "studio.db")
    MIGRATIONS.apply(old, stop_before="projects")
    old.conn.execute("INSERT INTO switches VALUES ('kept', 1)")
    old.conn.commit()
    old.close()
    database = Database.open(tmp_path)
    with database.write() as connection:
        projects.insert(connection, FILM)
        assert connection.execute("SELECT count(*) FROM switches WHERE name = 'kept'").fetchone()[0] == 1
    database.close()
