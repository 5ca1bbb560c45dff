"""``prompt``: what a prompt asks for and how it could say more, without a server and without making anything."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.terminal import answer, failures, settings_with, table

if TYPE_CHECKING:
    from pipelines.prompting.enhancement import Enhancement
    from pipelines.prompting.kinds import Analysis


def prompt(
    text: Annotated[str, typer.Argument(metavar="PROMPT", help="What to see and hear, in plain words.")],
    model: Annotated[str, typer.Option(help="The model that it is for.")] = "pocket",
    enhance: Annotated[
        str | None, typer.Option(metavar="detail|cinematic|sound|structure", help="Say more: what is to be added.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="Words that stay as they are, such as a style's trigger words; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Say what a prompt asks for and names, and enhance it if asked to."""
    with failures(as_json):
        from pipelines.contract import InvalidRequest
        from pipelines.prompting import enhancement
        from pipelines.prompting.reading import analyse
        from pipelines.prompting.timeline import timeline_of
        from pipelines.registry import ModelCatalogue

        names = [strategy.value for strategy in enhancement.Strategy]
        if enhance is not None and enhance not in names:
            raise InvalidRequest(f"enhance is {enhance!r}; use one of {', '.join(names)}.", field="enhance")
        spec = ModelCatalogue.with_folders(settings_with().models).get(model)
        timeline_of(text)
        found, enhanced = analyse(text), None
        if enhance is not None:
            for_model = enhancement.Model(spec.title, spec.vocabulary, spec.defaults.num_frames / spec.defaults.frame_rate)
            enhanced = enhancement.enhance(text, enhancement.Strategy(enhance), for_model, keep or ())
        answer(_told(found, enhanced), as_json, lambda: _say(found, enhanced))


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
