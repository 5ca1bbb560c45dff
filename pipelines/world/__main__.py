"""``python -m pipelines.world --out DIR --clips N``: export the procedural world as a folder dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.contract import StorageFull
from pipelines.world.export import RECORDS, export_clips

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def dataset(
    out: Annotated[Path, typer.Option(help="Folder to write; it must not hold a dataset yet.")],
    clips: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many clips.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal datasets.")] = 0,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Side of the picture in pixels.")] = 128,
    held_out: Annotated[bool, typer.Option("--held-out", help="Also combinations that training never shows.")] = False,
) -> None:
    """Export the procedural world: MP4 clips, captions, attributes and events (metadata.jsonl)."""
    if size % 2:
        raise typer.BadParameter(f"size is {size}; H.264 needs an even number: use {size + 1}.")
    if (out / RECORDS).exists():
        raise typer.BadParameter(f"{out} holds a dataset already; choose another folder.")
    try:
        for index, _ in enumerate(export_clips(out, clips, seed, held_out=held_out, size=size), start=1):
            if index % 50 == 0 or index == clips:
                typer.echo(f"{index} of {clips}")
    except StorageFull as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written to ({error.strerror}); choose another folder.") from None
    typer.echo(f"{out / RECORDS}")


if __name__ == "__main__":
    app()
