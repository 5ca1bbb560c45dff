"""Projects: named timelines of shots, changed by operations that can all be undone, kept a revision at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from pipelines.contract import Conflict, InvalidRequest, NotFound, TooLarge, invalid_request
from studio.services.present import clip_record
from studio.services.project_records import Project, ProjectSummary, footage, project_record, summary
from studio.services.records import now
from studio.storage import clips, projects
from studio.storage.database import Connection, Database
from studio.storage.projects import ChangeRow, ProjectRow
from studio.timelines.changes import applied, index_of, inverse, stored_change
from studio.timelines.cut import Footage, check_end, check_split, piece_of
from studio.timelines.values import AddShot, AddTake, Operation, Shot, SplitShot, Timeline, TrimShot, new_id

_MOST_PROJECTS = 1000
_TRASH_DAYS = 30


class ProjectService:
    """Everybody's projects; clips stay the library's own, a project only names them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, owner: str, name: str, clip_ids: Sequence[str] = ()) -> Project:
        """A new project with one shot for each clip. Raises ``InvalidRequest`` or ``TooLarge``."""
        try:
            timeline = Timeline(name=name)
        except ValidationError as error:
            raise invalid_request(error) from None
        with self._database.write() as connection:
            for clip_id in clip_ids:
                operation = _operation_of(clip_id)
                before, timeline = timeline, applied(timeline, operation)
                _check(connection, owner, operation, (before, timeline))
            return project_record(connection, insert_project(connection, owner, timeline))

    def list(self, owner: str, *, deleted: bool = False) -> Sequence[ProjectSummary]:
        """The owner's projects or those in their trash, the one that was changed last first."""
        with self._database.read() as connection:
            return [summary(row) for row in projects.of_owner(connection, owner, deleted=deleted)]

    def get(self, owner: str, project_id: str) -> Project:
        """One project, also from the trash. Raises ``NotFound``."""
        with self._database.read() as connection:
            return project_record(connection, owned(connection, owner, project_id))

    def change(self, owner: str, project_id: str, operation: Operation, *, revision: int) -> Project:
        """Carry an operation out and add it to the history; one that changes nothing is not added.

        Raises ``NotFound``, ``InvalidRequest``, or ``Conflict`` when ``revision`` is not the newest.
        """
        with self._database.write() as connection:
            row = _changeable(connection, owner, project_id, revision)
            before = Timeline.model_validate_json(row.timeline)
            after = applied(before, operation)
            _check(connection, owner, operation, (before, after))
            if after != before:
                number = row.position + 1
                back = inverse(before, operation)
                change = ChangeRow(row.id, number, operation.model_dump_json(), back.model_dump_json(), now())
                projects.add_change(connection, change)
                row = _store(connection, row, after, number)
            return project_record(connection, row)

    def undo(self, owner: str, project_id: str, *, revision: int) -> Project:
        """Take the last change back. Raises as ``change``, and ``Conflict`` at the beginning."""
        with self._database.write() as connection:
            row = _changeable(connection, owner, project_id, revision)
            change = projects.change(connection, row.id, row.position)
            if change is None:
                raise Conflict("there is nothing to undo: the project is as it was made.")
            before = applied(Timeline.model_validate_json(row.timeline), stored_change(change.inverse))
            return project_record(connection, _store(connection, row, before, row.position - 1))

    def redo(self, owner: str, project_id: str, *, revision: int) -> Project:
        """Do again what was undone last. Raises as ``change``, and ``Conflict`` at the end."""
        with self._database.write() as connection:
            row = _changeable(connection, owner, project_id, revision)
            change = projects.change(connection, row.id, row.position + 1)
            if change is None:
                raise Conflict("there is nothing to redo: no change was undone.")
            after = applied(Timeline.model_validate_json(row.timeline), stored_change(change.change))
            return project_record(connection, _store(connection, row, after, row.position + 1))

    def delete(self, owner: str, project_id: str) -> Project:
        """Put a project into the trash, where it stays for 30 days. Raises ``NotFound``."""
        return self._set_deleted(owner, project_id, now)

    def undelete(self, owner: str, project_id: str) -> Project:
        """Take a project out of the trash. Raises ``NotFound``."""
        return self._set_deleted(owner, project_id, lambda: None)

    def purge(self) -> None:
        """Forget projects that went to the trash over 30 days ago."""
        oldest = (datetime.now(UTC) - timedelta(days=_TRASH_DAYS)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self._database.write() as connection:
            projects.remove_deleted_before(connection, oldest)

    def _set_deleted(self, owner: str, project_id: str, moment: Callable[[], str | None]) -> Project:
        with self._database.write() as connection:
            row = owned(connection, owner, project_id)
            deleted_at = moment()
            if (row.deleted_at is None) != (deleted_at is None):
                row = replace(row, deleted_at=deleted_at)
                projects.update(connection, row)
            return project_record(connection, row)


def owned(connection: Connection, owner: str, project_id: str) -> ProjectRow:
    """The project's row. Raises ``NotFound``."""
    row = projects.get(connection, owner, project_id)
    if row is None:
        raise NotFound("there is no such project of yours: it may have been deleted for good.")
    return row


def insert_project(connection: Connection, owner: str, timeline: Timeline) -> ProjectRow:
    """A new project with this timeline and no history. Raises ``TooLarge`` where the owner has too many."""
    if len(projects.of_owner(connection, owner, deleted=False)) >= _MOST_PROJECTS:
        raise TooLarge(f"there are {_MOST_PROJECTS} projects already, which is the most: delete one first.")
    moment = now()
    row = ProjectRow(new_id(), owner, timeline.name, timeline.model_dump_json(), 1, 0, moment, moment)
    projects.insert(connection, row)
    return row


def _operation_of(clip_id: str) -> AddShot:
    try:
        return AddShot(clip=clip_id)
    except ValidationError:
        raise InvalidRequest("clip is not one of your library; give the id of one.", field="clip") from None


def _changeable(connection: Connection, owner: str, project_id: str, revision: int) -> ProjectRow:
    row = owned(connection, owner, project_id)
    if row.deleted_at is not None:
        raise Conflict("the project is in the trash: take it out before you change it.")
    if row.revision != revision:
        raise Conflict(
            f"revision is {revision} and the project is at {row.revision}: it was changed elsewhere meanwhile; "
            "look at it again, then repeat what you did.",
            field="revision",
        )
    return row


def _store(connection: Connection, row: ProjectRow, timeline: Timeline, position: int) -> ProjectRow:
    stored = replace(
        row,
        name=timeline.name,
        timeline=timeline.model_dump_json(),
        revision=row.revision + 1,
        position=position,
        updated_at=now(),
    )
    projects.update(connection, stored)
    return stored


def _check(connection: Connection, owner: str, operation: Operation, timelines: tuple[Timeline, Timeline]) -> None:
    """Whether the clips that an operation brings in are the owner's, and whether something is left of what it shows.

    ``timelines`` are those before and after it. A shot whose clip is gone is not changed in what it shows: nobody could tell
    whether anything of the clip would be left when it comes back in a project file.
    """
    if isinstance(operation, AddShot | AddTake):
        found = clips.get(connection, owner, operation.clip)
        if found is None or found.deleted_at is not None:
            raise InvalidRequest("clip is not one of your library; give the id of one.", field="clip")
    before, after = timelines
    if isinstance(operation, SplitShot):
        whole = before.shots[index_of(before, operation.shot)]
        check_split(whole.name, whole, operation.at_s, _material(connection, owner, whole))
    shown = {shot.id: (shot.chosen, shot.start_s, shot.end_s) for shot in before.shots}
    for shot in after.shots:
        if shown.get(shot.id) == (shot.chosen, shot.start_s, shot.end_s):
            continue
        material = _material(connection, owner, shot)
        piece_of(shot.name, shot, material)
        if isinstance(operation, TrimShot):
            check_end(operation, material)


def _material(connection: Connection, owner: str, shot: Shot) -> Footage:
    chosen = clips.get(connection, owner, shot.chosen)
    if chosen is None:
        raise InvalidRequest(
            f"shot {shot.name!r} would show a take that was deleted for good; choose another take.", field="shot"
        )
    return footage(clip_record(chosen), Path(chosen.path))
