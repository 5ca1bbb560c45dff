"""``models``: which there are, what of them is on this machine, whether they fit it, and whether their files are whole."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from studio.terminal import answer, failures, settings_with, table

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Model = Annotated[str, typer.Argument(help="The id of a model, as `models` lists it.")]
app = typer.Typer(help="List the models, look at one, check its files.", rich_markup_mode=None)


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
        names = ("title", "description", "licence", "source", "state", "folder", "missing")
        rows = [(name, ", ".join(card[name]) if name == "missing" else str(card[name] or "")) for name in names]
        begins = " or ".join(name.replace("_", " ") for name in spec.begins_with)
        rows += [("makes", f"picture{'' if spec.is_silent else ' and sound'}, from {begins}")]
        rows += [("download", _gb(card["download_bytes"])), ("fits", _fits(card)), ("memory", card["memory"])]
        answer(card, as_json, lambda: table(("what", "value"), rows, ""))


@app.command()
def verify(model: Model, as_json: AsJson = False) -> None:
    """Read every published file of a model and compare its sha256; exits 2 naming the file that is not as it was."""
    with failures(as_json):
        from studio.reach_models import models_reached

        with models_reached(settings_with()) as studio:
            found = studio.verify(model)
        answer(found, as_json, lambda: typer.echo(found["sentence"]))


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
        try:
            installs.start(model, accepts_licence=accept_licence)
            found = _watched(installs, model, as_json)
        finally:
            installs.close()
        if found.fault:
            raise StudioError(found.fault, field="model")
        told = f"{catalogue.get(model).title} is installed: {_gb(found.done_bytes)}."
        answer({"model": model, **found.model_dump(mode="json")}, as_json, lambda: typer.echo(told))


def _watched(installs: Any, model: str, quiet: bool) -> Any:
    """Stay with an installation until it is over, and say how far it is."""
    import time

    while (found := installs.get(model)).state == "running":
        if not quiet and found.total_bytes:
            typer.echo(f"\r{_gb(found.done_bytes)} of {_gb(found.total_bytes)}   ", nl=False, err=True)
        time.sleep(0.5)
    if not quiet and found.total_bytes:
        typer.echo("", err=True)
    return found


def _card(spec: Any, state: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(spec), "sha256": dict(spec.sha256), "is_local": spec.is_local, "is_silent": spec.is_silent} | state


def _fits(card: dict[str, Any]) -> str:
    return {True: "yes", False: "no", None: "unknown"}[card["fits"]]


def _gb(size: int) -> str:
    return f"{size / 1e9:.3g} GB" if size else "not known"
