"""Small values that stay as they were left over a restart, each under a name, as JSON."""

from __future__ import annotations

import json
from typing import Any

from studio.storage.database import Connection


def get(connection: Connection, name: str) -> Any:
    """What was noted under ``name``; ``None`` where nothing was."""
    row = connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])


def put(connection: Connection, name: str, value: Any) -> None:
    """Note ``value``, in the place of what was noted before."""
    text = json.dumps(value)
    connection.execute("INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, text))


def remove(connection: Connection, name: str) -> None:
    """Forget what was noted under ``name``."""
    connection.execute("DELETE FROM notes WHERE name = ?", (name,))
