"""``python -m pipelines.metrics --model pocket --clips 200``: make held-out clips, measure them, and say which floors hold.

Exits 0 when all floors hold, 1 when one does not, 2 for bad input. Progress goes to stderr, the answer to stdout.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipelines.contract import InvalidRequest, NotFound, StudioError
from pipelines.metrics.evaluation import Evaluation, Report, evaluate
from pipelines.metrics.report import write_html

LOGS = Path("runs/pocket")
_QUICK_CLIPS = 12

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def measure(
    model: Annotated[str, typer.Option(help="Which model to measure.")] = "pocket",
    clips: Annotated[int, typer.Option(help="How many held-out captions.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Which captions: another seed is another set of them.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="12 clips: a first look, too few for small differences.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    report: Annotated[Path | None, typer.Option(help="Also write an HTML page with pictures.")] = None,
) -> None:
    """Measure a model on captions that training never saw, beside what perfect clips would score."""
    work = Evaluation(model, _QUICK_CLIPS if quick else clips, seed)
    try:
        with tempfile.TemporaryDirectory() as folder:
            measured = evaluate(work, Path(folder), lambda line: typer.echo(line, err=True))
            if report:
                write_html(measured, report, LOGS)
    except StudioError as error:
        if as_json:
            typer.echo(json.dumps({"error": {"message": error.message, "field": error.field, "status": error.status}}))
        typer.echo(error.message, err=True)
        raise typer.Exit(2 if isinstance(error, InvalidRequest | NotFound) else 1) from None
    typer.echo(json.dumps(measured.to_dict(), ensure_ascii=False) if as_json else as_text(measured))
    raise typer.Exit(0 if measured.passed else 1)


def as_text(report: Report) -> str:
    """The figures as aligned lines, and the verdict."""
    lines = [f"{'':28} renders ceiling   model   share   floor  target  chance control"]
    for figure in report.figures:
        values = (
            figure.renders, figure.ceiling, figure.model, figure.share, figure.floor, figure.target, figure.chance, figure.control
        )  # fmt: skip
        cells = "".join("       -" if value is None else f"{value:8.2f}" for value in values)
        verdict = "" if figure.judged == "reported" else "holds" if figure.holds else "BELOW"
        lines.append(f"{figure.name:28}{cells}  {verdict}")
    lines.append(
        f"{report.clips} clips in {report.seconds:.0f} s; {'all floors hold' if report.passed else 'not all floors hold'}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    app()
