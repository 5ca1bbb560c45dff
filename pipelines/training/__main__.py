"""``python -m pipelines.training pocket --stage ... --minutes ...``: train one stage, or release what is trained.

In order: ``video_vae``, ``latents``, ``transformer``, ``export``, ``distillation``, ``fast_export``. Beside them, in any order: ``audio_vae``
and ``vocoder``; ``audio_vae`` before ``latents``, ``video_decoder`` at any time after ``video_vae``, ``upscaler`` after both of
them and released by ``upscaler_export``; ``picture_reader`` (better once there is a video VAE), then ``sync_reader``, and
``sound_reader``, all three released and measured by ``readers_export``. In a fresh clone ``adopt`` makes checkpoints of the
released weights; any stage then goes on from them with ``--resume``.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer

from pipelines.metrics.readers import READERS_FOLDER
from pipelines.registry import POCKET_FAST_FOLDER, POCKET_FOLDER, POCKET_UPSCALER_FOLDER
from pipelines.training.audio_stages import AudioVAEStage, VocoderStage
from pipelines.training.distillation import DistillationStage, Student
from pipelines.training.latents import encode_clips, load_latents, normalize, save_latents
from pipelines.training.memory import keep_memory
from pipelines.training.reader_release import adopt_readers, release_readers
from pipelines.training.reader_stages import reader_stage
from pipelines.training.recipes import Recipe, build_audio_vae, build_upscaler, build_video_vae, build_vocoder, pocket
from pipelines.training.release import adopt, release, release_fast
from pipelines.training.tokenizer import build_tokenizer
from pipelines.training.trainer import Budget, Stage, load_average, train
from pipelines.training.transformer import Denoiser, TrainingSet, TransformerStage
from pipelines.training.upscaler_stage import UpscalerStage, adopt_upscaler, release_upscaler
from pipelines.training.video_vae import VideoDecoderStage, VideoVAEStage, begin


class StageName(StrEnum):
    """What can be run."""

    VIDEO_VAE = "video_vae"
    AUDIO_VAE = "audio_vae"
    VOCODER = "vocoder"
    VIDEO_DECODER = "video_decoder"
    UPSCALER = "upscaler"
    LATENTS = "latents"
    TRANSFORMER = "transformer"
    DISTILLATION = "distillation"
    EXPORT = "export"
    FAST_EXPORT = "fast_export"
    UPSCALER_EXPORT = "upscaler_export"
    PICTURE_READER = "picture_reader"
    SOUND_READER = "sound_reader"
    SYNC_READER = "sync_reader"
    READERS_EXPORT = "readers_export"
    ADOPT = "adopt"


RUNS = Path("runs/pocket")

app = typer.Typer(
    add_completion=False, help="Train the project's own models on the procedural world.", pretty_exceptions_enable=False
)


@app.callback()
def _models() -> None:
    """Keeps ``pocket`` a named command while it is the only recipe."""


@app.command("pocket")
def train_pocket(
    stage: Annotated[StageName, typer.Option(help="Which stage to run.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="Time budget of the stage over all its runs.")] = 30.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the transformer's blocks; needs a C++ compiler.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of weights and data; each run of 'latents' adds clips of its own seed.")] = 0,
) -> None:
    """The embedded model; checkpoints and latents lie in runs/pocket."""
    keep_memory()
    torch.manual_seed(seed)
    where = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    recipe = pocket()
    match stage:
        case StageName.EXPORT:
            release(recipe, RUNS, POCKET_FOLDER)
        case StageName.ADOPT:
            adopt(recipe, POCKET_FOLDER, RUNS)
            if (POCKET_UPSCALER_FOLDER / "config.json").exists():
                adopt_upscaler(recipe, POCKET_UPSCALER_FOLDER, RUNS)
            if READERS_FOLDER.exists():
                adopt_readers(READERS_FOLDER, RUNS)
        case StageName.FAST_EXPORT:
            release_fast(recipe, RUNS, POCKET_FAST_FOLDER)
        case StageName.UPSCALER_EXPORT:
            release_upscaler(recipe, RUNS, POCKET_UPSCALER_FOLDER)
        case StageName.READERS_EXPORT:
            for name, value in release_readers(recipe, RUNS, READERS_FOLDER).items():
                typer.echo(f"{name}  {value:.4f}")
        case StageName.LATENTS:
            _encode(recipe, RUNS, where, seed)
        case _:
            work = _stage(stage, recipe, RUNS, where, seed=seed, compiled=compiled)
            for line in train(work, RUNS, Budget(minutes=minutes), resume=resume, use_muon=stage is StageName.TRANSFORMER):
                losses = "  ".join(f"{name} {value:.4f}" for name, value in line.losses.items())
                typer.echo(f"{line.stage}  {line.minutes:.1f} min  step {line.steps}  {losses}")


def _stage(stage: StageName, recipe: Recipe, folder: Path, device: torch.device, *, seed: int, compiled: bool) -> Stage:
    match stage:
        case StageName.VIDEO_VAE:
            vae = build_video_vae(recipe)
            if not (folder / f"{stage}.pt").exists():
                begin(vae, recipe, seed)
            return VideoVAEStage(vae.to(device), recipe, seed)
        case StageName.VIDEO_DECODER:
            vae = build_video_vae(recipe)
            load_average(vae, folder, StageName.VIDEO_VAE)
            return VideoDecoderStage(vae.to(device), recipe, seed)
        case StageName.UPSCALER:
            vae = build_video_vae(recipe)
            finished = (folder / f"{StageName.VIDEO_DECODER}.pt").exists()
            load_average(vae, folder, StageName.VIDEO_DECODER if finished else StageName.VIDEO_VAE)
            return UpscalerStage(build_upscaler(recipe).to(device), recipe, seed, vae.to(device))
        case StageName.AUDIO_VAE:
            return AudioVAEStage(build_audio_vae(recipe).to(device), recipe, seed)
        case StageName.PICTURE_READER | StageName.SOUND_READER | StageName.SYNC_READER:
            return reader_stage(stage, recipe, folder, device, seed)
        case StageName.VOCODER:
            return VocoderStage(build_vocoder(recipe).to(device), recipe, seed)
        case _:
            scenes, video, audio = load_latents(sorted(folder.glob("latents*.pt")))
            data = TrainingSet(scenes, normalize(video).to(device), normalize(audio).to(device))
            denoiser = Denoiser(recipe, len(build_tokenizer(recipe.prompt_tokens)))
            if stage is StageName.TRANSFORMER:
                return TransformerStage(denoiser.to(device), recipe, data, seed=seed, compiled=compiled)
            load_average(denoiser, folder, StageName.TRANSFORMER)
            return DistillationStage(Student(denoiser, recipe.adapter_rank).to(device), recipe, data, seed=seed)


def _encode(recipe: Recipe, folder: Path, device: torch.device, seed: int) -> None:
    vae, audio_vae = build_video_vae(recipe), build_audio_vae(recipe)
    load_average(vae, folder, StageName.VIDEO_VAE)
    load_average(audio_vae, folder, StageName.AUDIO_VAE)
    rows = []
    encoded = encode_clips(recipe, vae.to(device).eval(), audio_vae.to(device).eval(), count=recipe.clips, seed=seed)
    for index, row in enumerate(encoded, start=1):
        rows.append(row)
        if index % 500 == 0:
            typer.echo(f"latents  {index} of {recipe.clips}")
    save_latents(folder / f"latents-{seed}.pt", rows)


if __name__ == "__main__":
    app()
