"""``models``: which there are, what of them is on this machine and whether it is whole; some found, fetched, removed, chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.terminal import answer, failures, settings_with, table

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Model = Annotated[str, typer.Argument(help="The id of a model, as `models` lists it.")]
app = typer.Typer(
    help="List the models, look at one, check its files, find, install, remove or choose some.", rich_markup_mode=None
)


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models: what is here, whether a clip fits what is free, size and licence."""
    if context.invoked_subcommand:
        return
    with failures(as_json):
        from studio.reach_models import models_reached

        settings = settings_with()
        with models_reached(settings) as studio:
            cards = [_card(spec, studio.state(spec.id)) for spec in settings.catalogue]
        rows = [(c["id"], c["state"], _fits(c), _gb(c["download_bytes"]), c["licence"], c["description"]) for c in cards]
        head = ("id", "weights", "fits", "size", "licence", "what")
        answer({"models": cards}, as_json, lambda: table(head, rows, ""))


@app.command()
def show(model: Model, as_json: AsJson = False) -> None:
    """Say all about one model: where it lies, what it lacks, what it needs."""
    with failures(as_json):
        from studio.reach_models import models_reached

        settings = settings_with()
        spec = settings.catalogue.get(model)
        with models_reached(settings) as studio:
            card = _card(spec, studio.state(spec.id))
        names = ("title", "description", "licence", "source", "transformer", "state", "folder", "missing")
        rows = [(name, ", ".join(card[name]) if name == "missing" else str(card[name] or "")) for name in names]
        begins = " or ".join(name.replace("_", " ") for name in spec.begins_with)
        makes = "sound alone" if spec.is_for_sound else "picture" if spec.is_silent else "picture and sound"
        rows += [("makes", f"{makes}, from {begins}")]
        rows += [("download", _gb(card["download_bytes"])), ("fits", _fits(card)), ("memory", card["memory"])]
        answer(card, as_json, lambda: table(("what", "value"), rows, ""))


@app.command()
def verify(model: Model, as_json: AsJson = False) -> None:
    """Read every published file of a model and compare its sha256; exits 2 naming the file that is not as it was."""
    with failures(as_json):
        from pipelines.contract import ModelNotFound, StudioError
        from studio.reach_models import models_reached

        with models_reached(settings_with()) as studio:
            studio.verify(model)
            try:
                found = _followed(lambda: studio.verification(model), as_json)
            except KeyboardInterrupt:
                studio.stop_verifying(model)
                raise
        if found["state"] == "failed":
            raise ModelNotFound(found["sentence"], field="model")
        if found["state"] == "cancelled":
            raise StudioError(f"model {model} was not read to its end: somebody cancelled that.", field="model")
        answer(found, as_json, lambda: typer.echo(found["sentence"]))


@app.command()
def remove(
    model: Model,
    yes: Annotated[bool, typer.Option("--yes", help="You are sure: its files are deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the files of a model that can be fetched again from the hub, and say how much room that made."""
    with failures(as_json):
        from pipelines.contract import InvalidRequest
        from studio.reach_models import models_reached

        with models_reached(settings_with()) as studio:
            try:
                found = studio.remove(model, yes)
            except InvalidRequest as error:
                raise InvalidRequest(f"{error.message.rstrip('.')}: add --yes.", field="yes") from None
        answer(found, as_json, lambda: typer.echo(found["sentence"]))


@app.command()
def default(
    model: Annotated[
        str | None, typer.Argument(help="The id of a model that is here; without one the present default is told.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose the model that new forms start with, or say which it is."""
    with failures(as_json):
        from studio.reach_models import models_reached

        with models_reached(settings_with()) as studio:
            found = studio.default() if model is None else studio.choose(model)
        answer(found, as_json, lambda: typer.echo(" ".join(filter(None, (found["model"], found["sentence"])))))


@app.command()
def install(
    model: Model,
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="You accept the model's licence.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a model from the hub; stopped, it goes on where it was when it is run again."""
    with failures(as_json):
        from pipelines.contract import StudioError
        from studio.services.installs import InstallService

        catalogue = settings_with().catalogue
        installs = InstallService(catalogue)

        def installation() -> dict[str, Any]:
            told = installs.get(model)
            assert told is not None
            return told.model_dump(mode="json")

        try:
            installs.start(model, accepts_licence=accept_licence)
            found = _followed(installation, as_json)
        finally:
            installs.close()
        if found["fault"]:
            raise StudioError(found["fault"], field="model")
        told = f"{catalogue.get(model).title} is installed: {_gb(found['done_bytes'])}."
        answer({"model": model, **found}, as_json, lambda: typer.echo(told))


@app.command()
def scan(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of models; without one, those of STUDIO_MODEL_FOLDERS.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what lies in other programs' model folders (ComfyUI, Wan2GP, InvokeAI, plain ones) and what can be done with it."""
    with failures(as_json):
        from pipelines.checkpoints.scan import scan as looked_through
        from pipelines.contract import InvalidRequest

        settings = settings_with()
        given = folders or [*settings.model_folders]
        if not given:
            raise InvalidRequest("folder is not given: name one, or set STUDIO_MODEL_FOLDERS.", field="folder")
        found = [each for folder in given for each in looked_through(folder, settings.catalogue)]
        told = [{**vars(each), "path": str(each.path)} for each in found]
        rows = [(c["path"], c["kind"], c["family"], _gb(c["size_bytes"]), ", ".join(c["models"]), c["use"]) for c in told]
        head = ("file", "kind", "family", "size", "fits", "use")
        answer({"found": told}, as_json, lambda: table(head, rows, "no weights there"))


def _followed(look: Callable[[], dict[str, Any]], quiet: bool) -> dict[str, Any]:
    """Stay with something that goes on in the background until it is over, and say how far it is; what it came to."""
    import time

    told, pause_s = False, 0.05
    while (found := look())["state"] == "running":
        if not quiet and found["total_bytes"]:
            checked = found.get("checked_bytes")
            doing, done = ("", found["done_bytes"]) if checked is None else ("checked ", checked)
            typer.echo(f"\r{doing}{_gb(done)} of {_gb(found['total_bytes'])}   ", nl=False, err=True)
            told = True
        time.sleep(pause_s)
        pause_s = min(0.5, 2 * pause_s)
    if told:
        typer.echo("", err=True)
    return found


def _card(spec: Any, state: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    told = {name: getattr(spec, name) for name in ("is_local", "is_silent", "is_for_sound")}
    return {**asdict(spec), "sha256": dict(spec.sha256), **told} | state


def _fits(card: dict[str, Any]) -> str:
    return {True: "yes", False: "no", None: "unknown"}[card["fits"]]


def _gb(size: int) -> str:
    return f"{size / 1e9:.3g} GB" if size else "not known"
