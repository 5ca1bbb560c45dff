"""Projects as people see them, made from their rows and from the clips that they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pipelines.contract import EditRequest
from studio.services.present import clip_record
from studio.services.records import Record, StoredClip
from studio.storage import clips, projects
from studio.storage.database import Connection
from studio.timelines.changes import stored_change
from studio.timelines.cut import Footage, piece_of, rate_of
from studio.timelines.values import Shot, Timeline

_AT_ONCE = 500


class Take(Record):
    """A clip as a take of a shot."""

    id: str
    name: str
    made: str
    """How: ``generate``, or the kind of edit."""
    source: str | None
    """The clip that it was edited from, a take of the shot or not."""
    state: Literal["here", "trash", "gone"]
    """Whether the clip is in the library, in its trash, or was deleted for good."""
    duration_s: float | None
    """``None`` when it is gone."""
    height: int | None
    width: int | None
    frame_rate: float | None
    has_video: bool
    has_audio: bool


class StoredShot(Record):
    """A shot of a timeline."""

    id: str
    name: str
    takes: tuple[Take, ...]
    chosen: str
    """The id of the take that is shown."""
    start_s: float | None
    end_s: float | None
    duration_s: float | None
    """How long it is shown; ``None`` when its take is gone."""


class Project(Record):
    """A timeline of shots."""

    id: str
    name: str
    shots: tuple[StoredShot, ...]
    duration_s: float
    """Of all shots together."""
    revision: int
    """Rises with every change; a change names the one that it was made in view of."""
    undo: str | None
    """The operation that undo would take back, ``None`` at the beginning."""
    redo: str | None
    """The operation that redo would do again."""
    created_at: str
    updated_at: str
    deleted_at: str | None


class ProjectSummary(Record):
    """A project in a list."""

    id: str
    name: str
    shots: int
    created_at: str
    updated_at: str
    deleted_at: str | None


def summary(row: projects.ProjectRow) -> ProjectSummary:
    """The project without its shots."""
    count = len(Timeline.model_validate_json(row.timeline).shots)
    return ProjectSummary(
        id=row.id, name=row.name, shots=count, created_at=row.created_at, updated_at=row.updated_at, deleted_at=row.deleted_at
    )


def project_record(connection: Connection, row: projects.ProjectRow) -> Project:
    """The project with its shots and their takes."""
    timeline = Timeline.model_validate_json(row.timeline)
    found = clips_named(connection, row.owner, (take for shot in timeline.shots for take in shot.takes))
    shots = tuple(_shot(shot, found) for shot in timeline.shots)
    return Project(
        id=row.id,
        name=row.name,
        shots=shots,
        duration_s=sum(shot.duration_s or 0.0 for shot in shots),
        revision=row.revision,
        undo=_operation(connection, row.id, row.position),
        redo=_operation(connection, row.id, row.position + 1),
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
    )


def clips_named(connection: Connection, owner: str, clip_ids: Iterable[str]) -> dict[str, clips.ClipRow]:
    """The owner's clips of those ids, also from the trash; those that are gone are left out."""
    found: dict[str, clips.ClipRow] = {}
    wanted = list(dict.fromkeys(clip_ids))
    for start in range(0, len(wanted), _AT_ONCE):
        found |= clips.get_many(connection, owner, wanted[start : start + _AT_ONCE])
    return found


def footage(clip: StoredClip, path: Path) -> Footage:
    """A clip as the material of a film."""
    return Footage(
        id=clip.id,
        path=path,
        prompt=clip.request.prompt,
        height=clip.height,
        width=clip.width,
        num_frames=clip.num_frames,
        rate=rate_of(clip.frame_rate),
        has_video=clip.has_video,
        has_audio=clip.has_audio,
    )


def _shot(shot: Shot, found: Mapping[str, clips.ClipRow]) -> StoredShot:
    chosen = found.get(shot.chosen)
    shown = None if chosen is None else piece_of(shot.name, shot, footage(clip_record(chosen), Path(chosen.path)))
    return StoredShot(
        id=shot.id,
        name=shot.name,
        takes=tuple(_take(take, found.get(take)) for take in shot.takes),
        chosen=shot.chosen,
        start_s=shot.start_s,
        end_s=shot.end_s,
        duration_s=None if shown is None else float(shown.duration),
    )


def _take(clip_id: str, row: clips.ClipRow | None) -> Take:
    if row is None:
        return Take(
            id=clip_id, name="deleted clip", made="gone", source=None, state="gone", duration_s=None, height=None,
            width=None, frame_rate=None, has_video=False, has_audio=False,
        )  # fmt: skip
    clip = clip_record(row)
    return Take(
        id=clip.id,
        name=clip.name,
        made=clip.request.edit.kind if isinstance(clip.request, EditRequest) else clip.request.kind,
        source=row.source,
        state="here" if clip.deleted_at is None else "trash",
        duration_s=clip.duration_s,
        height=clip.height,
        width=clip.width,
        frame_rate=clip.frame_rate,
        has_video=clip.has_video,
        has_audio=clip.has_audio,
    )


def _operation(connection: Connection, project_id: str, number: int) -> str | None:
    row = projects.change(connection, project_id, number)
    return None if row is None else stored_change(row.change).op
