"""``python -m pipelines.metrics.measuring measure FILE`` and ``... compare A B ...``: quality cards of files that exist.

A process of its own, so that whoever asks loads no torch. Exits 0, or 2 for files that cannot be measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.clip_io import read_media, read_request
from pipelines.contract import AnyRequest, ImportRequest, InvalidRequest, StudioError
from pipelines.metrics.card import Card, quality_card
from pipelines.metrics.catalogue import BY_NAME, GROUPS, METRICS, Metric
from pipelines.metrics.comparing import LETTERS, compared
from pipelines.metrics.difference import write_difference
from pipelines.registry import ModelCatalogue, ModelSpec

if TYPE_CHECKING:
    from pipelines.metrics.agreement import TextImageModel

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Judge = Annotated[
    str,
    typer.Option(
        "--text-image-model",
        envvar="STUDIO_TEXT_IMAGE_MODEL",
        help="Also compare frames with the prompt by this CLIP or SigLIP model: a hub id that was fetched, or a folder.",
    ),
]
_SIGNS = {"good": "good", "fair": "fair", "poor": "POOR", None: ""}


@app.command()
def measure(
    file: Annotated[Path, typer.Argument(help="Any clip; MP4s of a studio say what was asked.")],
    text_image_model: Judge = "",
    as_json: AsJson = False,
) -> None:
    """Measure one clip."""
    (card,) = _measured([file], text_image_model, as_json)
    measured = card.measurements
    if as_json:
        moments = None if card.moments is None else card.moments.model_dump(mode="json")
        told = {"file": str(file), "measurements": measured, "verdicts": _verdicts(measured), "moments": moments}
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    for group, title in GROUPS.items():
        rows = [metric for metric in METRICS if metric.group == group and metric.name in measured]
        if rows:
            typer.echo(title)
        for metric in rows:
            value = measured[metric.name]
            typer.echo(f"  {metric.title:26}{_shown(metric, value):>20}  {_SIGNS[metric.verdict(value)]}".rstrip())


@app.command()
def compare(
    files: Annotated[list[Path], typer.Argument(metavar="A B ...", help="Two clips or more, up to eight.")],
    map_to: Annotated[Path | None, typer.Option("--map", help="An MP4 of what differs, to write; of two clips.")] = None,
    text_image_model: Judge = "",
    as_json: AsJson = False,
) -> None:
    """Measure clips and say which is the best in what."""
    letters = LETTERS[: len(files)]
    with _told(as_json):
        if not 2 <= len(files) <= len(LETTERS):
            raise InvalidRequest(f"clips are {len(files)}; compare two to {len(LETTERS)}.", field="clips")
        if map_to is not None:
            write_difference(files, map_to)
    cards = [card.measurements for card in _measured(files, text_image_model, as_json)]
    rows = compared(cards)
    if as_json:
        better = {row.name: None if row.best is None else letters[row.best] for row in rows}
        typer.echo(json.dumps({**dict(zip(letters, cards, strict=True)), "better": better}, ensure_ascii=False))
        return
    typer.echo(f"  {'':26}{''.join(f'{letter.upper():>20}' for letter in letters)}  {'better' if len(files) == 2 else 'best'}")
    for row in rows:
        values = "".join(f"{_shown(BY_NAME[row.name], value):>20}" for value in row.values)
        typer.echo(f"  {BY_NAME[row.name].title:26}{values}  {'' if row.best is None else letters[row.best].upper()}".rstrip())
    if map_to is not None:
        typer.echo(f"What differs is in {map_to}.")


def measured_file(path: Path, judge: TextImageModel | None = None) -> Card:
    """The card of any media file; what was asked is read from it where a studio wrote it. Raises ``InvalidRequest``."""
    if not path.is_file():
        raise InvalidRequest(f"file {str(path)[:200]} does not exist; check the path.", field="file")
    media = read_media(path)
    if media.frames is None and media.sound is None:
        raise InvalidRequest(f"{path.name} holds neither picture nor sound: choose another file.", field="file")
    request = _asked_of(path)
    return quality_card(media, request, _known(request), None if request is None else judge)


def _asked_of(path: Path) -> AnyRequest | None:
    """What a clip was made for; ``None`` for a film from elsewhere, of which nobody asked anything."""
    try:
        request, _ = read_request(path)
    except InvalidRequest:
        return None
    return None if isinstance(request, ImportRequest) else request


def _known(request: AnyRequest | None) -> ModelSpec | None:
    """The model of a request, where every studio has it."""
    return next((spec for spec in ModelCatalogue.with_folders({}) if request is not None and spec.id == request.model), None)


def _judge(name: str) -> TextImageModel | None:
    """The model that compares frames with words, where one is named. Raises ``ModelNotFound`` or ``OutOfMemory``."""
    if not name:
        return None
    from pipelines.metrics.agreement import text_image_model

    return text_image_model(name)


def _measured(files: list[Path], text_image_model: str, as_json: bool) -> list[Card]:
    with _told(as_json):
        judge = _judge(text_image_model)
        return [measured_file(file, judge) for file in files]


@contextmanager
def _told(as_json: bool) -> Iterator[None]:
    """Says what went wrong in a sentence, and ends the process with 2."""
    try:
        yield
    except StudioError as error:
        if as_json:
            typer.echo(json.dumps({"error": {"message": error.message, "field": error.field, "status": error.status}}))
        typer.echo(error.message, err=True)
        raise typer.Exit(2) from None


def _verdicts(measured: dict[str, float]) -> dict[str, Any]:
    return {name: BY_NAME[name].verdict(value) for name, value in measured.items()}


def _shown(metric: Metric, value: float) -> str:
    return f"{100 * value:.1f} %" if metric.unit == "share" else f"{value:.2f} {metric.unit}"


if __name__ == "__main__":
    app()
