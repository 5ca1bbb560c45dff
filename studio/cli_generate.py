"""``generate``: one clip without a server; its options are the fields of the request, so a new field is a new option."""

from __future__ import annotations

import inspect
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from pipelines.contract import Clip, GenerationRequest, InvalidRequest, Metric, Preview, Progress, parse_generation
from pipelines.edits import IMAGE_REFERENCE
from pipelines.vocabulary import Unknown
from studio.cli_lora import WRITTEN, Stack, stack_of
from studio.terminal import answer, failures, settings_with

_NOT_OPTIONS = ("kind", "prompt", "loras", "references")
_NAMED = 5
# The libraries that load a model paint bars and warnings of their own; the worker process inherits this.
QUIET = {
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
OnEvent = Callable[[Progress | Preview | Metric], None]


def command() -> Callable[..., None]:
    """The command for typer, its signature made from ``GenerationRequest``."""

    def generate(prompt: str, out: Path | None, as_json: bool, **given: Any) -> None:
        with failures(as_json):
            only_forecast = given.pop("forecast")
            said = {name: value for name, value in given.items() if value is not None}
            if only_forecast:
                from studio.cli_memory import say_forecast

                say_forecast(prompt, said, as_json)
                return
            clip, unknown = _make(prompt, out, as_json, said)
            answer(_told(clip, unknown), as_json, lambda: _say(clip))

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(
            "prompt", keyword, annotation=str, default=typer.Argument(..., help="What to see and hear, in plain words.")
        ),
        inspect.Parameter("out", keyword, annotation=Path | None, default=typer.Option(None, "--out", help="The MP4 to write.")),
        *(option_of(name) for name in GenerationRequest.model_fields if name not in _NOT_OPTIONS),
        inspect.Parameter(
            "lora",
            keyword,
            annotation=list[str] | None,
            default=typer.Option(None, "--lora", help=f"A file or a kept LoRA, as {WRITTEN}; may be repeated."),
        ),
        inspect.Parameter(
            "lora_stack",
            keyword,
            annotation=str | None,
            default=typer.Option(None, "--lora-stack", help="The name of a saved stack of LoRAs."),
        ),
        inspect.Parameter(
            "reference",
            keyword,
            annotation=list[str] | None,
            default=typer.Option(None, "--reference", help="An image or a clip that the model is shown; may be repeated."),
        ),
        inspect.Parameter(
            "forecast",
            keyword,
            annotation=bool,
            default=typer.Option(False, "--forecast", help="Make nothing; say what the clip would take of the memory."),
        ),
        inspect.Parameter(
            "as_json",
            keyword,
            annotation=bool,
            default=typer.Option(False, "--json", help="Print one JSON object and nothing else."),
        ),
    ]
    generate.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    generate.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    generate.__doc__ = "Make one clip and leave: no server, no library."
    return generate


def option_of(name: str) -> inspect.Parameter:
    """The option of one field; text for what has no plain type, so that the request itself says what is wrong with it."""
    field = GenerationRequest.model_fields[name]
    members = (
        (field.annotation,) if get_origin(field.annotation) is Literal else get_args(field.annotation) or (field.annotation,)
    )
    options = [kind for kind in members if kind is not type(None)]
    choices = _choices(options[0])
    kind = next((kind for kind in (*options, *map(type, choices)) if kind in (int, float)), str)
    text = {
        "first_frame": "An image file that the clip starts from.",
        "last_frame": "An image file that the clip comes to.",
        "sigmas": "Noise levels, such as 1.0,0.75,0.5,0.25.",
    }.get(name)
    shown = text or field.description or ""
    if choices:
        shown += f" One of: {', '.join(map(str, choices))}."
    option = typer.Option(
        None,
        f"--{name.replace('_', '-')}",
        help=shown,
        metavar=kind.__name__.upper() if not choices else "|".join(map(str, choices)),
    )
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind | None, default=option)


def _choices(kind: Any) -> list[str | int]:
    """The values of an enumeration or a ``Literal``; empty for any other type."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(choice.value) for choice in kind]
    return list(get_args(kind)) if get_origin(kind) is Literal else []


def _make(prompt: str, out: Path | None, quiet: bool, given: dict[str, Any]) -> tuple[Clip, tuple[Unknown, ...]]:
    """The clip, and the words of its prompt that its model does not know; those are told before the work begins."""
    from studio.workers.local import run_once

    settings = settings_with()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    given |= noise_levels(given)
    ends = {name: frame for name in ("first_frame", "last_frame") if (frame := given.pop(name, None)) is not None}
    lora, saved, shown = (given.pop(name, None) for name in ("lora", "lora_stack", "reference"))
    with tempfile.TemporaryDirectory(prefix="studio-frame-") as folder:
        # Everything else is judged before the image is read, and the whole request before a process starts.
        parse_generation({"prompt": prompt, **given})
        for name, frame in ends.items():
            given[name] = stored_image(frame, Path(folder), settings, field=name)
        clips: dict[str, Path] = {}
        if shown:
            given["references"] = [_reference(each, clips, Path(folder), settings) for each in shown]
        stack = Stack([], {}, ())
        if lora or saved is not None:
            stack = stack_of(lora or (), given.get("model") or GenerationRequest.model_fields["model"].default, saved)
            given["loras"] = stack.uses
        catalogue = settings.catalogue
        request = catalogue.complete(parse_generation({"prompt": prompt, **given}))
        path = _target(out, request)
        calls = {word for words in stack.trigger_words for word in words.lower().split()}  # what a LoRA brings is known to it
        strange = catalogue.get(request.model).unknown_words(request.prompt)
        unknown = tuple(each for each in strange if each.word.lower() not in calls)
        if unknown and not quiet:
            other = next((f" {each.id} does: --model {each.id}." for each in catalogue.knowing(request.prompt)), "")
            typer.echo(f"{request.model} does not know {_named(unknown)}.{other}", err=True)
        with progress(quiet) as on_event:
            sources = {**stack.sources, **clips}
            return run_once(settings, request, on_event, path=path, media_dir=Path(folder), sources=sources), unknown


def _reference(given: str, clips: dict[str, Path], folder: Path, settings: Any) -> str:
    """The reference of an image file, stored in ``folder``, or of a studio's clip, which is added to ``clips``."""
    from pipelines.clip_io import read_request
    from studio.cli_edit import clip_file, named_clip

    if not given.lower().endswith(".mp4"):
        return stored_image(given, folder, settings, field="references")
    read_request(clip_file(Path(given), "references"))
    return named_clip(Path(given), clips)


