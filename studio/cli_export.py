"""``export``: a clip file as another kind of file, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.terminal import answer, failures


def export(
    file: Annotated[Path, typer.Argument(metavar="CLIP", help="The clip's MP4.")],
    format: Annotated[
        str, typer.Option(metavar="webm|gif|png|wav|webm-av1|mp4-hevc", help="What to make; png is a ZIP of pictures.")
    ],
    out: Annotated[Path | None, typer.Option(help="The file to write; beside the clip if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Make WebM, GIF, PNG pictures, WAV or H.265 of a clip."""
    with failures(as_json):
        from pipelines.contract import InvalidRequest
        from studio import exporting

        wanted = exporting.format_named(format)
        if not file.is_file():
            raise InvalidRequest(f"clip {str(file)[:200]} does not exist; check the path.", field="clip")
        path = out or file.with_name(f"{file.stem}-{wanted.name}{wanted.suffix}")
        if path.suffix.lower() != wanted.suffix or path.is_dir():
            raise InvalidRequest(f"out is {str(path)[:200]}; end the name of a {wanted.name} in {wanted.suffix}.", field="out")
        if path.exists() and path.samefile(file):
            raise InvalidRequest("out is the clip itself; name another file.", field="out")
        exporting.export(file, wanted.name, path)
        told = {"path": str(path), "format": wanted.name, "size_bytes": path.stat().st_size}
        answer(told, as_json, lambda: typer.echo(f"{path} ({told['size_bytes']:,} bytes)"))
