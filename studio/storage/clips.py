"""The clip table: paging by key, full-text search, tags, the trash."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from studio.storage.database import Connection


@dataclass(frozen=True)
class ClipRow:
    """One row of ``clips``: paths are relative to the data folder, ``clip`` is the JSON of the engine's result."""

    id: str
    owner: str
    job_id: str | None
    path: str
    thumbnail: str
    name: str
    prompt: str
    tags: str
    favourite: int
    model: str
    modality: str
    size_bytes: int
    clip: str
    created_at: str
    deleted_at: str | None
    source: str | None = None


@dataclass(frozen=True)
class ClipQuery:
    """Which clips of one owner; ``after`` is the (created_at, id) that the page follows."""

    owner: str
    text: str = ""
    favourite: bool | None = None
    tag: str | None = None
    model: str | None = None
    modality: str | None = None
    deleted: bool = False
    oldest_first: bool = False
    after: tuple[str, str] | None = None


@dataclass(frozen=True)
class Rank:
    """The order of one measurement, best first: the least distance from ``target``, the highest or the lowest value.

    ``after`` is the (key, id) that the page follows.
    """

    name: str
    better: str
    target: float = 0.0
    after: tuple[float, str] | None = None

    @property
    def key(self) -> str:
        """The SQL expression that rises from the best to the worst."""
        return {"near": "abs(m.value - ?)", "lower": "m.value + 0 * ?", "higher": "0 * ? - m.value"}[self.better]


_COLUMNS = ", ".join(field.name for field in fields(ClipRow))
_WHOLE = f"SELECT {_COLUMNS} FROM clips JOIN clip_bodies USING (number)"
# Up to here it is faster to sort what a search found than to walk through the library in order.
_FEW = 2000


def insert(connection: Connection, row: ClipRow) -> None:
    """Add a clip. Raises an integrity error when its job has one already."""
    values = {field.name: getattr(row, field.name) for field in fields(ClipRow)}
    body = values.pop("clip")
    values["scope"] = scope(row.owner, deleted=row.deleted_at is not None)
    marks = ", ".join("?" * len(values))
    number = connection.execute(f"INSERT INTO clips ({', '.join(values)}) VALUES ({marks})", tuple(values.values())).lastrowid
    connection.execute("INSERT INTO clip_bodies (number, clip) VALUES (?, ?)", (number, body))
    _tag(connection, row.owner, number, json.loads(row.tags))
    _measure(connection, number, json.loads(body)["measurements"])


def set_measurements(
    connection: Connection, row: ClipRow, measurements: Mapping[str, float], moments: Mapping[str, Any] | None
) -> ClipRow:
    """Store what was measured anew in place of what was known; the row as it is now."""
    number = connection.execute("SELECT number FROM clips WHERE id = ?", (row.id,)).fetchone()[0]
    body = json.dumps({**json.loads(row.clip), "measurements": dict(measurements), "moments": moments})
    connection.execute("UPDATE clip_bodies SET clip = ? WHERE number = ?", (body, number))
    connection.execute("DELETE FROM clip_measurements WHERE number = ?", (number,))
    _measure(connection, number, measurements)
    return replace(row, clip=body)


def _measure(connection: Connection, number: int, measurements: Mapping[str, float]) -> None:
    rows = [(name, number, value) for name, value in measurements.items()]
    connection.executemany("INSERT INTO clip_measurements (name, number, value) VALUES (?, ?, ?)", rows)


def ranked(connection: Connection, query: ClipQuery, rank: Rank, limit: int) -> list[tuple[float, ClipRow]]:
    """Up to ``limit`` clips that have the measurement, the best first, each with its place's key."""
    source, where, values = _found_first(query)
    chosen = f"""SELECT clips.number AS chosen, {rank.key} AS key FROM {source}
        JOIN clip_measurements AS m ON m.number = clips.number AND m.name = ? WHERE {where}"""
    beyond, last = ("WHERE (key, id) > (?, ?)", rank.after) if rank.after is not None else ("", ())
    rows = connection.execute(
        f"""SELECT {_COLUMNS}, key FROM ({chosen}) JOIN clips ON clips.number = chosen
        JOIN clip_bodies ON clip_bodies.number = chosen {beyond} ORDER BY key, id LIMIT ?""",
        [rank.target, rank.name, *values, *last, limit],
    )
    return [(float(row[-1]), ClipRow(*tuple(row)[:-1])) for row in rows]


