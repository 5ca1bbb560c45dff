"""The reducer of timelines: what each operation does, what it refuses, and that every change has one that takes it back."""

from __future__ import annotations

import random

import pytest
from pydantic import ValidationError

from pipelines.contract import InvalidRequest, NotFound
from studio.timelines.changes import applied, inverse, parse_operation, stored_change
from studio.timelines.values import (
    MOST_SHOTS,
    AddShot,
    AddTake,
    ChooseTake,
    MoveShot,
    Operation,
    RemoveShot,
    RemoveTake,
    RenameProject,
    RenameShot,
    Shot,
    SplitShot,
    Timeline,
    TrimShot,
    new_id,
)

A, B, C = (letter * 32 for letter in "abc")


def three() -> Timeline:
    timeline = Timeline(name="film")
    for clip in (A, B, C):
        timeline = applied(timeline, AddShot(clip=clip, shot=clip))
    return timeline


def order(timeline: Timeline) -> str:
    return "".join(shot.id[0] for shot in timeline.shots)


def middle_of(shot: Shot) -> float:
    """A second within what the shot shows, 0 where there is none."""
    start_s = shot.start_s or 0.0
    middle = (start_s + (start_s + 1 if shot.end_s is None else shot.end_s)) / 2
    return middle if start_s < middle and (shot.end_s is None or middle < shot.end_s) else 0.0


