"""``python -m pipelines.training pocket --stage ... --minutes ...``: train one stage, or release what is trained.

In order: ``video_vae`` (a moment is enough: its encoder never changes) and ``audio_vae``, ``latents``, ``transformer``. Beside
them: ``vocoder`` at any time, more of ``video_vae``, and then ``upscaler``; and the readers that measure it all,
``picture_reader`` before ``sync_reader``, and ``sound_reader``. ``readers_release`` and ``release`` measure and write what is
trained; ``preview`` writes it as pocket-world, beside what is released. In a fresh clone ``adopt`` makes checkpoints of the
preview, or of the released weights where there is none; any stage then goes on from them with ``--resume``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import torch
import typer

from pipelines.contract import InvalidRequest
from pipelines.metrics.readers import READERS_FOLDER
from pipelines.registry import POCKET_FOLDER, POCKET_UPSCALER_FOLDER, POCKET_WORLD_FOLDER
from pipelines.training import lora_command
from pipelines.training.latents import SCALES_FILE, encode_clips, measure_scales, save_latents
from pipelines.training.linear_start import quick_encoder
from pipelines.training.machine import keep_memory
from pipelines.training.reader_release import adopt_readers, release_readers
from pipelines.training.recipes import build_audio_vae, build_video_vae, pocket
from pipelines.training.release import adopt_all, release_all
from pipelines.training.stages import STAGES, Run, build_stage
from pipelines.training.trainer import Budget, load_average, train
from pipelines.training.upscaler_stage import release_upscaler

RUNS = Path("runs/pocket")
_WORTH_COMPILING = 5.0  # minutes; without a C++ compiler on the machine the blocks run as they are
_DEEDS = ("latents", "adopt", "preview", "release", "readers_release", "upscaler_release")

app = typer.Typer(
    add_completion=False, help="Train the project's own models on the procedural world.", pretty_exceptions_enable=False
)


app.command("lora")(lora_command.command())


@app.command("pocket")
def train_pocket(
    stage: Annotated[str, typer.Option(help=f"Which stage to run: {', '.join((*STAGES, *_DEEDS))}.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="Time budget of the stage over all its runs.")] = 30.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of weights and data; each run of 'latents' adds clips of its own seed.")] = 0,
    clips: Annotated[int, typer.Option(min=1, help="How many clips 'latents' encodes, or a release measures.")] = 200,
) -> None:
    """The embedded model; checkpoints and latents lie in runs/pocket."""
    if stage not in (*STAGES, *_DEEDS):
        raise typer.BadParameter(f"there is no stage {stage!r}; there are {', '.join((*STAGES, *_DEEDS))}.", param_hint="--stage")
    keep_memory()
    torch.manual_seed(seed)
    where = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    run = Run(pocket(), RUNS, where, seed, compiled=minutes >= _WORTH_COMPILING and shutil.which("c++") is not None)
    try:
        match stage:
            case "adopt":
                adopt_all(run.recipe, POCKET_FOLDER.parent, RUNS)
                if READERS_FOLDER.exists():
                    adopt_readers(READERS_FOLDER, RUNS)
            case "preview" | "release":
                target = POCKET_FOLDER if stage == "release" else POCKET_WORLD_FOLDER
                report = release_all(run.recipe, RUNS, target, clips, typer.echo)
                typer.echo("all floors hold" if report.passed else "not all floors hold")
            case "readers_release":
                for name, value in release_readers(run.recipe, RUNS, READERS_FOLDER).items():
                    typer.echo(f"{name}  {value:.4f}")
            case "upscaler_release":
                release_upscaler(run.recipe, RUNS, POCKET_UPSCALER_FOLDER)
            case "latents":
                _encode(run, clips)
            case name:
                for line in train(
                    build_stage(name, run), RUNS, Budget(minutes=minutes), resume=resume, use_muon=name == "transformer"
                ):
                    losses = "  ".join(f"{name} {value:.4f}" for name, value in line.losses.items())
                    typer.echo(f"{line.stage}  {line.minutes:.1f} min  step {line.steps}  {losses}")
    except InvalidRequest as error:
        raise typer.BadParameter(error.message) from None
    except FileNotFoundError as error:
        missing = f"{error.filename} is missing; an earlier stage makes it." if error.filename else f"{error}."
        raise typer.BadParameter(f"{stage} cannot begin: {missing}", param_hint="--stage") from None


def _encode(run: Run, count: int) -> None:
    vae, audio_vae = build_video_vae(run.recipe), build_audio_vae(run.recipe)
    load_average(vae, run.folder, "video_vae")
    load_average(audio_vae, run.folder, "audio_vae")
    vae, audio_vae = vae.to(run.device).eval(), audio_vae.to(run.device).eval()
    rows = []
    quick = quick_encoder(vae)
    for index, row in enumerate(encode_clips(run.recipe, quick, audio_vae, count=count, seed=run.seed), start=1):
        rows.append(row)
        if index % 500 == 0:
            typer.echo(f"latents  {index} of {count}")
    save_latents(run.folder / f"latents-{run.seed}.pt", rows)
    if not (run.folder / SCALES_FILE).exists():
        measure_scales(run.recipe, vae, audio_vae, run.folder)


if __name__ == "__main__":
    app()
