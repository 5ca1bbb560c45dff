"""Opening, transactions, readers beside the writer, migrations, and files that are not ours."""

from __future__ import annotations

import threading

import pytest
import sqlite_utils

from pipelines.contract import Conflict
from studio.storage import switches
from studio.storage.database import LEAST_SQLITE, Database, sqlite3
from studio.storage.migrations import MIGRATIONS


@pytest.fixture
def database(tmp_path):
    database = Database.open(tmp_path)
    yield database
    database.close()


def test_it_is_durable_and_new_enough(database):
    assert sqlite3.sqlite_version_info >= LEAST_SQLITE
    with database.read() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    with database.write() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_a_failed_transaction_leaves_nothing(database):
    with pytest.raises(RuntimeError), database.write() as connection:
        switches.turn(connection, "x", True)
        raise RuntimeError
    with database.read() as connection:
        assert not switches.is_on(connection, "x")
    with database.write() as connection:
        switches.turn(connection, "x", True)
    with database.read() as connection:
        assert switches.is_on(connection, "x")


def test_readers_neither_wait_for_the_writer_nor_see_half_of_it(database):
    inside, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with database.write() as connection:
            switches.turn(connection, "x", True)
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait(10)
    with database.read() as connection:
        assert not switches.is_on(connection, "x")
        go_on.set()
        thread.join()
        assert not switches.is_on(connection, "x"), "a reader sees one moment"
    with database.read() as connection:
        assert switches.is_on(connection, "x")


def test_readers_cannot_write(database):
    with pytest.raises(Exception, match=r"readonly|cannot write"), database.read() as connection:
        switches.turn(connection, "x", True)


def test_opening_again_keeps_everything(tmp_path):
    for _ in range(3):
        database = Database.open(tmp_path)
        with database.write() as connection:
            connection.execute("INSERT INTO switches VALUES (hex(randomblob(8)), 1)")
        with database.read() as connection:
            count = connection.execute("SELECT count(*) FROM switches").fetchone()[0]
        database.close()
    assert count == 3


@pytest.mark.parametrize("released", range(len(MIGRATIONS._migrations)))
def test_every_older_database_is_brought_up_to_date(tmp_path, released):
    names = [migration.name for migration in MIGRATIONS._migrations]
    old = sqlite_utils.Database(tmp_path / "studio.db")
    MIGRATIONS.apply(old, stop_before=names[released])
    old.conn.commit()
    old.close()
    database = Database.open(tmp_path)
    with database.read() as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    database.close()
    assert {"jobs", "clips", "clip_text", "media", "switches"} <= tables


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "studio.db").write_bytes(b"these are my holiday notes" * 100)
    with pytest.raises(Conflict, match="cannot be read as a database"):
        Database.open(tmp_path)
    assert (tmp_path / "studio.db").read_bytes().startswith(b"these are my holiday notes")
