"""``prompt`` and ``translate``: what a prompt asks for, and how it could say more; no server, nothing is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from studio.terminal import answer, failures, settings_with, table

if TYPE_CHECKING:
    from pipelines.prompting.enhancement import Enhancement
    from pipelines.prompting.kinds import Analysis
    from studio.services.prompts import PromptService

Keep = Annotated[
    list[str] | None, typer.Option(help="Words that stay as they are, such as a style's trigger words; may be repeated.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def prompt(
    text: Annotated[str, typer.Argument(metavar="PROMPT", help="What to see and hear, in plain words.")],
    model: Annotated[str, typer.Option(help="The model that it is for.")] = "pocket",
    enhance: Annotated[
        str | None, typer.Option(metavar="detail|cinematic|sound|structure", help="Say more: what is to be added.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Who says more: rules, or an instruction model, as a fetched hub id or a folder (STUDIO_ENHANCER)."),
    ] = None,
    keep: Keep = None,
    as_json: AsJson = False,
) -> None:
    """Say what a prompt asks for and names, and enhance it if asked to."""
    with failures(as_json):
        from pipelines.contract import InvalidRequest
        from pipelines.prompting.enhancement import Strategy
        from pipelines.prompting.reading import analyse
        from pipelines.prompting.timeline import timeline_of
        from studio.services.prompts import Wish

        names = [strategy.value for strategy in Strategy]
        if enhance is not None and enhance not in names:
            raise InvalidRequest(f"enhance is {enhance!r}; use one of {', '.join(names)}.", field="enhance")
        engine: Literal["rules", "model"] | None = None if by is None else "rules" if by == "rules" else "model"
        with _service(model, enhancer=by if engine == "model" else None) as service:
            timeline_of(text)
            wish = Wish(text, model, keep=keep or (), engine=engine)
            enhanced = service.enhance(wish, Strategy(enhance)) if enhance else None
        found = analyse(text)
        answer(_told(found, enhanced), as_json, lambda: _say(found, enhanced))


def translate(
    text: Annotated[
        str, typer.Argument(metavar="PROMPT", help="What to see and hear, in any language that the translator reads.")
    ],
    by: Annotated[str | None, typer.Option(help="The translator: a fetched hub id, or a folder (STUDIO_TRANSLATOR).")] = None,
    language: Annotated[
        str | None, typer.Option(help="Two letters of what it is written in; found out where it is left out.")
    ] = None,
    keep: Keep = None,
    as_json: AsJson = False,
) -> None:
    """Say a prompt in English; what it says in quotes stays as it is."""
    with failures(as_json):
        from studio.services.prompts import Wish

        with _service("pocket", translator=by) as service:
            found = service.translate(Wish(text, keep=keep or (), language=language))
        answer(asdict(found), as_json, lambda: typer.echo(found.prompt))


@contextmanager
def _service(model: str, **given: str | None) -> Iterator[PromptService]:
    """A service of this process's own for ``model``. Raises ``ModelNotFound``."""
    from studio.services.prompts import PromptService

    settings = settings_with(**given)
    catalogue = settings.catalogue
    catalogue.get(model)
    service = PromptService(catalogue, settings)
    try:
        yield service
    finally:
        service.close()


def _told(found: Analysis, enhanced: Enhancement | None) -> dict[str, Any]:
    entities = [{"kind": each.kind, "text": each.text, "start": each.start, "end": each.end} for each in found.entities]
    told: dict[str, Any] = {"language": found.language, "intents": list(found.intents), "entities": entities}
    return told | ({"enhanced": asdict(enhanced)} if enhanced else {})


def _say(found: Analysis, enhanced: Enhancement | None) -> None:
    typer.echo(f"language: {found.language}\nasks for: {', '.join(found.intents) or 'nothing that was recognised'}")
    table(("what", "words"), [(each.kind.value, each.text) for each in found.entities], "names: nothing that was recognised")
    if enhanced:
        typer.echo(f"\n{enhanced.note or enhanced.prompt}")
        if enhanced.note and enhanced.prompt != enhanced.original:
            typer.echo(enhanced.prompt)
