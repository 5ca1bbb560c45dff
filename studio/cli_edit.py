"""``edit``: one command for each operation, its options the operation's fields; no server, no library."""

from __future__ import annotations

import inspect
import json
import os
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import typer

from pipelines import edits
from pipelines.contract import Clip, ClipRequest, InvalidRequest, StudioError
from pipelines.edits import Operation
from studio.cli_generate import QUIET, option_of, progress, writable
from studio.cli_lora import WRITTEN, stack_of
from studio.terminal import answer, failures, run_module, settings_with

_SHAPE = ("height", "width", "num_frames", "frame_rate", "modality", "upscale", "stages", "refine_sigmas", "prompt", "loras")
_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_SAID_OTHERWISE = {
    "mask": "A picture that is white where the clip may change.",
    "end_mask": "The mask at the end of the range.",
    "offset_s": "By how many seconds; as much as the sound is measured to be off if left out.",
}


def commands() -> typer.Typer:
    """The group of commands, one for each kind of edit."""
    group = typer.Typer(help="Make a new clip from an MP4 that a studio wrote.", no_args_is_help=True, rich_markup_mode=None)
    for operation in get_args(get_args(edits.Edit)[0]):
        kind = operation.model_fields["kind"].default
        group.command(kind, help=inspect.getdoc(operation))(_command(kind, operation))
        if kind == "keyframes":  # one is as usual as several
            group.command("keyframe", hidden=True)(_command(kind, operation))
    return group


