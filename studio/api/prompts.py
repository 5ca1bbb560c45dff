"""What a prompt asks for, and how it could say more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from pipelines import contract
from pipelines.contract import MAX_PROMPT_CHARACTERS
from pipelines.prompting.enhancement import Strategy
from pipelines.prompting.kinds import EntityKind, Intent
from pipelines.prompting.reading import analyse
from pipelines.prompting.swaps import swaps, without
from pipelines.prompting.timeline import timeline_of
from studio.api.wire import body_of, json_body, parse
from studio.services.prompts import Wish
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


class PromptToRead(contract.Request):
    """A prompt to read; an empty one has nothing in it."""

    prompt: str = Field(max_length=MAX_PROMPT_CHARACTERS)
    """What to see and what to hear."""


class PromptToTranslate(contract.Request):
    """A prompt to say in English."""

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    """What to see and what to hear."""
    language: str | None = Field(None, min_length=2, max_length=2)
    """Two letters; found out where it is left out."""
    keep: tuple[str, ...] = Field((), max_length=50)
    """Words that stay as they are, such as the trigger words of styles."""


class PromptToEnhance(PromptToTranslate):
    """A prompt, what to add to it, and the model and length of clip that it is for."""

    strategy: Strategy
    """detail, cinematic, sound or structure."""
    model: str = Field("pocket", min_length=1, max_length=100)
    """Who will read it."""
    duration_s: float | None = Field(None, gt=0, le=10_000)
    """Seconds of the clip, for time stamps; the model's own length where it is left out."""
    engine: Literal["rules", "model"] | None = None
    """Who writes; where it is left out the instruction model, if there is one and ``model`` takes any words, else the rules."""


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


class PromptToSwapIn(contract.Request):
    """A prompt, and what of it is to be something else: ``prompt[start:end]`` as ``/prompts/analyse`` found it."""

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    model: str = Field("pocket", min_length=1, max_length=100)
    """Whose words stand in for it; those of the embedded models where it takes any."""
    start: int = Field(ge=0)
    end: int = Field(ge=0)


class SwappedPrompt(BaseModel):
    """The prompt with another phrase."""

    phrase: str
    prompt: str


class Swaps(BaseModel):
    """What could stand there instead."""

    swaps: list[SwappedPrompt]
    without: str | None
    """The prompt with it taken out; ``null`` where everything else is said of it."""


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


class TranslatedPrompt(BaseModel):
    """A prompt before and after; the pieces that were not added make ``original``, those not removed make ``prompt``."""

    original: str
    prompt: str
    language: str
    difference: list[ChangedPiece]
    note: str | None
    """Why nothing was added or changed, where nothing was."""


class EnhancedPrompt(TranslatedPrompt):
    """The same, by one of the strategies."""

    strategy: Strategy
    engine: Literal["rules", "model"]
    """Who wrote it."""


class PromptEngines(BaseModel):
    """The models that write prompts here beside the rules; ``null`` where the settings name none."""

    enhancer: str | None
    translator: str | None


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes under ``/prompts`` but ``/prompts/check``."""

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

    @api.post("/prompts/swaps", openapi_extra=body_of(PromptToSwapIn))
    def swapped(body: JSON) -> Swaps:
        """An English prompt with something that it names as what else there is of that kind, and without it."""
        wanted = parse(PromptToSwapIn, body)
        read = analyse(wanted.prompt)
        there = {(each.start, each.end): each for each in read.entities}
        found = there.get((wanted.start, wanted.end))
        if found is None:
            raise contract.InvalidRequest("start and end are not those of anything that the prompt names.", field="start")
        knows = studio_of().catalogue.words_for(wanted.model)
        if read.language != "en":
            return Swaps(swaps=[], without=None)
        made = [SwappedPrompt(phrase=each.phrase, prompt=each.prompt) for each in swaps(wanted.prompt, found, knows)]
        return Swaps(swaps=made, without=without(wanted.prompt, found))

    @api.post("/prompts/enhance", openapi_extra=body_of(PromptToEnhance))
    def enhanced(body: JSON) -> EnhancedPrompt:
        """A prompt with what a strategy adds to it; nothing is made or kept."""
        wanted = parse(PromptToEnhance, body)
        wish = Wish(**wanted.model_dump(exclude={"strategy"}))
        return EnhancedPrompt.model_validate(asdict(studio_of().prompts.enhance(wish, wanted.strategy)))

    @api.post("/prompts/translate", openapi_extra=body_of(PromptToTranslate))
    def translated(body: JSON) -> TranslatedPrompt:
        """A prompt in English, by the translator that the settings name; 422 where they name none."""
        wish = Wish(**parse(PromptToTranslate, body).model_dump())
        return TranslatedPrompt.model_validate(asdict(studio_of().prompts.translate(wish)))

    @api.get("/prompts/engines")
    def engines() -> PromptEngines:
        """Who writes prompts here beside the rules."""
        service = studio_of().prompts
        return PromptEngines(enhancer=service.enhancer, translator=service.translator)