def count_measured(connection: Connection, query: ClipQuery, name: str) -> int:
    """How many clips the query lets through that have the measurement."""
    source, where, values = _found_first(query)
    joined = "JOIN clip_measurements AS m ON m.number = clips.number AND m.name = ?"
    return int(connection.execute(f"SELECT count(*) FROM {source} {joined} WHERE {where}", [name, *values]).fetchone()[0])


def _tag(connection: Connection, owner: str, number: int, tags: Sequence[str]) -> None:
    connection.executemany("INSERT INTO clip_tags (owner, tag, number) VALUES (?, ?, ?)", [(owner, tag, number) for tag in tags])


def get(connection: Connection, owner: str, clip_id: str) -> ClipRow | None:
    """The clip if it is the owner's, also from the trash."""
    row = connection.execute(f"{_WHOLE} WHERE id = ? AND owner = ?", (clip_id, owner)).fetchone()
    return None if row is None else ClipRow(*row)


def get_many(connection: Connection, owner: str, clip_ids: Sequence[str]) -> dict[str, ClipRow]:
    """The owner's clips among ``clip_ids``, by id."""
    marks = ", ".join("?" * len(clip_ids))
    rows = connection.execute(f"{_WHOLE} WHERE id IN ({marks}) AND owner = ?", (*clip_ids, owner))
    return {row["id"]: ClipRow(*row) for row in rows}


def edits_of(connection: Connection, owner: str, clip_id: str) -> list[ClipRow]:
    """The owner's clips outside the trash that were edited from this one, oldest first."""
    rows = connection.execute(
        f"{_WHOLE} WHERE owner = ? AND source = ? AND deleted_at IS NULL ORDER BY created_at, id", (owner, clip_id)
    )
    return [ClipRow(*row) for row in rows]


def newest_of_model(connection: Connection, model: str, among: int) -> list[str]:
    """The JSON of everybody's clips of ``model`` that are not edits, among the newest ``among`` clips of all."""
    rows = connection.execute(
        """SELECT clip FROM (SELECT number, model, source FROM clips ORDER BY number DESC LIMIT ?) AS newest
        JOIN clip_bodies ON clip_bodies.number = newest.number WHERE model = ? AND source IS NULL""",
        (among, model),
    )
    return [str(row[0]) for row in rows]


def count(connection: Connection, query: ClipQuery) -> int:
    """How many clips the query lets through, wherever the page begins."""
    is_text_alone = all(wanted is None for wanted in (query.favourite, query.tag, query.model, query.modality))
    if query.text.strip() and is_text_alone:
        found = connection.execute("SELECT count(*) FROM clip_text WHERE clip_text MATCH ?", (_in_scope(query),))
        return int(found.fetchone()[0])
    source, where, values = _found_first(query)
    return int(connection.execute(f"SELECT count(*) FROM {source} WHERE {where}", values).fetchone()[0])


def page(connection: Connection, query: ClipQuery, limit: int, *, total: int) -> list[ClipRow]:
    """Up to ``limit`` clips in order of creation; ``total`` (from ``count``) chooses the quicker way."""
    source, where, values = _found_first(query) if total <= _FEW else _in_order(query)
    direction, beyond = ("ASC", ">") if query.oldest_first else ("DESC", "<")
    if query.after is not None:
        where += f" AND (clips.created_at, clips.id) {beyond} (?, ?)"
        values = [*values, *query.after]
    order = f"ORDER BY clips.created_at {direction}, clips.id {direction}"
    chosen = f"SELECT clips.number FROM {source} WHERE {where} {order} LIMIT ?"
    rows = connection.execute(f"{_WHOLE} WHERE number IN ({chosen}) {order}", [*values, limit])
    return [ClipRow(*row) for row in rows]


def _plain(query: ClipQuery) -> tuple[list[str], list[Any]]:
    """The conditions that a column of ``clips`` answers."""
    parts = ["clips.owner = ?", f"clips.deleted_at IS {'NOT ' if query.deleted else ''}NULL"]
    values: list[Any] = [query.owner]
    for column, wanted in (("favourite", query.favourite), ("model", query.model), ("modality", query.modality)):
        if wanted is not None:
            parts.append(f"clips.{column} = ?")
            values.append(wanted)
    return parts, values


