"""The one reducer of timelines: a timeline and a change make the next timeline, and the change that leads back."""

from __future__ import annotations

from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from pipelines.contract import InvalidRequest, NotFound, invalid_request
from studio.timelines.values import (
    MOST_SHOTS,
    MOST_TAKES,
    AddShot,
    AddTake,
    Change,
    ChooseTake,
    InsertShot,
    MergeShot,
    MoveShot,
    Operation,
    RemoveShot,
    RemoveTake,
    RenameProject,
    RenameShot,
    SetShot,
    Shot,
    SplitShot,
    Timeline,
    TrimShot,
)

_CHANGE: TypeAdapter[Change] = TypeAdapter(Change)
_OPERATION: TypeAdapter[Operation] = TypeAdapter(Operation)


def parse_operation(value: object) -> Operation:
    """An operation from untrusted JSON. Raises ``InvalidRequest`` with one sentence that names the field."""
    try:
        return _OPERATION.validate_python(value)
    except ValidationError as error:
        raise _plain(error) from None


def stored_change(text: str) -> Change:
    """A change as the studio itself wrote it down."""
    return _CHANGE.validate_json(text)


def applied(timeline: Timeline, change: Change) -> Timeline:
    """The timeline after the change. Raises ``NotFound`` or ``InvalidRequest``."""
    shots = timeline.shots
    match change:
        case RenameProject(name=name):
            return timeline.model_copy(update={"name": name})
        case AddShot():
            _check_room(shots, "clip")
            name = change.name or f"Shot {len(shots) + 1}"
            new = Shot(id=change.shot, name=name, takes=(change.clip,), chosen=change.clip)
            place = len(shots) if change.index is None else change.index
            return _with(timeline, _inserted(shots, new, place))
        case InsertShot(shot=shot, index=index):
            return _with(timeline, _inserted(shots, shot, index))
        case RemoveShot(shot=shot_id):
            return _with(timeline, _without(shots, index_of(timeline, shot_id)))
        case MoveShot(shot=shot_id, index=index):
            at = index_of(timeline, shot_id)
            return _with(timeline, _inserted(_without(shots, at), shots[at], index))
        case SplitShot(shot=shot_id):
            at = index_of(timeline, shot_id)
            _check_room(shots, "shot")
            first, second = _halves(shots[at], change)
            return _with(timeline, _inserted((*shots[:at], first, *shots[at + 1 :]), second, at + 1))
        case MergeShot(shot=shot, second=second_id):
            rest = _without(shots, index_of(timeline, second_id))
            return _with(timeline, tuple(shot if each.id == shot.id else each for each in rest))
        case _:
            at = index_of(timeline, change.shot.id if isinstance(change, SetShot) else change.shot)
            return _with(timeline, (*shots[:at], _changed(shots[at], change), *shots[at + 1 :]))


def inverse(timeline: Timeline, operation: Operation) -> Change:
    """What leads from ``applied(timeline, operation)`` back to ``timeline``."""
    match operation:
        case RenameProject():
            return RenameProject(name=timeline.name)
        case AddShot(shot=shot_id):
            return RemoveShot(shot=shot_id)
        case RemoveShot(shot=shot_id):
            at = index_of(timeline, shot_id)
            return InsertShot(shot=timeline.shots[at], index=at)
        case MoveShot(shot=shot_id):
            return MoveShot(shot=shot_id, index=index_of(timeline, shot_id))
        case SplitShot(shot=shot_id, second=second):
            return MergeShot(shot=timeline.shots[index_of(timeline, shot_id)], second=second)
        case _:
            return SetShot(shot=timeline.shots[index_of(timeline, operation.shot)])


def index_of(timeline: Timeline, shot_id: str) -> int:
    """Where the shot stands. Raises ``NotFound``."""
    for index, shot in enumerate(timeline.shots):
        if shot.id == shot_id:
            return index
    raise NotFound("shot is not one of this project; look at the project again.", field="shot")


