"""The command line. Everything heavy is imported inside the command that needs it: ``--help`` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.terminal import answer, failures, run_module, settings_with, table

app = typer.Typer(
    name="studio",
    help="AIPROD Studio: a prompt becomes a clip with sound. Without a command the studio opens in the browser.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of the library and the queue (STUDIO_DATA_DIR).")]


def main() -> None:
    """Run the command that the arguments name; exits 0, 2 for bad input, 1 otherwise."""
    from studio.cli_cost import cost
    from studio.cli_edit import commands
    from studio.cli_export import export
    from studio.cli_generate import command
    from studio.cli_grid import command as grid
    from studio.cli_import import import_file
    from studio.cli_lora import app as lora
    from studio.cli_models import app as models
    from studio.cli_project import app as project
    from studio.cli_prompt import prompt, translate

    app.command("generate")(command())
    app.command("grid")(grid())
    app.command("prompt")(prompt)
    app.command("translate")(translate)
    app.add_typer(commands(), name="edit")
    app.command("export")(export)
    app.command("cost")(cost)
    app.command("import")(import_file)
    app.add_typer(lora, name="lora")
    app.add_typer(models, name="models")
    app.add_typer(project, name="project")
    app()


@app.callback(invoke_without_command=True)
def _start(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        with failures(as_json=False):
            from studio.serve import serve as run

            run(settings_with(), share=False, open_browser=True)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (STUDIO_HOST); 0.0.0.0 lets other machines in.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (STUDIO_PORT); 0 takes a free one.")] = None,
    share: Annotated[bool, typer.Option("--share", help="Also open a public link through gradio's tunnel.")] = False,
    data_dir: DataDir = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = False,
) -> None:
    """Open the studio: page and API on one address."""
    with failures(as_json=False):
        from studio.serve import serve as run

        run(settings_with(host=host, port=port, data_dir=data_dir), share=share, open_browser=open_browser)


@app.command()
def jobs(
    cancel: Annotated[str | None, typer.Option(help="Stop the job with this id first.")] = None,
    retry: Annotated[str | None, typer.Option(help="Hand in the request of this job again first.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many to list.")] = 20,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the jobs: running ones, then the queue, then the newest finished ones."""
    with failures(as_json):
        from studio.reach import reached

        with reached(settings_with(data_dir=data_dir)) as studio:
            for verb, job_id in (("cancel", cancel), ("retry", retry)):
                if job_id:
                    studio.act(job_id, verb)
            found = studio.jobs(limit)
        rows = [(job["id"], job["state"], job["created_at"][:19], job["request"]["prompt"][:60]) for job in found]
        answer({"jobs": found}, as_json, lambda: table(("id", "state", "since", "prompt"), rows, "no jobs yet"))


@app.command()
def library(
    text: Annotated[str, typer.Argument(help="Words to look for in prompts, names and tags.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to list.")] = 20,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the clips of the library, newest first."""
    with failures(as_json):
        from studio.reach import reached

        with reached(settings_with(data_dir=data_dir)) as studio:
            page = studio.clips(text, limit)
        rows = [(clip["id"], clip["created_at"][:19], f"{clip['duration_s']:.1f} s", clip["name"][:60]) for clip in page["clips"]]
        answer(page, as_json, lambda: table(("id", "made", "length", "name"), rows, "no clips yet"))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="An MP4 that a studio made.")],
    as_json: AsJson = False,
) -> None:
    """Print the complete request that a clip was made of."""
    with failures(as_json):
        from pipelines.clip_io import read_request
        from pipelines.contract import InvalidRequest

        if not file.is_file():
            raise InvalidRequest(f"file {file} does not exist; check the path.", field="file")
        request, _images = read_request(file)
        body = request.model_dump(mode="json")
        answer(body, as_json, lambda: table(("setting", "value"), [(name, str(value)) for name, value in body.items()], ""))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def train(context: typer.Context) -> None:
    """Train the embedded model; everything after it goes to `python -m pipelines.training`."""
    _hand_over("pipelines.training", context.args)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def dataset(context: typer.Context) -> None:
    """Export the embedded model's world as a folder of clips; everything after it goes to `python -m pipelines.world`."""
    _hand_over("pipelines.world", context.args)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def evaluate(context: typer.Context) -> None:
    """Measure a model on held-out captions; everything after it goes to `python -m pipelines.metrics`."""
    _hand_over("pipelines.metrics", context.args)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def measure(context: typer.Context) -> None:
    """Measure a clip file: sync, meaning, coherence, picture, sound; `measure FILE [--json]`."""
    _hand_over("pipelines.metrics.measuring", ["measure", *context.args])


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def compare(context: typer.Context) -> None:
    """Measure clip files and say which is the best in what; `compare A B [C ...] [--map OUT.mp4] [--json]`."""
    _hand_over("pipelines.metrics.measuring", ["compare", *context.args])


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def quantize(context: typer.Context) -> None:
    """Write a model with its weights in fewer bits; `quantize MODEL --mode int8 --out FOLDER [--text int8] [--json]`."""
    folders = settings_with().models
    _hand_over("pipelines.models.quantizing", [str(folders.get(word, word)) for word in context.args])


def _hand_over(module: str, arguments: list[str]) -> None:
    """Run a module in a process of its own, because this one never loads torch; exits as it does."""
    finished = run_module(module, arguments)
    raise typer.Exit(finished.returncode if finished.returncode in (0, 2) else 1)
