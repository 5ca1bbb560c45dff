"""``python -m pipelines.metrics.measuring measure FILE`` and ``... compare A B``: quality cards of files that exist.

A process of its own, so that whoever asks loads no torch. Exits 0, or 2 for files that cannot be measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.clip_io import read_media, read_request
from pipelines.contract import ImportRequest, InvalidRequest, StudioError
from pipelines.metrics.card import quality_card
from pipelines.metrics.catalogue import BY_NAME, GROUPS, METRICS, Metric
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
    measured = _measured([file], text_image_model, as_json)[0]
    if as_json:
        typer.echo(json.dumps({"file": str(file), "measurements": measured, "verdicts": _verdicts(measured)}, ensure_ascii=False))
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
    a: Annotated[Path, typer.Argument(help="One clip.")],
    b: Annotated[Path, typer.Argument(help="Another.")],
    text_image_model: Judge = "",
    as_json: AsJson = False,
) -> None:
    """Measure two clips and say which is better in what."""
    one, two = _measured([a, b], text_image_model, as_json)
    shared = [metric for metric in METRICS if metric.name in one and metric.name in two and metric.group != "length"]
    better = {metric.name: which(metric, one[metric.name], two[metric.name]) for metric in shared}
    if as_json:
        typer.echo(json.dumps({"a": one, "b": two, "better": better}, ensure_ascii=False))
        return
    typer.echo(f"  {'':26}{'A':>20}{'B':>20}  better")
    for metric in shared:
        values = "".join(f"{_shown(metric, measured[metric.name]):>20}" for measured in (one, two))
        typer.echo(f"  {metric.title:26}{values}  {(better[metric.name] or '').upper()}".rstrip())


def which(metric: Metric, one: float, two: float) -> str | None:
    """``a`` or ``b``, whichever value is better; ``None`` where they are alike to a hundredth of the metric's span."""
    difference = metric.badness(one) - metric.badness(two)
    if abs(difference) <= 0.01 * (metric.span[1] - metric.span[0]):
        return None
    return "a" if difference < 0 else "b"


def measured_file(path: Path, judge: TextImageModel | None = None) -> dict[str, float]:
    """The card of any media file; what was asked is read from it where a studio wrote it. Raises ``InvalidRequest``."""
    if not path.is_file():
        raise InvalidRequest(f"file {str(path)[:200]} does not exist; check the path.", field="file")
    media = read_media(path)
    if media.frames is None and media.sound is None:
        raise InvalidRequest(f"{path.name} holds neither picture nor sound: choose another file.", field="file")
    try:
        request, _ = read_request(path)
    except InvalidRequest:  # a film from elsewhere: measured all the same, but for what nobody asked of it
        return quality_card(media, None, None)
    if isinstance(request, ImportRequest):
        return quality_card(media, None, None)
    return quality_card(media, request, _known(request.model), judge)


def _known(model_id: str) -> ModelSpec | None:
    return next((spec for spec in ModelCatalogue.with_folders({}) if spec.id == model_id), None)


def _judge(name: str) -> TextImageModel | None:
    """The model that compares frames with words, where one is named. Raises ``ModelNotFound`` or ``OutOfMemory``."""
    if not name:
        return None
    from pipelines.metrics.agreement import text_image_model

    return text_image_model(name)


def _measured(files: list[Path], text_image_model: str, as_json: bool) -> list[dict[str, float]]:
    try:
        judge = _judge(text_image_model)
        return [measured_file(file, judge) for file in files]
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
