"""The one database of a studio: opened by one process, one writer, many readers.

SQLite before 3.51.3 can corrupt a database when its write-ahead log restarts (see the release notes of 3.51.3), so an older
library is refused; the ``pysqlite3`` wheel brings a newer one than most systems have.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import sqlite_utils
from sqlite_utils.utils import sqlite3

from pipelines.contract import Conflict, StorageFull, StudioError
from studio.storage.migrations import MIGRATIONS

LEAST_SQLITE = (3, 51, 3)
_LOCK = ".lock"
Connection = Any
"""A connection of whichever SQLite module is in use; rows are ``sqlite3.Row``."""


class Database:
    """Connections to one SQLite file; ``write`` and ``read`` hand them out."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self._lock = lock
        self._writing = threading.RLock()
        self._writer = _connect(path)
        self._readers: list[Connection] = []
        self._readers_lock = threading.Lock()

    @classmethod
    def open(cls, data_dir: Path) -> Database:
        """The database in ``data_dir``, created or brought up to date; the folder belongs to this process until ``close``.

        Raises ``Conflict`` (another studio, a newer version, not our file) or ``StorageFull`` (read-only or full disk).
        """
        _check_sqlite()
        lock = _claim(data_dir)
        path = data_dir / "studio.db"
        try:
            with _plain_errors(data_dir):
                database = cls(path, lock)
                _migrate(database._writer, path)
        except BaseException:
            lock.close()
            raise
        return database

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that either happens as a whole and is on disk, or not at all. Keep slow work out of it.

        Raises ``StorageFull`` when the disk cannot take it.
        """
        with self._writing, _plain_errors(self.path.parent):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with, one consistent moment of the database; never waits for the writer."""
        with self._readers_lock:
            connection = self._readers.pop() if self._readers else None
        with _plain_errors(self.path.parent):
            if connection is None:
                connection = _connect(self.path)
                connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")
                with self._readers_lock:
                    self._readers.append(connection)

    def close(self) -> None:
        """Give the database and the folder back."""
        with self._writing, self._readers_lock:
            for connection in [*self._readers, self._writer]:
                with suppress(sqlite3.Error):
                    connection.close()
            self._readers.clear()
            with suppress(OSError):
                self._lock.truncate(0)
            self._lock.close()

    def announce(self, address: str) -> None:
        """Leave word in the folder of where this studio answers, for those who find it taken."""
        with suppress(OSError):  # on a full disk nobody is told, and nothing else is lost
            self._lock.write(address)
            self._lock.flush()


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < LEAST_SQLITE:
        wanted = ".".join(map(str, LEAST_SQLITE))
        raise StudioError(
            f"SQLite {sqlite3.sqlite_version} can damage its own files; the studio needs {wanted} or newer: "
            "install the pysqlite3 package into this Python."
        )


def address_in(data_dir: Path) -> str | None:
    """Where the studio answers that has ``data_dir`` in use, if it has left word."""
    try:
        return (data_dir / _LOCK).read_text() or None
    except OSError:
        return None


def _claim(data_dir: Path) -> IO[str]:
    """Make this process the only studio in ``data_dir``."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / _LOCK).open("a+")
    except OSError as error:
        raise StorageFull(
            f"the studio cannot write to its data folder {data_dir} ({os.strerror(error.errno or 0)}): "
            "make it writable, free some space, or set STUDIO_DATA_DIR to another folder."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Conflict(
            f"another studio is using {data_dir}: use that one, stop it, or set STUDIO_DATA_DIR to another folder."
        ) from error
    with suppress(OSError):
        lock.truncate(0)  # a killed studio leaves its word behind
    return lock


def _connect(path: Path) -> Connection:
    connection = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None, timeout=10)
    connection.row_factory = sqlite3.Row
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32768", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _migrate(connection: Connection, path: Path) -> None:
    database = sqlite_utils.Database(connection)
    known = {migration.name for migration in MIGRATIONS._migrations}
    newer = [migration.name for migration in MIGRATIONS.applied(database) if migration.name not in known]
    if newer:
        raise Conflict(
            f"{path} was written by a newer version of the studio (it has {newer[-1]!r}): update the studio, "
            "or set STUDIO_DATA_DIR to another folder."
        )
    MIGRATIONS.apply(database)
    connection.row_factory = sqlite3.Row


@contextmanager
def _plain_errors(data_dir: Path) -> Iterator[None]:
    """SQLite's complaints about the disk as sentences for a person."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if any(sign in text for sign in ("full", "readonly", "disk I/O", "unable to open")):
            raise StorageFull(
                f"the studio cannot write to its data folder {data_dir} ({text}): free some space or make the folder writable."
            ) from error
        raise
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error) or "malformed" in str(error):
            raise Conflict(
                f"{data_dir / 'studio.db'} cannot be read as a database ({error}): put a backup in its place or move it away."
            ) from error
        raise
