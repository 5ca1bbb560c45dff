"""``grid``: one clip for every combination of one or two settings' values, the best of them kept, all on one picture."""

from __future__ import annotations

import inspect
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipelines.contract import MAX_SEED, Conflict, GenerationRequest, InvalidRequest, Progress, StudioError
from studio.cli_generate import QUIET, noise_levels, option_of, progress, writable
from studio.cli_lora import WRITTEN, named, read_use
from studio.terminal import answer, failures, settings_with, table

if TYPE_CHECKING:  # what it asks is loaded with the studio, when the command runs
    from studio.reach_grids import ReachedGrids

Told = dict[str, Any]
"""A record as the API tells it."""
_NOT_OPTIONS = ("kind", "prompt", "original_prompt", "loras", "first_frame", "last_frame", "references")
_TEXTS = ("prompt", "negative_prompt")
_LOOK_S = 0.3
_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_AXIS = "What to vary: FIELD=VALUE,VALUE; prompts stand between |; seed=random:4 draws; lora:NAME=0,0.5,1 is its weight."


def command() -> Callable[..., None]:
    """The command for typer; its options are the fields of the request, and what is said of the grid as a whole."""

    def grid(out: Path | None, sheet: Path | None, keep_best: str | None, as_json: bool, **given: Any) -> None:
        with failures(as_json):
            from studio.reach_grids import grids_reached

            targets = _Targets(out, sheet, keep_best)
            with grids_reached(settings_with()) as studio:
                told = _make(studio, {name: value for name, value in given.items() if value is not None}, targets, as_json)
            answer(told, as_json, lambda: _say(told))
        if any(cell["state"] == "failed" for cell in told["cells"]):
            raise typer.Exit(1)

    whole = {
        "prompt": (str | None, typer.Option(None, "--prompt", help="What to see and hear, where no axis says it.")),
        "x": (str | None, typer.Option(None, "--x", help=f"{_AXIS} Across.")),
        "y": (str | None, typer.Option(None, "--y", help="The same, down.")),
        "out": (Path | None, typer.Option(None, "--out", help="A folder for the clips, beside the library.")),
        "sheet": (Path | None, typer.Option(None, "--sheet", help="The PNG to draw the grid on.")),
        "keep_best": (str | None, typer.Option(None, "--keep-best", help="Make the best by this measurement a favourite.")),
        "lora": (list[str] | None, typer.Option(None, "--lora", help=f"A LoRA of the studio as {WRITTEN}.")),
        "as_json": (bool, typer.Option(False, "--json", help="Print one JSON object and nothing else.")),
    }
    parameters = [
        *(inspect.Parameter(name, _KEYWORD, annotation=kind, default=option) for name, (kind, option) in whole.items()),
        *(option_of(name) for name in GenerationRequest.model_fields if name not in _NOT_OPTIONS),
    ]
    grid.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    grid.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    grid.__doc__ = "Make a clip for every combination of one or two settings' values; they go into the library too."
    return grid


class _Targets:
    """Where what is made goes, and by what the best is chosen. Raises ``InvalidRequest`` before any work."""

    def __init__(self, out: Path | None, sheet: Path | None, best: str | None) -> None:
        from pipelines.metrics.catalogue import BY_NAME

        if best is not None and best not in BY_NAME:
            raise InvalidRequest(f"keep-best is {best[:60]!r}, which is not measured; see docs/metrics.md.", field="keep_best")
        if sheet is not None and (sheet.suffix.lower() != ".png" or sheet.is_dir()):
            raise InvalidRequest(f"sheet is {str(sheet)[:200]}; it is a picture: end it in .png.", field="sheet")
        if out is not None and out.exists() and not out.is_dir():
            raise InvalidRequest(f"out is {str(out)[:200]}, which is a file; name a folder.", field="out")
        self.best = best
        self.sheet = None if sheet is None else writable(sheet.absolute())
        self.out = None if out is None else writable(out.absolute() / "clip.mp4").parent


def _make(studio: ReachedGrids, given: Told, targets: _Targets, quiet: bool) -> Told:
    """The grid as it is told: made, written to its files, its best clip kept."""
    asked = _asked(given, studio)
    plan = studio.plan(asked)
    if studio.is_paused():
        raise Conflict("the queue is paused, so no clip would begin: resume it in the page first.")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not quiet:
        about = "" if plan["seconds"] is None else f", about {plan['seconds']:.0f} s"
        typer.echo(f"{plan['clips']} clips{about}", err=True)
    grid = studio.submit(asked)
    try:
        _await(studio, grid["id"], quiet)
    except KeyboardInterrupt:
        studio.cancel(grid["id"])
        raise StudioError("stopped; the clips that were finished are in the library.") from None
    grid = studio.grid(grid["id"], targets.best)
    cells = [_cell(studio, cell, place, targets.out) for place, cell in enumerate(grid["cells"], start=1)]
    if targets.sheet is not None:
        _write(targets.sheet, studio.sheet(grid["id"], targets.best))
    if targets.best is not None and any(cell["clip"] for cell in cells):
        studio.keep_best(grid["id"], targets.best)
    path = None if targets.sheet is None else str(targets.sheet)
    return {"id": grid["id"], "axes": grid["axes"], "best": grid["best"], "sheet": path, "cells": cells}


