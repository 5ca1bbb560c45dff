"""``cost``: seconds and money for a clip, from the clips that were made here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.terminal import answer, failures, settings_with, table


def cost(
    an_hour: Annotated[float, typer.Option("--price", min=0, help="What an hour of the machine costs, in any currency.")],
    utilisation: Annotated[float, typer.Option(min=0.001, max=1, help="The share of the time in which it makes clips.")] = 1.0,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many of the newest clips to count.")] = 200,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Folder of the library (STUDIO_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """What a clip costs in seconds and money, measured on the newest clips of the library."""
    with failures(as_json):
        from dataclasses import asdict

        from studio.costs import Price, costs
        from studio.reach import reached

        with reached(settings_with(data_dir=data_dir)) as studio:
            found = costs(studio.clips("", limit)["clips"], Price(an_hour, utilisation))
        rows = [
            (
                each.model, each.shape, f"{each.steps} steps, {each.effort}", str(each.clips), f"{each.seconds:.2f}",
                f"{each.price:.3g}", f"{each.price_a_second:.3g}",
            )
            for each in found
        ]  # fmt: skip
        head = ("model", "clip", "made in", "measured", "seconds", "a clip", "a second of clip")
        answer(
            {"price_an_hour": an_hour, "utilisation": utilisation, "costs": [asdict(each) for each in found]},
            as_json,
            lambda: table(head, rows, "no clips yet: make one, and it will say what that took"),
        )
