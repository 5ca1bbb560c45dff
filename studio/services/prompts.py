"""Prompts said more fully or in English: by rules, or by the models that the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.contract import InvalidRequest
from pipelines.models.local import title_of
from pipelines.prompting.difference import Piece, difference
from pipelines.prompting.enhancement import Enhancement, Model, Strategy, enhance
from pipelines.prompting.languages import Language, language_named, spoken
from pipelines.prompting.translation import translated
from pipelines.prompting.writing import rewritten
from pipelines.registry import ModelCatalogue
from studio.services.language import LanguageProcess
from studio.settings import Settings

Engine = Literal["rules", "model"]


@dataclass(frozen=True)
class Wish:
    """A prompt, the model and length of clip that it is for, and words that stay as they are.

    ``engine`` says who writes (``None``: the instruction model where there is one and the clip's model takes any words);
    ``language`` is a code of two letters (``None``: it is found out).
    """

    prompt: str
    model: str = "pocket"
    duration_s: float | None = None
    keep: Sequence[str] = ()
    engine: Engine | None = None
    language: str | None = None


@dataclass(frozen=True)
class Translation:
    """A prompt and the same in English. ``note`` says in one sentence why nothing was changed, where nothing was."""

    original: str
    prompt: str
    language: str
    difference: tuple[Piece, ...]
    note: str | None = None


class PromptService:
    """Writes prompts; makes and keeps nothing. Models run in a process of their own, which starts when first needed."""

    def __init__(self, catalogue: ModelCatalogue, settings: Settings) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._process = LanguageProcess(settings)

    @property
    def enhancer(self) -> str | None:
        """What people may know of the instruction model; ``None`` where the settings name none."""
        return title_of(self._settings.enhancer) if self._settings.enhancer else None

    @property
    def translator(self) -> str | None:
        """What people may know of the translator; ``None`` where the settings name none."""
        return title_of(self._settings.translator) if self._settings.translator else None

    def enhance(self, wish: Wish, strategy: Strategy) -> Enhancement:
        """The prompt with what ``strategy`` adds, first said in English where there is a translator.

        Raises ``InvalidRequest``, ``ModelNotFound``, ``OutOfMemory`` or ``Conflict``; no other engine takes the place of one
        that fails.
        """
        spec = self._catalogue.get(wish.model)
        own_s = spec.defaults.num_frames / spec.defaults.frame_rate
        model = Model(spec.title, spec.vocabulary, wish.duration_s or own_s)
        engine = wish.engine or ("rules" if spec.has_vocabulary or self.enhancer is None else "model")
        if engine == "model" and self.enhancer is None:
            raise InvalidRequest(
                "engine is 'model', but no instruction model is set (STUDIO_ENHANCER): use rules.", field="engine"
            )
        language = self._language(wish)
        base = wish.prompt if self.translator is None else translated(wish.prompt, language, self._process, wish.keep)
        if engine == "model":
            found = rewritten(base, strategy, model, self._process, wish.keep)
        else:
            found = enhance(base, strategy, model, wish.keep)
        if base == wish.prompt:
            return found
        pieces = difference(wish.prompt, found.prompt)
        return replace(found, original=wish.prompt, language=language.code, difference=pieces)

    def translate(self, wish: Wish) -> Translation:
        """The prompt in English. Raises ``InvalidRequest``, ``ModelNotFound``, ``OutOfMemory`` or ``Conflict``."""
        if self.translator is None:
            raise InvalidRequest("translator is not set: name one in STUDIO_TRANSLATOR.", field="translator")
        if not wish.prompt.strip():
            raise InvalidRequest("prompt is empty: say what to see and hear.", field="prompt")
        language = self._language(wish)
        after = translated(wish.prompt, language, self._process, wish.keep)
        note = "The prompt is in English already." if after == wish.prompt else None
        return Translation(wish.prompt, after, language.code, difference(wish.prompt, after), note)

    def close(self) -> None:
        """End the models' process."""
        self._process.close()

    @staticmethod
    def _language(wish: Wish) -> Language:
        return spoken(wish.prompt) if wish.language is None else language_named(wish.language)
