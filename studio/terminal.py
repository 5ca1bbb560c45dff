"""How the command line talks: settings from options, failures as one sentence and an exit code, tables or one JSON object."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

BAD_INPUT, OTHERWISE = 2, 1


def settings_with(**given: Any) -> Any:
    """The studio's settings: what was given on the command line before what the environment says."""
    from studio.settings import Settings

    return Settings(**{name: value for name, value in given.items() if value is not None})


@contextmanager
def failures(as_json: bool) -> Iterator[None]:
    """Tells a failure in one sentence and leaves with its exit code: 2 for bad input, 1 otherwise."""
    from pydantic import ValidationError

    from pipelines.contract import StudioError, invalid_request

    try:
        yield
    except StudioError as error:
        _leave(error, as_json)
    except ValidationError as error:
        _leave(invalid_request(error), as_json)
    except KeyboardInterrupt:
        _leave(StudioError("stopped; nothing was written."), as_json)


def run_module(module: str, arguments: Sequence[str], *, listen: bool = False) -> subprocess.CompletedProcess[str]:
    """Run one of our modules in a process of its own, because this one never loads torch; ``listen`` keeps what it says."""
    # From whatever folder it is called: the process finds our modules where this one does, and files where the person is.
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": path}, capture_output=listen, text=True)


def _leave(error: Any, as_json: bool) -> None:
    from pipelines.contract import InvalidRequest, NotFound, TooLarge

    code = BAD_INPUT if isinstance(error, InvalidRequest | NotFound | TooLarge) else OTHERWISE
    if as_json:
        _print_json({"error": {"message": error.message, "field": error.field, "status": error.status}})
    typer.echo(error.message, err=True)
    raise typer.Exit(code)


def answer(value: dict[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    """``value`` as one JSON object, or what ``show`` prints for people."""
    if as_json:
        _print_json(value)
    else:
        show()


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    """Rows in columns, or ``nothing`` where there are none."""
    if not rows:
        typer.echo(nothing)
        return
    from rich.console import Console
    from rich.table import Column, Table

    first, *others = head  # what a row is called by: it is copied from here, so it stays whole
    shown = Table(Column(first, no_wrap=True), *others, box=None, pad_edge=False)
    for row in rows:
        shown.add_row(*row)
    Console(highlight=False, markup=False).print(shown)