def _command(kind: str, operation: type[Operation]) -> Callable[..., None]:
    """The command for typer, its signature made from the operation's fields and the settings that the model takes."""
    names = [name for name in operation.model_fields if name != "kind"]

    def run(source: Path, out: Path | None, as_json: bool, **given: Any) -> None:
        with failures(as_json):
            chosen = {name: value for name, value in given.items() if value is not None}
            fields = {name: chosen.pop(name) for name in names if name in chosen}
            if kind == "shift-sound" and "offset_s" not in fields:
                fields["offset_s"] = -measured_offset_s(source)
            clip = _make(source, out, as_json, {"kind": kind, **fields}, chosen)
            answer({"path": str(clip.path), **clip.model_dump(mode="json", exclude={"path"})}, as_json, lambda: _say(clip))

    settings = [name for name in ClipRequest.model_fields if name not in _SHAPE] if operation.imagines or kind == "join" else []
    lora = typer.Option(None, "--lora", help=f"A file or a kept LoRA, as {WRITTEN}; may be repeated.")
    parameters = [
        inspect.Parameter("source", _KEYWORD, annotation=Path, default=typer.Argument(..., help="The MP4 to edit.")),
        inspect.Parameter("out", _KEYWORD, annotation=Path | None, default=typer.Option(None, "--out", help="The MP4 to write.")),
        *(_parameter(operation, name) for name in names),
        *(_prompt() for _ in settings[:1]),
        *(option_of(name) for name in settings),
        *(inspect.Parameter("lora", _KEYWORD, annotation=list[str] | None, default=lora) for _ in settings[:1]),
        inspect.Parameter(
            "as_json",
            _KEYWORD,
            annotation=bool,
            default=typer.Option(False, "--json", help="Print one JSON object, nothing else."),
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _prompt() -> inspect.Parameter:
    option = typer.Option(None, "--prompt", help="What the new part shows and sounds like; the source's prompt if left out.")
    return inspect.Parameter("prompt", _KEYWORD, annotation=str | None, default=option)


def _parameter(operation: type[Operation], name: str) -> inspect.Parameter:
    """The option of one field: seconds lose their ending, images and clips are files, keyframes are FRAME:FILE[:STRENGTH]."""
    field = operation.model_fields[name]
    if name == "keyframes":
        option = typer.Option(None, "--keyframe", help="FRAME:FILE or FRAME:FILE:STRENGTH; may be given several times.")
        return inspect.Parameter(name, _KEYWORD, annotation=list[str] | None, default=option)
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not type(None)]
    kind = kinds[0] if kinds[0] in (int, float) else int if isinstance(kinds[0], int) else str
    flag = f"--{name.removesuffix('_s').replace('_', '-')}"
    option = typer.Option(None, flag, help=_SAID_OTHERWISE.get(name) or field.description)
    return inspect.Parameter(name, _KEYWORD, annotation=kind | None, default=option)


def _make(source: Path, out: Path | None, quiet: bool, edit: dict[str, Any], settings: dict[str, Any]) -> Clip:
    """The edited clip, made in a child process."""
    from pipelines.clip_io import read_request
    from pipelines.editing.request import edit_request
    from pipelines.registry import ModelCatalogue
    from studio.workers.local import run_once

    studio = settings_with()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    sources: dict[str, Path] = {}
    with tempfile.TemporaryDirectory(prefix="studio-edit-") as folder:
        made_with, _ = read_request(clip_file(source, "source"))
        if lora := settings.pop("lora", None):
            stack = stack_of(lora, settings.get("model") or made_with.model)
            settings["loras"] = stack.uses
            sources |= stack.sources
        asked = {"source": named_clip(source, sources), "edit": _stored(edit, sources, Path(folder), studio), **settings}
        catalogue = ModelCatalogue.with_folders(studio.models)
        request = edit_request(asked, made_with, catalogue)
        path = _target(out, source, str(edit["kind"]))
        with progress(quiet) as on_event:
            return run_once(studio, request, on_event, path=path, media_dir=Path(folder), sources=sources)


def measured_offset_s(source: Path) -> float:
    """By how many seconds a clip's sound is late, as the quality card says. Raises ``InvalidRequest`` where that says nothing."""
    from pipelines.metrics.catalogue import CONFIDENT

    file = clip_file(source, "source")
    measuring = run_module("pipelines.metrics.measuring", ["measure", str(file), "--json"], listen=True)
    if measuring.returncode not in (0, 2):
        last = (measuring.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise StudioError(f"source could not be measured ({last[:200]}): give --offset.", field="source")
    told = json.loads(measuring.stdout)
    if "error" in told:
        raise InvalidRequest(told["error"]["message"], field="source")
    card = told["measurements"]
    if "sync.offset_ms" not in card or card["sync.confidence"] < CONFIDENT:
        raise InvalidRequest("offset cannot be measured: too few events are seen and heard; give --offset.", field="offset_s")
    return round(card["sync.offset_ms"]) / 1000


def clip_file(path: Path, field: str) -> Path:
    """``path``, which has to be there."""
    if not path.is_file():
        raise InvalidRequest(
            f"{field} {str(path)[:200]} does not exist; give the path of an MP4 that a studio wrote.", field=field
        )
    return path


def named_clip(path: Path, sources: dict[str, Path]) -> str:
    """A reference for a clip file of this run."""
    reference = f"clip:{uuid.uuid5(uuid.NAMESPACE_URL, str(path.absolute())).hex}"
    sources[reference] = path.absolute()
    return reference


def _stored(edit: dict[str, Any], sources: dict[str, Path], folder: Path, settings: Any) -> dict[str, Any]:
    """The operation with references instead of files; images are stored in ``folder``."""
    from studio.cli_generate import stored_image

    fields = dict(edit)
    if "other" in fields:
        fields["other"] = named_clip(clip_file(Path(fields["other"]), "other"), sources)
    for name in ("mask", "end_mask"):
        if name in fields:
            fields[name] = stored_image(fields[name], folder, settings, field=name)
    if "keyframes" in fields:
        fields["keyframes"] = [_keyframe(text, folder, settings) for text in fields["keyframes"]]
    return fields


def _keyframe(text: str, folder: Path, settings: Any) -> dict[str, Any]:
    from studio.cli_generate import stored_image

    frame, _, rest = text.partition(":")
    name, _, strength = rest.rpartition(":")
    is_strength = bool(name) and strength.replace(".", "", 1).isdigit()
    if not frame.isdigit() or not rest:
        raise InvalidRequest(f"keyframe is {text[:80]!r}; write it as FRAME:FILE, such as 12:painted.png.", field="keyframes")
    image = stored_image(name if is_strength else rest, folder, settings, field="keyframes")
    return {"frame": int(frame), "image": image, "strength": float(strength) if is_strength else 1.0}


def _target(out: Path | None, source: Path, kind: str) -> Path:
    """Where the clip goes: as told, or beside the source under a name that is still free."""
    if out is not None:
        if out.suffix.lower() != ".mp4" or out.is_dir():
            raise InvalidRequest(f"out is {str(out)[:200]}; clips are MP4 files: end it in .mp4.", field="out")
        return writable(out.absolute())
    names = (f"{source.stem}-{kind}{suffix}.mp4" for suffix in ["", *(f"-{number}" for number in range(2, 10_000))])
    return next(path for path in map(Path.cwd().joinpath, names) if not path.exists())


def _say(clip: Clip) -> None:
    seconds = sum(clip.stage_seconds.values())
    typer.echo(f"{clip.path}  ({clip.duration_s:.1f} s, {clip.width}x{clip.height}, made in {seconds:.1f} s)")
