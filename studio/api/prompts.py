"""What a prompt asks for, and how it could say more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from pipelines import contract
from pipelines.contract import MAX_PROMPT_CHARACTERS
from pipelines.prompting.enhancement import Model, Strategy, enhance
from pipelines.prompting.kinds import EntityKind, Intent
from pipelines.prompting.reading import analyse
from pipelines.prompting.timeline import timeline_of
from studio.api.wire import body_of, json_body, parse
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


class PromptToRead(contract.Request):
    """A prompt to read; an empty one has nothing in it."""

    prompt: str = Field(max_length=MAX_PROMPT_CHARACTERS)
    """What to see and what to hear."""


class PromptToEnhance(contract.Request):
    """A prompt, what to add to it, and the model and length of clip that it is for."""

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    """What to see and what to hear."""
    strategy: Strategy
    """detail, cinematic, sound or structure."""
    model: str = Field("pocket", min_length=1, max_length=100)
    """Who will read it."""
    duration_s: float | None = Field(None, gt=0, le=10_000)
    """Seconds of the clip, for time stamps; the model's own length where it is left out."""
    keep: tuple[str, ...] = Field((), max_length=50)
    """Words that stay as they are, such as the trigger words of styles."""


class FoundEntity(BaseModel):
    """``prompt[start:end]`` in characters (code points), and what it stands for."""

    kind: EntityKind
    text: str
    start: int
    end: int


class TimedSegment(BaseModel):
    """What a time-stamped prompt says for some seconds."""

    start_s: float
    end_s: float
    text: str


class ReadPrompt(BaseModel):
    """A prompt as it was read."""

    language: str
    """Two letters: en, fr, de, es, ja or zh."""
    intents: tuple[Intent, ...]
    """What it asks for."""
    entities: list[FoundEntity]
    """What it names, in order, never overlapping."""
    segments: list[TimedSegment]
    """Its time stamps; empty for a plain prompt."""


class ChangedPiece(BaseModel):
    """A run of characters that both prompts have, or only one."""

    change: Literal["kept", "added", "removed"]
    text: str


class EnhancedPrompt(BaseModel):
    """A prompt before and after; the pieces that were not added make ``original``, those not removed make ``prompt``."""

    strategy: Strategy
    original: str
    prompt: str
    language: str
    difference: list[ChangedPiece]
    note: str | None
    """Why nothing was added, where nothing was."""


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes ``/prompts/analyse`` and ``/prompts/enhance``."""

    @api.post("/prompts/analyse", openapi_extra=body_of(PromptToRead))
    def read(body: JSON) -> ReadPrompt:
        """What a prompt asks for and what it names; 422 where its time stamps contradict one another."""
        wanted = parse(PromptToRead, body)
        found, timeline = analyse(wanted.prompt), timeline_of(wanted.prompt)
        return ReadPrompt(
            language=found.language,
            intents=found.intents,
            entities=[FoundEntity(kind=each.kind, text=each.text, start=each.start, end=each.end) for each in found.entities],
            segments=[TimedSegment(**asdict(segment)) for segment in timeline.segments] if timeline else [],
        )

    @api.post("/prompts/enhance", openapi_extra=body_of(PromptToEnhance))
    def enhanced(body: JSON) -> EnhancedPrompt:
        """A prompt with what a strategy adds to it; nothing is made or kept."""
        wanted = parse(PromptToEnhance, body)
        spec = studio_of().catalogue.get(wanted.model)
        own_s = spec.defaults.num_frames / spec.defaults.frame_rate
        model = Model(spec.title, spec.vocabulary, wanted.duration_s or own_s)
        return EnhancedPrompt.model_validate(asdict(enhance(wanted.prompt, wanted.strategy, model, wanted.keep)))
