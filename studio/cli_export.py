"""``export``: a clip file as another kind of file, without a server."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from studio.terminal import answer, failures


class _Captions(NamedTuple):
    name: str = "srt"
    suffix: str = ".srt"


_CAPTIONS = _Captions()


def export(
    file: Annotated[Path, typer.Argument(metavar="CLIP", help="The clip's MP4.")],
    format: Annotated[
        str,
        typer.Option(
            metavar="webm|gif|png|wav|webm-av1|mp4-hevc|srt", help="What to make; png is a ZIP of pictures, srt are captions."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The file to write; beside the clip if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Make WebM, GIF, PNG pictures, WAV, H.265 or captions of a clip."""
    with failures(as_json):
        from pipelines.contract import InvalidRequest
        from studio import exporting
        from studio.services.media import write_whole

        if format not in (*exporting.FORMATS, _CAPTIONS.name):
            known = ", ".join((*exporting.FORMATS, _CAPTIONS.name))
            raise InvalidRequest(f"format is {format[:40]!r}; use one of {known}.", field="format")
        wanted = _CAPTIONS if format == _CAPTIONS.name else exporting.format_named(format)
        if not file.is_file():
            raise InvalidRequest(f"clip {str(file)[:200]} does not exist; check the path.", field="clip")
        path = out or file.with_name(f"{file.stem}-{wanted.name}{wanted.suffix}")
        if path.suffix.lower() != wanted.suffix or path.is_dir():
            raise InvalidRequest(f"out is {str(path)[:200]}; end the name of a {wanted.name} in {wanted.suffix}.", field="out")
        if path.exists() and path.samefile(file):
            raise InvalidRequest("out is the clip itself; name another file.", field="out")
        if wanted is _CAPTIONS:
            write_whole(path, _captions(file).encode())
        else:
            exporting.export(file, wanted.name, path)
        told = {"path": str(path), "format": wanted.name, "size_bytes": path.stat().st_size}
        answer(told, as_json, lambda: typer.echo(f"{path} ({told['size_bytes']:,} bytes)"))


def _captions(file: Path) -> str:
    """A time-stamped prompt at its times, another over the whole clip, as SubRip. Raises ``InvalidRequest`` for other files."""
    from pipelines.clip_io import read_request
    from studio.timelines.captions import captions_of, srt

    request, _ = read_request(file)
    assert request.num_frames is not None and request.frame_rate is not None
    length = request.num_frames / Fraction(request.frame_rate).limit_denominator(1001)
    return srt(captions_of(request.prompt, Fraction(0), length))