def _named(unknown: Sequence[Unknown]) -> str:
    """A handful of unknown words, each with its nearest, and how many there are more."""
    named = [f"“{each.word[:60]}”" + (f" (nearest: “{each.nearest}”)" if each.nearest else "") for each in unknown[:_NAMED]]
    if len(unknown) > _NAMED:
        named.append(f"{len(unknown) - _NAMED} more")
    return ", ".join(named[:-1]) + (" and " if len(named) > 1 else "") + named[-1]


def noise_levels(given: dict[str, Any]) -> dict[str, list[float]]:
    """The numbers of ``--sigmas`` and ``--refine-sigmas``, where they are given. Raises ``InvalidRequest``."""
    found = {}
    for name in ("sigmas", "refine_sigmas"):
        if (text := given.get(name)) is None:
            continue
        try:
            found[name] = [float(part) for part in text.split(",")]
        except ValueError:
            raise InvalidRequest(
                f"{name} is {text[:60]!r}; write numbers with commas, such as 0.9,0.7,0.4.", field=name
            ) from None
    return found


def stored_image(given: str, folder: Path, settings: Any, *, field: str) -> str:
    """The reference of an image, stored in ``folder`` for this run; ``given`` is its file, or its reference in the library."""
    from studio.services.media import media_path, store_image

    kept = media_path(settings.media_dir, given) if IMAGE_REFERENCE.fullmatch(given) else None
    path = kept or Path(given)
    if not path.is_file():
        if kept:
            raise InvalidRequest(f"{field} {given[:20]}… is not in the library; give the path of a file.", field=field)
        raise InvalidRequest(f"{field} {given[:200]} does not exist; give the path of a PNG, JPEG or WebP file.", field=field)
    with path.open("rb") as stream:
        return store_image(stream.read(settings.max_upload_bytes + 1), folder, settings.max_upload_bytes, field)


def _target(out: Path | None, request: GenerationRequest) -> Path:
    """Where the clip goes: as told, or a name from prompt and seed that is still free here."""
    if out is not None:
        if out.suffix.lower() != ".mp4" or out.is_dir():
            raise InvalidRequest(f"out is {str(out)[:200]}; clips are MP4 files: end it in .mp4.", field="out")
        return writable(out.absolute())
    words = "-".join(re.findall(r"\w+", request.prompt.lower())[:6]) or "clip"
    names = (f"{words[:40]}-{request.seed}{suffix}.mp4" for suffix in ["", *(f"-{number}" for number in range(2, 10_000))])
    return next(path for path in map(Path.cwd().joinpath, names) if not path.exists())


def writable(out: Path) -> Path:
    """``out``, after a try with the longer name that a clip has while it is written: not only after the work."""
    trial = out.with_name(f".{out.stem}.{os.getpid()}.part{out.suffix}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise InvalidRequest(f"out is {str(out)[:200]}, not writable ({why}); name another file.", field="out") from None
    return out


@contextmanager
def progress(quiet: bool) -> Iterator[OnEvent]:
    """A bar for people at a terminal; silence for programs and files."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _event: None
        return
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[seen]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("loading", total=1, seen="")
        seen: dict[str, str] = {}

        def show(event: Progress | Preview | Metric) -> None:
            if isinstance(event, Metric) and event.name.startswith("live."):
                name = event.name.removeprefix("live.")
                seen[name] = f"{name} {event.value:.0%}" if name == "match" else f"{name} {event.value:.2f}"
                bar.update(task, seen=" · ".join(seen.values()))
            if isinstance(event, Progress):
                bar.update(task, description=event.stage, completed=event.step, total=max(1, event.total))

        yield show


def _told(clip: Clip, unknown: Sequence[Unknown]) -> dict[str, Any]:
    told = clip.model_dump(mode="json")
    words = [{"word": each.word, "nearest": each.nearest} for each in unknown]
    return {"path": told.pop("path"), "seed": clip.request.seed, **told, "unknown_words": words}


def _say(clip: Clip) -> None:
    seconds = sum(clip.stage_seconds.values())
    typer.echo(
        f"{clip.path}  ({clip.duration_s:.1f} s, {clip.width}x{clip.height}, seed {clip.request.seed}, made in {seconds:.1f} s)"
    )
