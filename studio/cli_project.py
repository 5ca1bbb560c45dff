"""``project``: timelines of shots from the command line, beside a running studio or without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.terminal import answer, failures, settings_with, table

app = typer.Typer(help="Projects: timelines of shots, each with its takes.", no_args_is_help=True, rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Named = Annotated[str, typer.Argument(metavar="PROJECT", help="Its name, or the beginning of its id.")]
ShotNumber = Annotated[int, typer.Argument(metavar="SHOT", min=1, help="The shot's number, 1 is the first.")]
Record = dict[str, Any]
FORMATS = {"film": ".mp4", "aiprod": ".aiprod", "otio": ".otioz", "fcpxml": ".zip", "srt": ".srt"}


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    clips: Annotated[list[str] | None, typer.Argument(help="Ids of clips, a shot for each.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a project."""
    with failures(as_json), _reached() as studio:
        _show(studio.create(name, clips or []), as_json)


@app.command("list")
def listed(as_json: AsJson = False) -> None:
    """List the projects, the one that was changed last first."""
    with failures(as_json), _reached() as studio:
        found = studio.listed()
        rows = [(each["id"][:12], each["updated_at"][:19], str(each["shots"]), each["name"]) for each in found]
        answer({"projects": found}, as_json, lambda: table(("id", "changed", "shots", "name"), rows, "no projects yet"))


@app.command()
def show(project: Named, as_json: AsJson = False) -> None:
    """Show a project's shots."""
    with failures(as_json), _reached() as studio:
        _show(_found(studio, project), as_json)


