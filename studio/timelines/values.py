"""A project's timeline as frozen values, and the operations that change it; every change has one that takes it back."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipelines import contract

MOST_SHOTS = 500
MOST_TAKES = 200
MOST_NAME_CHARACTERS = 200
MOST_SECONDS = 36_000
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def _visible(name: str) -> str:
    cleaned = _INVISIBLE.sub("", name).strip()
    if not 1 <= len(cleaned) <= MOST_NAME_CHARACTERS:
        raise ValueError(f"must have 1 to {MOST_NAME_CHARACTERS} visible characters")
    return cleaned


def new_id() -> str:
    """An id that nothing else has: 32 hexadecimal digits."""
    return uuid.uuid4().hex


Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Name = Annotated[str, AfterValidator(_visible)]
Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS)]


class Trim(contract.Request):
    """The part of a take that is shown."""

    start_s: Seconds | None = None
    """Where it begins; the take's beginning if left out."""
    end_s: Seconds | None = None
    """Where it ends; the take's end if left out."""

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end_s is not None and self.end_s <= (self.start_s or 0.0):
            raise ValueError(f"ends at {self.end_s:g} s, which is not after its start at {self.start_s or 0.0:g} s")
        return self


class Shot(Trim):
    """One place of a timeline: its takes and which of them is shown, from ``start_s`` to ``end_s``."""

    id: Id
    name: Name
    takes: tuple[Id, ...] = Field(min_length=1, max_length=MOST_TAKES)
    """Ids of clips, the oldest take first."""
    chosen: Id
    """The take that is shown."""

    @model_validator(mode="after")
    def _holds_its_choice(self) -> Self:
        if len(set(self.takes)) < len(self.takes):
            raise ValueError(f"of the shot {self.name!r} hold one take twice")
        if self.chosen not in self.takes:
            raise ValueError(f"of the shot {self.name!r} chooses a take that it does not have")
        return self


class Timeline(contract.Request):
    """A named row of shots; the film is their chosen takes one after the other."""

    name: Name
    shots: tuple[Shot, ...] = Field((), max_length=MOST_SHOTS)

    @model_validator(mode="after")
    def _tells_shots_apart(self) -> Self:
        if len({shot.id for shot in self.shots}) < len(self.shots):
            raise ValueError("holds one shot twice")
        return self


class RenameProject(contract.Request):
    """Call the project something else."""

    op: Literal["rename_project"] = "rename_project"
    name: Name


class AddShot(contract.Request):
    """A new shot of one take, at the end or before the shot at ``index``."""

    op: Literal["add_shot"] = "add_shot"
    clip: Id
    """The take."""
    name: Name | None = None
    """``Shot`` and a number if left out."""
    index: int | None = Field(None, ge=0, le=MOST_SHOTS)
    """Its place, 0 is the first."""
    shot: Id = Field(default_factory=new_id)
    """The new shot's id; one is made up if left out."""


class RemoveShot(contract.Request):
    """Take a shot out; its clips stay in the library."""

    op: Literal["remove_shot"] = "remove_shot"
    shot: Id


class MoveShot(contract.Request):
    """Give a shot another place."""

    op: Literal["move_shot"] = "move_shot"
    shot: Id
    index: int = Field(ge=0, le=MOST_SHOTS)
    """Its new place, 0 is the first."""


class RenameShot(contract.Request):
    """Call a shot something else."""

    op: Literal["rename_shot"] = "rename_shot"
    shot: Id
    name: Name


class AddTake(contract.Request):
    """One more take of a shot."""

    op: Literal["add_take"] = "add_take"
    shot: Id
    clip: Id
    choose: bool = True
    """Whether it is the one that is shown from now on."""


class RemoveTake(contract.Request):
    """Take a take out of a shot; the clip stays in the library."""

    op: Literal["remove_take"] = "remove_take"
    shot: Id
    clip: Id


class ChooseTake(contract.Request):
    """Show another take of a shot."""

    op: Literal["choose_take"] = "choose_take"
    shot: Id
    clip: Id


class TrimShot(Trim):
    """Show only a part of the shot's take; without times all of it."""

    op: Literal["trim_shot"] = "trim_shot"
    shot: Id


class SplitShot(contract.Request):
    """Make two shots of one at a moment of its take; both keep all takes."""

    op: Literal["split_shot"] = "split_shot"
    shot: Id
    at_s: Seconds
    """Second of the take at which the later half begins."""
    second: Id = Field(default_factory=new_id)
    """The later half's id; one is made up if left out."""


class MergeShot(contract.Request):
    """Put a shot back into the place of its halves: what takes a split back."""

    op: Literal["merge_shot"] = "merge_shot"
    shot: Shot
    second: Id


class InsertShot(contract.Request):
    """Put a whole shot in: what takes a removal back."""

    op: Literal["insert_shot"] = "insert_shot"
    shot: Shot
    index: int


class SetShot(contract.Request):
    """Put a shot in the place of the one with its id: what takes a change within a shot back."""

    op: Literal["set_shot"] = "set_shot"
    shot: Shot


Operation = Annotated[
    RenameProject | AddShot | RemoveShot | MoveShot | RenameShot | AddTake | RemoveTake | ChooseTake | TrimShot | SplitShot,
    Field(discriminator="op"),
]
"""What a person can do to a timeline."""
Change = Annotated[
    RenameProject | AddShot | RemoveShot | MoveShot | RenameShot | AddTake | RemoveTake | ChooseTake | TrimShot | SplitShot
    | InsertShot | SetShot | MergeShot,
    Field(discriminator="op"),
]  # fmt: skip
"""An operation, or what takes one back."""
