"""The stages of pocket's training by name, each built with what it needs of the stages before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Video

from pipelines.registry import POCKET_FOLDER, pocket_in
from pipelines.training.audio_stages import AudioVAEStage, VocoderStage
from pipelines.training.card import EARLIER
from pipelines.training.reader_stages import (
    PictureReaderStage,
    SoundReaderStage,
    SubjectReaderStage,
    SyncReaderStage,
    reader_stage,
)
from pipelines.training.recipes import Recipe, build_audio_vae, build_upscaler, build_video_vae, build_vocoder
from pipelines.training.tokenizer import build_tokenizer
from pipelines.training.trainer import Stage, load_average
from pipelines.training.transformer import PLAIN_AT_FIRST, Denoiser, TrainingSet, TransformerStage
from pipelines.training.upscaler_stage import Codec, UpscalerStage
from pipelines.training.video_vae import VideoVAEStage, begin
from pipelines.world.captions import caption
from pipelines.world.scene import Scene, sample


@dataclass(frozen=True)
class Run:
    """Where and how a stage is trained: checkpoints and latents lie in ``folder``."""

    recipe: Recipe
    folder: Path
    device: torch.device
    seed: int = 0
    compiled: bool = False


def build_stage(name: str, run: Run) -> Stage:
    """The stage called ``name``. Raises ``FileNotFoundError`` when a stage that it needs has no checkpoint yet."""
    return STAGES[name](run)


def finished_vae(recipe: Recipe, folder: Path) -> AutoencoderKLLTX2Video:
    """The video VAE as far as it is trained."""
    vae = build_video_vae(recipe)
    load_average(vae, folder, VideoVAEStage.name)
    return vae


def _video_vae(run: Run) -> Stage:
    vae = build_video_vae(run.recipe)
    if not (run.folder / f"{VideoVAEStage.name}.pt").exists():
        begin(vae, run.recipe, run.seed)
    return VideoVAEStage(vae.to(run.device), run.recipe, run.seed)


def _transformer(run: Run) -> Stage:
    data = TrainingSet.stored(run.folder, run.device)
    plain = 0.0 if (run.folder / EARLIER).exists() else PLAIN_AT_FIRST
    model = _denoiser(run.recipe).to(run.device)
    return TransformerStage(model, run.recipe, data, seed=run.seed, compiled=run.compiled, plain=plain)


def _upscaler(run: Run) -> Stage:
    """Trained on what the released codec makes of a scene that it knows and, where there is one, the codec of this run of any."""
    model = build_upscaler(run.recipe).to(run.device)
    released = AutoencoderKLLTX2Video.from_pretrained(POCKET_FOLDER / "vae", torch_dtype=torch.float32)
    codecs = [Codec(released.to(run.device), _known_scene)]
    if (run.folder / f"{VideoVAEStage.name}.pt").exists():
        codecs.append(Codec(finished_vae(run.recipe, run.folder).to(run.device)))
    return UpscalerStage(model, run.recipe, run.seed, codecs)


def _known_scene(rng: np.random.Generator) -> Scene:
    """A scene of which the released model knows every word."""
    knows = pocket_in(POCKET_FOLDER).unknown_words
    while knows(caption(scene := sample(rng))):
        pass
    return scene


def _denoiser(recipe: Recipe) -> Denoiser:
    return Denoiser(recipe, len(build_tokenizer(recipe.prompt_tokens)))


def _reader(name: str) -> Callable[[Run], Stage]:
    return lambda run: reader_stage(name, run.recipe, run.folder, run.device, run.seed)


# In the order in which a release is trained.
STAGES: dict[str, Callable[[Run], Stage]] = {
    VideoVAEStage.name: _video_vae,
    AudioVAEStage.name: lambda run: AudioVAEStage(build_audio_vae(run.recipe).to(run.device), run.recipe, run.seed),
    VocoderStage.name: lambda run: VocoderStage(build_vocoder(run.recipe).to(run.device), run.recipe, run.seed),
    TransformerStage.name: _transformer,
    UpscalerStage.name: _upscaler,
    PictureReaderStage.name: _reader(PictureReaderStage.name),
    SubjectReaderStage.name: _reader(SubjectReaderStage.name),
    SoundReaderStage.name: _reader(SoundReaderStage.name),
    SyncReaderStage.name: _reader(SyncReaderStage.name),
}
