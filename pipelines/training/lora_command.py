"""``train lora``: a LoRA from a folder of clips and captions, or one of the shipped ones from its recipe."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

import typer
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from pipelines.contract import InvalidRequest, StudioError
from pipelines.registry import ModelCatalogue
from pipelines.training.lora_data import read_folder
from pipelines.training.lora_release import RUNS, publish, publish_student, recipes_named, task_of, train_recipe
from pipelines.training.lora_stage import LoraSettings, Streams
from pipelines.training.lora_training import LoraTask, base_of, source_of, told, train_lora
from pipelines.training.machine import keep_memory
from pipelines.training.trainer import Budget

_BAD_INPUT, _OTHERWISE = 2, 1


@dataclass(frozen=True)
class Options:
    """What ``train lora`` is told; each field is an option of the command line."""

    data: Annotated[Path | None, typer.Option(help="Folder of clips: metadata.jsonl, or clip.mp4 with clip.txt.")] = None
    out: Annotated[Path | None, typer.Option(help="The safetensors file to write.")] = None
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Time budget over all runs.")] = None
    steps: Annotated[int | None, typer.Option(min=1, help="Budget in steps; the first that is spent ends it.")] = None
    rank: Annotated[int, typer.Option(help="How much it can learn; its file grows with it.")] = 8
    trigger: Annotated[str, typer.Option(help="A word that calls it up; stands in front of every caption.")] = ""
    streams: Annotated[str, typer.Option(metavar="both|picture|sound", help="What it changes.")] = "both"
    base: Annotated[str, typer.Option(help="The installed model that it is for.")] = "pocket"
    model_folder: Annotated[Path | None, typer.Option(help="A diffusers folder of an LTX-2 model, named by --base.")] = None
    learning_rate: Annotated[float, typer.Option(min=1e-6, max=0.1, help="Peak step size.")] = 2e-3
    few_steps: Annotated[int | None, typer.Option(help="Learn to make such clips in so many steps without guidance.")] = None
    batch: Annotated[int, typer.Option(min=1, max=256, help="Clips a step.")] = 8
    seed: Annotated[int, typer.Option(help="Seed of weights and chance.")] = 0
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint, exactly.")] = False
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto"
    recipe: Annotated[str | None, typer.Option(help="Train a shipped LoRA, or all of them, from its recipe.")] = None
    release: Annotated[bool, typer.Option("--release", help="With --recipe: put it where the studio finds it.")] = False

    def task(self) -> LoraTask:
        """The training that they ask for. Raises ``InvalidRequest``."""
        if self.streams not in ("both", "picture", "sound"):
            raise InvalidRequest(f"streams is {self.streams[:40]!r}; use both, picture or sound.", field="streams")
        streams = cast(Streams, self.streams)
        settings = LoraSettings(
            self.rank, self.trigger.strip(), streams, self.seed, self.learning_rate, self.batch, self.few_steps
        )
        budget = Budget(self.minutes or math.inf, self.steps or math.inf, log_s=15, save_s=60)
        return LoraTask(self.out or RUNS / "lora.safetensors", self.base, settings, budget, self.resume, self.device)


def command() -> Callable[..., None]:
    """The command for typer, its signature made from ``Options``."""

    def lora(**given: Any) -> None:
        try:
            _train(Options(**given))
        except StudioError as error:
            typer.echo(error.message, err=True)
            raise typer.Exit(_BAD_INPUT if isinstance(error, InvalidRequest) else _OTHERWISE) from None

    hints = get_type_hints(Options, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(field.name, keyword, annotation=hints[field.name], default=field.default) for field in fields(Options)
    ]
    lora.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    lora.__annotations__ = hints
    lora.__doc__ = "Train a LoRA on a folder of clips and captions; checkpoint, log and latents lie in FILE.training beside it."
    return lora


def _train(options: Options) -> None:
    keep_memory()
    _be_quiet()
    task = options.task()
    if options.model_folder is not None and not options.model_folder.is_dir():
        raise InvalidRequest(f"model-folder {str(options.model_folder)[:200]} is no folder.", field="model_folder")
    catalogue = ModelCatalogue.with_folders({options.base: options.model_folder} if options.model_folder else {})
    if options.recipe is not None:
        _train_recipes(options, task, catalogue)
        return
    if options.data is None or options.out is None:
        raise InvalidRequest("data and out are needed: the folder of clips, and the file to write.", field="data")
    examples = read_folder(options.data)
    model = base_of(task, catalogue)
    for line in train_lora(task, model, source_of(task, model, examples, typer.echo)):
        told(line, typer.echo)
    typer.echo(f"{task.out}  {task.out.stat().st_size / 1e6:.2f} MB")


def _train_recipes(options: Options, task: LoraTask, catalogue: ModelCatalogue) -> None:
    assert options.recipe is not None
    for recipe in recipes_named(options.recipe):
        alone = options.out if options.recipe != "all" else None
        own = task_of(recipe, replace(task, out=alone or RUNS / f"{recipe.name}.safetensors"))
        for line in train_recipe(recipe, own, base_of(own, catalogue)):  # a fresh base each: an adapter stays on its model
            told(replace(line, stage=recipe.name), typer.echo)
        typer.echo(f"{own.out}  {own.out.stat().st_size / 1e6:.2f} MB")
        if options.release and recipe.few_steps is not None:
            publish_student(recipe, own.out)
        elif options.release:
            publish(recipe, own.out, catalogue)


def _be_quiet() -> None:
    """The libraries that load a model paint bars and warnings of their own, and autocast one about a norm it cannot fuse."""
    for logging in (diffusers_logging, transformers_logging):
        logging.disable_progress_bar()
        logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