@app.command()
def add(
    project: Named,
    clips: Annotated[list[str], typer.Argument(help="Ids of clips.")],
    shot: Annotated[int | None, typer.Option(min=1, help="Add them as takes of the shot with this number.")] = None,
    name: Annotated[str | None, typer.Option(help="What the new shot is called.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add clips: a new shot for each, or more takes of one shot, the last of which is chosen."""

    def operation(found: Record, clip: str) -> Record:
        if shot is not None:
            return {"op": "add_take", "shot": _shot(found, shot)["id"], "clip": clip}
        return {"op": "add_shot", "clip": clip, "name": name}

    _change(project, as_json, *((lambda found, clip=clip: operation(found, clip)) for clip in clips))


@app.command()
def move(
    project: Named,
    shot: ShotNumber,
    to: Annotated[int, typer.Argument(metavar="TO", min=1, help="Its new number.")],
    as_json: AsJson = False,
) -> None:
    """Give a shot another place."""
    _change(project, as_json, lambda found: {"op": "move_shot", "shot": _shot(found, shot)["id"], "index": to - 1})


@app.command()
def choose(
    project: Named,
    shot: ShotNumber,
    take: Annotated[int, typer.Argument(metavar="TAKE", min=1, help="The take's number, 1 is the oldest.")],
    as_json: AsJson = False,
) -> None:
    """Choose the take that a shot shows."""

    def operation(found: Record) -> Record:
        chosen = _shot(found, shot)
        takes = chosen["takes"]
        return {"op": "choose_take", "shot": chosen["id"], "clip": _one(takes, take, "take")["id"]}

    _change(project, as_json, operation)


@app.command()
def trim(
    project: Named,
    shot: ShotNumber,
    start: Annotated[float | None, typer.Option("--in", help="Second of the take at which the shot begins.")] = None,
    end: Annotated[float | None, typer.Option("--out", help="Second of the take at which it ends.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show only a part of a shot's take; without options all of it again."""
    _change(
        project,
        as_json,
        lambda found: {"op": "trim_shot", "shot": _shot(found, shot)["id"], "start_s": start, "end_s": end},
    )


@app.command()
def split(
    project: Named,
    shot: ShotNumber,
    at: Annotated[float, typer.Argument(metavar="AT", min=0, help="Second of the take at which the later half begins.")],
    as_json: AsJson = False,
) -> None:
    """Make two shots of one; both keep all its takes."""
    _change(project, as_json, lambda found: {"op": "split_shot", "shot": _shot(found, shot)["id"], "at_s": at})


@app.command()
def rename(
    project: Named,
    name: Annotated[str, typer.Argument(help="The new name.")],
    shot: Annotated[int | None, typer.Option(min=1, help="Rename the shot with this number instead of the project.")] = None,
    as_json: AsJson = False,
) -> None:
    """Call a project, or one of its shots, something else."""

    def operation(found: Record) -> Record:
        if shot is None:
            return {"op": "rename_project", "name": name}
        return {"op": "rename_shot", "shot": _shot(found, shot)["id"], "name": name}

    _change(project, as_json, operation)


@app.command()
def remove(project: Named, shot: ShotNumber, as_json: AsJson = False) -> None:
    """Take a shot out; its clips stay in the library."""
    _change(project, as_json, lambda found: {"op": "remove_shot", "shot": _shot(found, shot)["id"]})


@app.command()
def undo(project: Named, as_json: AsJson = False) -> None:
    """Take the last change back, as often as there are changes."""
    with failures(as_json), _reached() as studio:
        _show(studio.step(_found(studio, project), "undo"), as_json)


@app.command()
def redo(project: Named, as_json: AsJson = False) -> None:
    """Do again what was undone last."""
    with failures(as_json), _reached() as studio:
        _show(studio.step(_found(studio, project), "redo"), as_json)


@app.command()
def delete(project: Named, as_json: AsJson = False) -> None:
    """Put a project into the trash; its clips stay in the library."""
    with failures(as_json), _reached() as studio:
        gone = studio.delete(_found(studio, project))
        answer(gone, as_json, lambda: typer.echo(f"{gone['name']} is in the trash for 30 days"))


@app.command()
def export(
    project: Named,
    format: Annotated[str, typer.Option(metavar="film|aiprod|otio|fcpxml|srt", help="What to make.")] = "film",
    out: Annotated[Path | None, typer.Option(help="The file to write; named after the project if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a film, one file of everything, a timeline for other editors, or captions of a project."""
    with failures(as_json), _reached() as studio:
        from pipelines.contract import InvalidRequest

        if format not in FORMATS:
            raise InvalidRequest(f"format is {format[:40]!r}; use one of {', '.join(FORMATS)}.", field="format")
        found = _found(studio, project)
        plain = "".join(ch if ch.isalnum() or ch in "._ -" else "-" for ch in found["name"])[:80].strip(" .") or "project"
        path = out or Path(f"{plain}{FORMATS[format]}")
        if path.suffix.lower() != FORMATS[format] or path.is_dir():
            raise InvalidRequest(f"out is {str(path)[:200]}; end the name in {FORMATS[format]}.", field="out")
        studio.export(found, format, path)
        told = {"path": str(path), "format": format, "size_bytes": path.stat().st_size}
        answer(told, as_json, lambda: typer.echo(f"{path} ({told['size_bytes']:,} bytes)"))


@app.command("import")
def bring(file: Annotated[Path, typer.Argument(help="An .aiprod file.")], as_json: AsJson = False) -> None:
    """Bring a project and its clips in from a file."""
    with failures(as_json):
        from pipelines.contract import InvalidRequest

        if not file.is_file():
            raise InvalidRequest(f"file {str(file)[:200]} does not exist; give the path of an .aiprod file.", field="file")
        with _reached() as studio:
            _show(studio.bring(file), as_json)


@contextmanager
def _reached() -> Iterator[Any]:
    """The projects, here or where they are served; loaded only for the commands that ask."""
    from studio.reach_projects import projects_reached

    with projects_reached(settings_with()) as studio:
        yield studio


def _change(project: str, as_json: bool, *operations: Callable[[Record], Record]) -> None:
    """Carry out one operation after the other, each made in view of the project as it is then."""
    with failures(as_json), _reached() as studio:
        found = _found(studio, project)
        for operation in operations:
            found = studio.change(found, operation(found))
        _show(found, as_json)


def _found(studio: Any, text: str) -> Record:
    """The one project of this name, or whose id begins so. Raises ``InvalidRequest``."""
    from pipelines.contract import InvalidRequest

    known = studio.listed()
    found = [each for each in known if each["name"] == text] or [
        each for each in known if len(text) >= 4 and each["id"].startswith(text.lower())
    ]
    if len(found) != 1:
        why = "is the name of several projects; give the id" if found else "is not one; see `python app.py project list`"
        raise InvalidRequest(f"project {text[:100]!r} {why}.", field="project")
    project: Record = studio.project(found[0]["id"])
    return project


def _shot(project: Record, number: int) -> Record:
    return _one(project["shots"], number, "shot")


def _one(rows: list[Record], number: int, what: str) -> Record:
    from pipelines.contract import InvalidRequest

    if number > len(rows):
        raise InvalidRequest(f"{what} is {number}; there are {len(rows)}.", field=what)
    return rows[number - 1]


def _show(project: Record, as_json: bool) -> None:
    def lines() -> None:
        typer.echo(f"{project['name']} ({project['id'][:12]}), {project['duration_s']:.2f} s")
        rows = [(str(number), *_row(shot)) for number, shot in enumerate(project["shots"], 1)]
        table(("", "shot", "length", "take", "clip"), rows, "no shots yet")

    answer(project, as_json, lines)


def _row(shot: Record) -> tuple[str, ...]:
    numbers = [take["id"] for take in shot["takes"]]
    length = "gone" if shot["duration_s"] is None else f"{shot['duration_s']:.2f} s"
    return shot["name"], length, f"{numbers.index(shot['chosen']) + 1} of {len(numbers)}", shot["chosen"]