def _await(studio: ReachedGrids, grid_id: str, quiet: bool) -> None:
    with progress(quiet) as on_event:
        while True:
            states = [cell["job"]["state"] for cell in studio.grid(grid_id, None)["cells"]]
            left = sum(state in ("queued", "running") for state in states)
            on_event(Progress("clips", len(states) - left, len(states)))
            if not left:
                return
            time.sleep(_LOOK_S)


def _asked(given: Told, studio: ReachedGrids) -> Told:
    """The body of a grid from the options. Raises ``InvalidRequest``."""
    request = dict(given)
    axes = [_axis(text, option, studio) for option in ("y", "x") if (text := request.pop(option, None))]
    if not axes:
        raise InvalidRequest("x is missing: say what to vary, such as --x seed=1,2,3.", field="x")
    if "sigmas" in request:
        request["sigmas"] = noise_levels(request["sigmas"])
    if lora := request.pop("lora", None):
        request["loras"] = [_use(text, studio) for text in lora]
    return {"request": request, "axes": axes}


def _axis(text: str, option: str, studio: ReachedGrids) -> Told:
    name, _, listed = text.partition("=")
    name = name.strip().replace("-", "_") if not name.startswith("lora:") else name.strip()
    if not name or not listed.strip():
        raise InvalidRequest(f"{option} is {text[:80]!r}; write it as FIELD=VALUE,VALUE, such as seed=1,2,3.", field=option)
    if name.startswith("lora:"):
        return {"field": named(name.removeprefix("lora:"), studio.loras())["reference"], "values": _split(listed, ",")}
    if drawn := re.fullmatch(r"random:(\d{1,2})", listed.strip()):
        if name != "seed":
            raise InvalidRequest(f"{option} draws values of {name}; only seed can be drawn: list them.", field=option)
        return {"field": name, "values": [secrets.randbelow(MAX_SEED + 1) for _ in range(max(1, int(drawn[1])))]}
    return {"field": name, "values": _split(listed, "|" if name in _TEXTS else ",")}


def _split(listed: str, mark: str) -> list[str]:
    return [part.strip() for part in listed.split(mark) if part.strip()]


def _use(text: str, studio: ReachedGrids) -> Told:
    name, fields = read_use(text)
    return {"lora": named(name, studio.loras())["reference"], **fields}


def _cell(studio: ReachedGrids, cell: Told, place: int, folder: Path | None) -> Told:
    """One clip as it is told, and written into ``folder`` where there is one."""
    job, made = cell["job"], cell["job"]["result"]
    told = {"settings": cell["settings"], "state": job["state"], "error": job["error"]}
    told |= {"clip": None, "path": None, "measurements": {}}
    if made is None:
        return told
    path = None
    if folder is not None:
        said = " ".join(f"{_short(name)} {_text(value)}" for name, value in cell["settings"].items())
        words = "-".join(re.findall(r"[\w.]+", said))[:80].strip("-.") or "clip"
        path = folder / f"{place:02d}-{words}.mp4"
        _write(path, studio.file(made["id"]))
    return told | {"clip": made["id"], "path": None if path is None else str(path), "measurements": made["measurements"]}


def _short(name: str) -> str:
    return name[:11].replace(":", "-") if name.startswith("lora:") else name


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _write(path: Path, content: bytes) -> None:
    from studio.services.media import write_whole

    write_whole(path, content)


def _say(told: Told) -> None:
    rows = []
    for cell in told["cells"]:
        values = [_text(value)[:60] for value in cell["settings"].values()] or ["-"]
        where = os.path.relpath(cell["path"]) if cell["path"] else cell["clip"] or (cell["error"] or {}).get("message") or ""
        rows.append((*values, f"{cell['state']}{', the best' if cell['clip'] and cell['clip'] == told['best'] else ''}", where))
    heads: Sequence[str] = [axis["title"] for axis in told["axes"]] or ["-"]
    table((*heads, "state", "clip"), rows, "")
    if told["sheet"]:
        typer.echo(told["sheet"])