def random_operation(chance: random.Random, timeline: Timeline) -> Operation:
    """Something that can be done to the timeline."""
    clip = f"{chance.getrandbits(128):032x}"
    adding = AddShot(clip=clip, shot=f"{chance.getrandbits(128):032x}", index=chance.choice([None, len(timeline.shots) // 2]))
    if not timeline.shots:
        return adding
    shot = chance.choice(timeline.shots)
    start_s = chance.random()
    return chance.choice(
        [
            adding,
            RemoveShot(shot=shot.id),
            MoveShot(shot=shot.id, index=chance.randrange(len(timeline.shots))),
            RenameShot(shot=shot.id, name=f"name {chance.random()}"),
            RenameProject(name=f"film {chance.random()}"),
            AddTake(shot=shot.id, clip=clip, choose=chance.random() < 0.5),
            ChooseTake(shot=shot.id, clip=chance.choice(shot.takes)),
            TrimShot(shot=shot.id, start_s=start_s, end_s=chance.choice([None, start_s + 1])),
            *([SplitShot(shot=shot.id, second=clip, at_s=middle)] if (middle := middle_of(shot)) else []),
            *([RemoveTake(shot=shot.id, clip=chance.choice(shot.takes))] if len(shot.takes) > 1 else []),
        ]
    )


@pytest.mark.parametrize("seed", range(20))
def test_every_change_is_taken_back_by_its_inverse_and_done_again(seed: int) -> None:
    chance, timeline = random.Random(seed), Timeline(name="film")
    past, changes = [timeline], []
    for _ in range(60):
        change = random_operation(chance, timeline)
        changes.append((change, stored_change(inverse(timeline, change).model_dump_json())))
        past.append(timeline := applied(timeline, change))
        assert Timeline.model_validate_json(timeline.model_dump_json()) == timeline
    for before, (_, back) in zip(reversed(past[:-1]), reversed(changes), strict=True):
        timeline = applied(timeline, back)
        assert timeline == before
    for after, (change, _) in zip(past[1:], changes, strict=True):
        timeline = applied(timeline, stored_change(change.model_dump_json()))
        assert timeline == after


def test_shots_are_added_moved_and_removed() -> None:
    timeline = three()
    assert [shot.name for shot in timeline.shots] == ["Shot 1", "Shot 2", "Shot 3"]
    assert order(applied(timeline, MoveShot(shot=C, index=0))) == "cab"
    assert order(applied(timeline, MoveShot(shot=A, index=2))) == "bca"
    assert order(applied(timeline, RemoveShot(shot=B))) == "ac"
    assert order(applied(timeline, AddShot(clip=A, shot="d" * 32, index=1))) == "adbc"


def test_a_shot_is_split_and_both_halves_keep_its_takes() -> None:
    timeline = applied(applied(three(), AddTake(shot=B, clip=A)), TrimShot(shot=B, start_s=0.5, end_s=2))
    split = applied(timeline, SplitShot(shot=B, at_s=1.25, second="d" * 32))
    assert order(split) == "abdc"
    former, later = split.shots[1:3]
    assert (former.start_s, former.end_s, later.start_s, later.end_s) == (0.5, 1.25, 1.25, 2)
    assert former.takes == later.takes == (B, A) and former.chosen == later.chosen == A and later.name == former.name
    for at_s in (0, 0.5, 2, 3):
        with pytest.raises(InvalidRequest) as refused:
            applied(timeline, SplitShot(shot=B, at_s=at_s))
        assert refused.value.field == "at_s" and refused.value.message.startswith("at_s")
    full = Timeline(
        name="film", shots=tuple(Shot(id=(one := new_id()), name="x", takes=(one,), chosen=one) for _ in range(MOST_SHOTS))
    )
    with pytest.raises(InvalidRequest, match="500 at most"):
        applied(full, SplitShot(shot=full.shots[0].id, at_s=0.5))


def test_takes_are_added_chosen_and_removed() -> None:
    timeline = applied(three(), AddTake(shot=A, clip=B))
    assert timeline.shots[0].takes == (A, B) and timeline.shots[0].chosen == B
    assert applied(timeline, ChooseTake(shot=A, clip=A)).shots[0].chosen == A
    assert applied(timeline, RemoveTake(shot=A, clip=B)).shots[0] == three().shots[0]
    assert applied(three(), AddTake(shot=A, clip=B, choose=False)).shots[0].chosen == A


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        (MoveShot(shot=A, index=3), "index"),
        (AddShot(clip=A, index=4), "index"),
        (AddShot(clip=A, shot=B), "shot"),
        (AddTake(shot=A, clip=A), "clip"),
        (ChooseTake(shot=A, clip=B), "clip"),
        (RemoveTake(shot=A, clip=B), "clip"),
        (RemoveTake(shot=A, clip=A), "clip"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(operation: Operation, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        applied(three(), operation)
    assert refused.value.field == field and refused.value.message.startswith(field) and refused.value.message.endswith(".")


def test_an_unknown_shot_and_too_many_shots() -> None:
    with pytest.raises(NotFound):
        applied(three(), RemoveShot(shot=new_id()))
    shots = tuple(Shot(id=(one := new_id()), name="x", takes=(one,), chosen=one) for _ in range(MOST_SHOTS))
    with pytest.raises(InvalidRequest, match="500 at most"):
        applied(Timeline(name="film", shots=shots), AddShot(clip=A))


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"op": "burn"}, "op"),
        ({}, "op"),
        ("add_shot", "request"),
        (None, "request"),
        ({"op": "insert_shot", "shot": {}, "index": 0}, "op"),
        ({"op": "add_shot"}, "clip"),
        ({"op": "add_shot", "clip": "../../etc"}, "clip"),
        ({"op": "add_shot", "clip": A, "name": "\u200b"}, "name"),
        ({"op": "add_shot", "clip": A, "colour": 1}, "colour"),
        ({"op": "trim_shot", "shot": A, "start_s": -1}, "start_s"),
        ({"op": "trim_shot", "shot": A, "start_s": float("nan")}, "start_s"),
        ({"op": "trim_shot", "shot": A, "start_s": 2, "end_s": 1}, "request"),
    ],
)
def test_bad_operations_name_their_field(value: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_operation(value)
    assert refused.value.field == field and refused.value.message.endswith(".")


def test_a_shot_keeps_its_promises() -> None:
    for fields in ({"takes": (A, A), "chosen": A}, {"takes": (A,), "chosen": B}, {"takes": (), "chosen": A}):
        with pytest.raises(ValidationError):
            Shot(id=A, name="x", **fields)
    with pytest.raises(ValidationError):
        Timeline(name="film", shots=(three().shots[0], three().shots[0]))
