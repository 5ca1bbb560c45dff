"""What a prompt is made of, as values: kinds of entities, intents, and the analysis that holds both. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EntityKind(StrEnum):
    """What a run of characters in a prompt stands for."""

    SUBJECT = "subject"
    ACTION = "action"
    PLACE = "place"
    TIME = "time"
    WEATHER = "weather"
    LIGHT = "light"
    STYLE = "style"
    CAMERA = "camera"
    SOUND = "sound"
    SPEECH = "speech"
    EMOTION = "emotion"
    COLOUR = "colour"


class Intent(StrEnum):
    """What a prompt asks for; most ask for several things at once."""

    SCENE = "scene"
    """Says where or when it happens."""
    SPEECH = "speech"
    """Somebody speaks."""
    MUSIC = "music"
    """Somebody sings or plays, or music is heard."""
    ACTION = "action"
    """Somebody or something moves."""
    CAMERA = "camera"
    """Says how the camera sees it."""
    TRANSITION = "transition"
    """One thing or picture becomes another."""
    MOOD = "mood"
    """Names a feeling."""
    PRODUCT = "product"
    """A thing is shown to be sold."""
    NATURE = "nature"
    """Landscape, plants or weather."""
    ABSTRACT = "abstract"
    """Shapes and patterns instead of things."""
    STYLE = "style"
    """Names a look or a medium."""
    SOUND = "sound"
    """Names a sound that is neither speech nor music."""


@dataclass(frozen=True)
class Entity:
    """``prompt[start:end]`` in characters (code points), and what it stands for.

    ``concept`` is its name in the words of the embedded model's world, ``(kind, concept)``, where it has one.
    """

    kind: EntityKind
    text: str
    start: int
    end: int
    concept: tuple[str, str] | None = None


@dataclass(frozen=True)
class Analysis:
    """A prompt as it was read. ``language`` is a code of two letters; entities are in order and never overlap."""

    prompt: str
    language: str
    intents: tuple[Intent, ...]
    entities: tuple[Entity, ...]

    def of(self, kind: EntityKind) -> tuple[Entity, ...]:
        """The entities of one kind, in order."""
        return tuple(each for each in self.entities if each.kind is kind)
