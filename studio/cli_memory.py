"""``generate --forecast``: what a clip would take of the memory, without making it."""

from __future__ import annotations

from typing import Any

import typer

from pipelines.contract import parse_generation
from studio.cli_generate import noise_levels
from studio.terminal import answer, settings_with, table

_NOT_COUNTED = ("first_frame", "last_frame", "reference", "lora", "lora_stack")
"""Files, which take next to nothing beside the model."""


def say_forecast(prompt: str, given: dict[str, Any], as_json: bool) -> None:
    """Print the forecast of the request that the options of ``generate`` describe."""
    from studio.reach import reached

    body = {"prompt": prompt, **{name: value for name, value in given.items() if name not in _NOT_COUNTED}}
    body |= noise_levels(body)
    parse_generation(body)
    with reached(settings_with()) as studio:
        forecast = studio.forecast(body)
    answer(forecast, as_json, lambda: _show(forecast))


def _show(forecast: dict[str, Any]) -> None:
    rows = [[each["stage"], f"{each['peak_bytes'] / 1e9:.2f} GB"] for each in forecast["stages"]]
    table(["stage", "peak"], rows, "")
    change = forecast["change"]
    told = forecast["sentence"]
    if forecast["fits"] is False:
        told += f" That is too little; {_remedy(change)}" if change else " That is too little, however small the clip."
    typer.echo(told)


def _remedy(change: dict[str, Any]) -> str:
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in change["settings"].items())
    return f"{change['words']} it fits: {options}"
