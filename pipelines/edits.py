"""What can be done to a clip that exists: each operation as a frozen value, in seconds and frames of its source.

Pydantic and the standard library only; ``pipelines.contract.EditRequest`` carries one of these. Those that ``imagines``
are made by the model that the request names, the others from the source's own frames and samples.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

IMAGE_REFERENCE = re.compile(r"sha256:[0-9a-f]{64}")
SOURCE_REFERENCE = re.compile(r"clip:[0-9a-f]{32}")

Part = Literal["both", "video", "audio"]
Image = Annotated[str, Field(pattern=f"^{IMAGE_REFERENCE.pattern}$")]
Source = Annotated[str, Field(pattern=f"^{SOURCE_REFERENCE.pattern}$")]


class Operation(BaseModel):
    """Base of every operation: frozen, strict about unknown fields, finite numbers only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    imagines: ClassVar[bool] = False
    """Whether a model makes part of the result."""

    def sources(self) -> tuple[str, ...]:
        """Clips that it reads beside the one that is edited."""
        return ()

    def images(self) -> tuple[str, ...]:
        """Stored images that it reads."""
        return ()


class _Range(Operation):
    start_s: float = Field(0.0, ge=0)
    """Where it begins."""
    end_s: float | None = Field(None, gt=0)
    """Where it ends; the clip's end where it is left out."""

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"runs from {self.start_s:g} s to {self.end_s:g} s; the end must come after the start")
        return self


class Retake(_Range):
    """A range of time made anew from the prompt, everything else kept as it is."""

    kind: Literal["retake"] = "retake"
    imagines: ClassVar[bool] = True
    part: Part = "both"
    """Picture, sound, or both."""


class Keyframe(BaseModel):
    """An image that the clip passes through."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    frame: int = Field(ge=0)
    """At which frame, 0 being the first."""
    image: Image
    """A stored image, scaled and cut to the clip."""
    strength: float = Field(1.0, gt=0, le=1)
    """How closely the clip follows it; 1 shows exactly it."""


class Keyframes(Operation):
    """Painted or replaced frames, the rest of the picture following them."""

    kind: Literal["keyframes"] = "keyframes"
    imagines: ClassVar[bool] = True
    keyframes: tuple[Keyframe, ...] = Field(min_length=1, max_length=32)
    """The images, each at its frame."""
    change: float = Field(0.8, gt=0, le=1)
    """How far the rest may leave what it was; 1 begins from nothing."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        frames = [each.frame for each in self.keyframes]
        if len(set(frames)) < len(frames):
            raise ValueError("name the same frame twice; give each frame one image")
        return self

    def images(self) -> tuple[str, ...]:
        """The keyframes' images."""
        return tuple(dict.fromkeys(each.image for each in self.keyframes))


class Region(_Range):
    """What lies under a mask made anew, everything else kept pixel by pixel."""

    kind: Literal["region"] = "region"
    imagines: ClassVar[bool] = True
    mask: Image
    """White where the picture may change, black where it stays."""
    end_mask: Image | None = None
    """The mask at the end of the range; between the two it is blended, so that a region can follow something."""
    change: float = Field(1.0, gt=0, le=1)
    """How far it may leave what it was; 1 begins from nothing."""

    def images(self) -> tuple[str, ...]:
        """The masks."""
        return (self.mask,) if self.end_mask is None else (self.mask, self.end_mask)


class Extend(Operation):
    """More of the clip, before or after it."""

    kind: Literal["extend"] = "extend"
    imagines: ClassVar[bool] = True
    seconds: float = Field(1.0, gt=0, le=60)
    """How much longer it becomes."""
    direction: Literal["forward", "backward"] = "forward"
    """After its end, or before its beginning."""


class Join(Operation):
    """Another clip after this one, with a transition that the model imagines, or a plain cut."""

    kind: Literal["join"] = "join"
    other: Source
    """The clip that follows."""
    transition_s: float = Field(0.5, ge=0, le=10)
    """How long the transition between them lasts; 0 is a cut."""

    @property
    def has_transition(self) -> bool:
        """Whether something lies between the two."""
        return self.transition_s > 0

    def sources(self) -> tuple[str, ...]:
        """The clip that follows."""
        return (self.other,)


class Loop(Operation):
    """The end led back to the beginning, so that the clip can be repeated without a seam."""

    kind: Literal["loop"] = "loop"
    imagines: ClassVar[bool] = True
    seam_s: float = Field(0.5, gt=0, le=10)
    """How much around the seam is made anew."""


class Dub(Operation):
    """New sound for the picture."""

    kind: Literal["dub"] = "dub"
    imagines: ClassVar[bool] = True


class Visualise(Operation):
    """A new picture for the sound."""

    kind: Literal["visualise"] = "visualise"
    imagines: ClassVar[bool] = True


class Interpolate(Operation):
    """More frames a second, drawn between those that are there."""

    kind: Literal["interpolate"] = "interpolate"
    factor: Literal[2, 4] = 2
    """How many times as many."""


class Enlarge(Operation):
    """The picture as many times as wide and high."""

    kind: Literal["upscale"] = "upscale"
    factor: Literal[2, 4] = 2
    """How many times."""


class Speed(Operation):
    """Faster or slower, the pitch of the sound kept."""

    kind: Literal["speed"] = "speed"
    factor: float = Field(ge=0.25, le=4)
    """2 is twice as fast."""


class Trim(_Range):
    """A part of the clip, the rest left out."""

    kind: Literal["trim"] = "trim"


class Crop(Operation):
    """A rectangle of the picture, in pixels of the source."""

    kind: Literal["crop"] = "crop"
    left: int = Field(ge=0)
    """Columns cut off at the left."""
    top: int = Field(ge=0)
    """Rows cut off at the top."""
    width: int = Field(ge=16)
    """Columns that stay."""
    height: int = Field(ge=16)
    """Rows that stay."""


class MatchColour(_Range):
    """The colours of a range brought to those of the frames beside it, where an edit left them off."""

    kind: Literal["match-colour"] = "match-colour"


class Mute(Operation):
    """The picture without its sound."""

    kind: Literal["mute"] = "mute"


class ReplaceSound(Operation):
    """The sound of another clip with this picture, cut or followed by silence to fit."""

    kind: Literal["replace-sound"] = "replace-sound"
    other: Source
    """The clip whose sound it is."""

    def sources(self) -> tuple[str, ...]:
        """The clip whose sound it is."""
        return (self.other,)


class ShiftSound(Operation):
    """The sound later (above 0) or earlier (below 0), silence where nothing is left."""

    kind: Literal["shift-sound"] = "shift-sound"
    offset_s: float = Field(ge=-10, le=10)
    """By how many seconds."""


Edit = Annotated[
    Retake
    | Keyframes
    | Region
    | Extend
    | Join
    | Loop
    | Dub
    | Visualise
    | Interpolate
    | Enlarge
    | Speed
    | Trim
    | Crop
    | MatchColour
    | Mute
    | ReplaceSound
    | ShiftSound,
    Field(discriminator="kind"),
]


def needs_model(edit: Any) -> bool:
    """Whether a model makes part of what ``edit`` asks for."""
    return edit.has_transition if isinstance(edit, Join) else type(edit).imagines