def _in_order(query: ClipQuery) -> tuple[str, str, list[Any]]:
    """Walk the library in order and look each clip up in what text and tag let through: for pages of much."""
    parts, values = _plain(query)
    if query.tag is not None:
        parts.append("clips.number IN (SELECT number FROM clip_tags WHERE owner = ? AND tag = ?)")
        values += [query.owner, query.tag]
    if query.text.strip():
        parts.append("clips.number IN (SELECT rowid FROM clip_text WHERE clip_text MATCH ?)")
        values.append(_in_scope(query))
    return "clips", " AND ".join(parts), values


def _found_first(query: ClipQuery) -> tuple[str, str, list[Any]]:
    """Find by text or tag, then look each clip up: for counting, and for pages of little."""
    if not query.text.strip() and query.tag is None:
        return _in_order(query)
    parts, values = _plain(query)
    if query.text.strip():
        source = "clip_text CROSS JOIN clips ON clips.number = clip_text.rowid"
        parts, values = ["clip_text MATCH ?", *parts], [_in_scope(query), *values]
        if query.tag is not None:
            parts.append("clips.number IN (SELECT number FROM clip_tags WHERE owner = ? AND tag = ?)")
            values += [query.owner, query.tag]
    else:
        source = "clip_tags CROSS JOIN clips ON clips.number = clip_tags.number"
        parts, values = ["clip_tags.owner = ?", "clip_tags.tag = ?", *parts], [query.owner, query.tag, *values]
    return source, " AND ".join(parts), values


def scope(owner: str, *, deleted: bool) -> str:
    """A word of the text index: whose library, or whose trash."""
    return hashlib.sha256(owner.encode()).hexdigest()[:24] + ("trash" if deleted else "live")


def _in_scope(query: ClipQuery) -> str:
    return f"{{prompt name tags}} : ({match_expression(query.text)}) AND scope : {scope(query.owner, deleted=query.deleted)}"


def match_expression(text: str) -> str:
    """``text`` as an FTS5 expression: all words in any order, the last one perhaps only begun; nothing in it is an operator."""
    words = ["".join(ch for ch in word if ch != "\0").replace('"', '""') for word in text.split()]
    searchable = [word for word in words if any(_is_indexed(ch) for ch in word)]
    if not searchable:
        return '""'
    *whole, last = (f'"{word}"' for word in searchable[:32])
    # A single letter begins too many words to say anything; a single sign of other scripts is often a word.
    return " AND ".join([*whole, last if len(last) == 3 and last.isascii() else f"{last}*"])


def _is_indexed(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LN" or category in ("So", "Co")


def update(connection: Connection, row: ClipRow) -> None:
    """Store name, favourite and tags of ``row``."""
    connection.execute(
        "UPDATE clips SET name = ?, favourite = ?, tags = ? WHERE id = ?", (row.name, row.favourite, row.tags, row.id)
    )
    number = connection.execute("SELECT number FROM clips WHERE id = ?", (row.id,)).fetchone()[0]
    connection.execute("DELETE FROM clip_tags WHERE number = ?", (number,))
    _tag(connection, row.owner, number, json.loads(row.tags))


def set_deleted(connection: Connection, clip_id: str, deleted_at: str | None) -> None:
    """Move a clip into the trash, or out of it with ``None``."""
    (owner,) = connection.execute("SELECT owner FROM clips WHERE id = ?", (clip_id,)).fetchone()
    now_in = scope(owner, deleted=deleted_at is not None)
    connection.execute("UPDATE clips SET deleted_at = ?, scope = ? WHERE id = ?", (deleted_at, now_in, clip_id))


def remove_deleted_before(connection: Connection, moment: str) -> None:
    """Forget the clips that went to the trash before ``moment``; their files are then nobody's."""
    connection.execute("DELETE FROM clips WHERE deleted_at IS NOT NULL AND deleted_at < ?", (moment,))


def tags(connection: Connection, owner: str) -> list[str]:
    """Every tag that a clip of the owner outside the trash has, in alphabetical order."""
    rows = connection.execute(
        """SELECT DISTINCT tag FROM clip_tags JOIN clips USING (number)
        WHERE clip_tags.owner = ? AND deleted_at IS NULL ORDER BY tag""",
        (owner,),
    )
    return [row[0] for row in rows]


def files(connection: Connection) -> set[str]:
    """Relative paths of every file that a clip of anyone needs."""
    return {path for row in connection.execute("SELECT path, thumbnail FROM clips") for path in row}
