"""``python -m pipelines.models.quantizing MODEL --mode int8 --out FOLDER``: a model as a folder of smaller weights.

A process of its own, so that whoever asks loads no torch. Exits 0, or 2 for what cannot be done.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.contract import InvalidRequest, Quantization, StudioError
from pipelines.optimize.plan import Plan
from pipelines.registry import ModelCatalogue, spec_from_folder

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def quantize(
    model: Annotated[str, typer.Argument(help="An installed model's id, or a folder in diffusers layout.")],
    out: Annotated[Path, typer.Option(help="The folder to write; use it as a model with STUDIO_MODELS.")],
    mode: Annotated[Quantization, typer.Option(help="How the transformer's weights are held.")] = Quantization.INT8,
    text: Annotated[Quantization, typer.Option(help="How the text encoder's are.")] = Quantization.NONE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write MODEL with its large weights in fewer bits, as a folder of its own that loads back bit for bit."""
    try:
        told = written(model, out.absolute(), Plan(mode, text))
    except StudioError as error:
        typer.echo(json.dumps({"error": error.message, "field": error.field}) if as_json else error.message, err=not as_json)
        raise typer.Exit(2) from None
    mb, before = told["mb"], told["mb_before"]
    typer.echo(json.dumps(told) if as_json else f"{out}  ({mb:.1f} MB; {before:.1f} MB as it was)")


def written(model: str, out: Path, plan: Plan) -> dict[str, Any]:
    """Do it, and tell of it. Raises ``InvalidRequest``, ``ModelNotFound`` or ``StorageFull``."""
    if Quantization.AUTO in (plan.quantization, plan.text_quantization) or plan == Plan():
        raise InvalidRequest("mode is auto or none; name the bits, such as int8.", field="mode")
    spec = spec_from_folder(Path(model).name, Path(model)) if Path(model).is_dir() else ModelCatalogue.with_folders({}).get(model)
    if not spec.is_local:
        raise InvalidRequest(f"model {model} is not a folder on this machine; give the path of a copy.", field="model")
    if spec.call is not None:
        raise InvalidRequest(
            f"model {model} is no LTX-2 model; weights of others are quantized only as they are loaded: set quantization.",
            field="model",
        )
    if spec.held_as is not None:
        raise InvalidRequest(
            f"model {model} holds quantized weights already; give the folder that it was made of.", field="model"
        )
    if spec.transformer and plan.quantization is Quantization.NONE:
        raise InvalidRequest(
            f"mode is none, but model {model} has its transformer in a file of its own; name the bits.", field="mode"
        )
    import torch

    from pipelines.models.ltx2.load import load
    from pipelines.models.ltx2.quantized import save

    save(load(spec, torch.device("cpu"), plan=plan), plan, out)
    sizes = [_megabytes(Path(spec.source)), _megabytes(out)]
    return {
        "out": str(out),
        "mode": plan.quantization.value,
        "text": plan.text_quantization.value,
        "mb_before": sizes[0],
        "mb": sizes[1],
    }


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / 1e6


if __name__ == "__main__":
    app()