def _changed(shot: Shot, change: RenameShot | AddTake | RemoveTake | ChooseTake | TrimShot | SetShot) -> Shot:
    match change:
        case SetShot(shot=whole):
            return whole
        case RenameShot(name=name):
            return shot.model_copy(update={"name": name})
        case TrimShot(start_s=start_s, end_s=end_s):
            return shot.model_copy(update={"start_s": start_s, "end_s": end_s})
        case AddTake(clip=clip, choose=choose):
            if clip in shot.takes:
                raise InvalidRequest(f"clip is a take of {shot.name!r} already; choose it there.", field="clip")
            if len(shot.takes) >= MOST_TAKES:
                raise InvalidRequest(f"clip would be take {MOST_TAKES + 1}; a shot holds {MOST_TAKES} at most.", field="clip")
            return shot.model_copy(update={"takes": (*shot.takes, clip), "chosen": clip if choose else shot.chosen})
        case ChooseTake(clip=clip):
            _check_take(shot, clip)
            return shot.model_copy(update={"chosen": clip})
        case RemoveTake(clip=clip):
            _check_take(shot, clip)
            left = tuple(take for take in shot.takes if take != clip)
            if not left:
                raise InvalidRequest(f"clip is the only take of {shot.name!r}; remove the shot instead.", field="clip")
            return shot.model_copy(update={"takes": left, "chosen": left[-1] if shot.chosen == clip else shot.chosen})


def _halves(shot: Shot, change: SplitShot) -> tuple[Shot, Shot]:
    if change.at_s <= (shot.start_s or 0.0) or (shot.end_s is not None and change.at_s >= shot.end_s):
        raise InvalidRequest(f"at_s is {change.at_s:g}, which is not within what {shot.name!r} shows of its take.", field="at_s")
    return shot.model_copy(update={"end_s": change.at_s}), shot.model_copy(update={"id": change.second, "start_s": change.at_s})


def _check_room(shots: tuple[Shot, ...], field: str) -> None:
    if len(shots) >= MOST_SHOTS:
        raise InvalidRequest(f"{field} would make {MOST_SHOTS + 1} shots; a project holds {MOST_SHOTS} at most.", field=field)


def _check_take(shot: Shot, clip: str) -> None:
    if clip not in shot.takes:
        raise InvalidRequest(f"clip is not a take of {shot.name!r}; add it first.", field="clip")


def _with(timeline: Timeline, shots: tuple[Shot, ...]) -> Timeline:
    return timeline.model_copy(update={"shots": shots})


def _without(shots: tuple[Shot, ...], at: int) -> tuple[Shot, ...]:
    return (*shots[:at], *shots[at + 1 :])


def _inserted(shots: tuple[Shot, ...], new: Shot, at: int) -> tuple[Shot, ...]:
    if at > len(shots):
        raise InvalidRequest(f"index is {at}; the last place is {len(shots)}.", field="index")
    if any(shot.id == new.id for shot in shots):
        raise InvalidRequest("shot is the id of another shot of this project; leave it out.", field="shot")
    return (*shots[:at], new, *shots[at:])


def _plain(error: ValidationError) -> InvalidRequest:
    """The first fault without the name of the union's member in front of the field."""
    first = error.errors(include_url=False)[0]
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return InvalidRequest(
            "op is not one that a timeline knows; use add_shot, remove_shot, move_shot, rename_shot, add_take, remove_take, "
            "choose_take, trim_shot, split_shot or rename_project.",
            field="op",
        )
    return invalid_request(cast(ValidationError, _Faults(error)))


class _Faults:
    """Pydantic's report, its places without the union's tag."""

    def __init__(self, report: ValidationError) -> None:
        self._report = report

    def errors(self, *, include_url: bool) -> list[dict[str, Any]]:
        """As ``ValidationError.errors``."""
        return [{**fault, "loc": fault["loc"][1:]} for fault in self._report.errors(include_url=include_url)]
