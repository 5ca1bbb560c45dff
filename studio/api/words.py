"""Which words a model knows, and which words of a prompt it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from pipelines import contract
from pipelines.contract import MAX_PROMPT_CHARACTERS, NotFound
from pipelines.prompting.reading import language_of
from studio.api.wire import body_of, json_body, parse
from studio.studio import Studio

JSON = Annotated[object, Depends(json_body)]


class Words(BaseModel):
    """Everything that a model knows."""

    model: str
    title: str
    knows: Mapping[str, Mapping[str, tuple[str, ...]]]
    """By kind (subject, colour, action, place ...) and concept, in several phrases, the plainest first."""
    near: Mapping[str, str]
    """Words that people type and the model lacks, each with the nearest phrase that it knows."""


class PromptCheck(contract.Request):
    """A prompt to look through; an empty one has nothing unknown."""

    model: str = Field(max_length=100)
    """Whose words count."""
    prompt: str = Field(max_length=MAX_PROMPT_CHARACTERS)
    """What to see and what to hear."""


class UnknownWord(BaseModel):
    """One word or run of words that the model does not know."""

    word: str
    """As it is written in the prompt."""
    nearest: str | None
    """What the model knows instead, if there is anything alike."""
    start: int
    """Where it first is, in characters (code points)."""
    end: int


class KnowingModel(BaseModel):
    """A model that knows every word of a prompt."""

    model: str
    title: str


class CheckedPrompt(BaseModel):
    """What is outside the model's world."""

    model: str
    title: str
    has_vocabulary: bool
    """False for a model that takes any words."""
    language: str
    """Of the prompt, as a code of two letters."""
    unknown: list[UnknownWord]
    """In the prompt's order, each once."""
    known_by: list[KnowingModel]
    """Other models with a vocabulary that know all of the prompt, where this one does not."""


def add(api: APIRouter, studio_of: Callable[[], Studio]) -> None:
    """The routes ``/models/{model_id}/words`` and ``/prompts/check``."""

    @api.get("/models/{model_id}/words")
    def words(model_id: str) -> Words:
        """The words that a model knows; 404 for a model that takes any."""
        spec = studio_of().catalogue.get(model_id)
        if spec.vocabulary is None:
            raise NotFound(f"words: {spec.title} has no list of them; it takes any words.", field="model")
        return Words(model=spec.id, title=spec.title, knows=spec.vocabulary.knows, near=spec.vocabulary.near)

    @api.post("/prompts/check", openapi_extra=body_of(PromptCheck))
    def check(body: JSON) -> CheckedPrompt:
        """The words of a prompt that a model does not know, each with the nearest that it does; nothing is made or kept."""
        wanted = parse(PromptCheck, body)
        catalogue = studio_of().catalogue
        spec = catalogue.get(wanted.model)
        unknown = [UnknownWord(**asdict(each)) for each in spec.unknown_words(wanted.prompt)]
        knowing = catalogue.knowing(wanted.prompt) if unknown else ()
        return CheckedPrompt(
            model=spec.id,
            title=spec.title,
            has_vocabulary=spec.has_vocabulary,
            language=language_of(wanted.prompt),
            unknown=unknown,
            known_by=[KnowingModel(model=each.id, title=each.title) for each in knowing],
        )
