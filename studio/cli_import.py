"""``import``: somebody's video or sound file as a clip of the library, or as a clip file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.terminal import answer, failures, settings_with


def import_file(
    file: Annotated[Path, typer.Argument(help="Any video or sound file.")],
    prompt: Annotated[str | None, typer.Option(help="What it shows and sounds like; its name if left out.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The model whose sizes it is brought to; the default one if left out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the clip to this MP4 and leave the library alone.")] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Folder of the library (STUDIO_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Open a video or sound file that was made elsewhere: it becomes a clip of the library."""
    with failures(as_json):
        from pipelines.contract import InvalidRequest
        from studio.reach import reached

        if not file.is_file():
            raise InvalidRequest(f"file {str(file)[:200]} does not exist; give the path of a video or sound file.", field="file")
        settings = settings_with(data_dir=data_dir)
        if out is None:
            with reached(settings) as studio:
                told = studio.import_video(file, prompt, model)
            clip = told["clip"]
            made = f"{clip['id']}  ({clip['duration_s']:.1f} s, {clip['width']}x{clip['height']}, in the library)"
        else:
            from studio.cli_generate import writable
            from studio.services.uploads import Upload, convert

            if out.suffix.lower() != ".mp4" or out.is_dir():
                raise InvalidRequest(f"out is {str(out)[:200]}; clips are MP4 files: end it in .mp4.", field="out")
            if out.exists() and out.samefile(file):
                raise InvalidRequest("out is the file itself; name another.", field="out")
            catalogue = settings.catalogue
            imported = convert(Upload(file, file.name, prompt, model), writable(out.absolute()), catalogue, settings)
            told = {"path": str(out), "request": imported.request.model_dump(mode="json"), "notices": imported.notices}
            made = f"{out}  ({imported.request.duration_s:.1f} s, {imported.request.width}x{imported.request.height})"
        answer(told, as_json, lambda: typer.echo("\n".join([made, *told["notices"]])))
