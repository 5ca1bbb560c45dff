"""What is said to and by the process of the language models (``python -m pipelines.prompting``); plain values that pickle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipelines.contract import StudioError


@dataclass(frozen=True)
class Write:
    """To the process: answer ``user`` as ``system`` says, in ``tokens`` tokens and ``seconds`` seconds at most."""

    model: str
    device: str
    system: str
    user: str
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Translate:
    """To the process: say these sentences in English; ``language`` is the two-letter code of what they are in."""

    model: str
    device: str
    sentences: tuple[str, ...]
    language: str
    seconds: float


@dataclass(frozen=True)
class Loaded:
    """From the process: the model is there, the answer comes next."""


@dataclass(frozen=True)
class Written:
    """From the process: what the model wrote, and whether it came to an end of its own accord."""

    text: str
    is_whole: bool


@dataclass(frozen=True)
class Translated:
    """From the process: a sentence for each."""

    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Refused:
    """From the process: why there is no answer."""

    kind: type[StudioError]
    message: str
    field: str | None

    def error(self) -> StudioError:
        """What was raised there."""
        return self.kind(self.message, field=self.field)


Order = Write | Translate
Answer = Loaded | Written | Translated | Refused


class Writer(Protocol):
    """What writes prompts: an instruction model, wherever it runs."""

    def write(self, system: str, user: str) -> Written:
        """Its answer to ``user`` under the instructions ``system``. Raises ``StudioError``."""


class Translator(Protocol):
    """What says sentences in English, wherever it runs."""

    def translate(self, sentences: tuple[str, ...], language: str) -> tuple[str, ...]:
        """A sentence for each. Raises ``StudioError``."""
