"""From checkpoints to a released folder: diffusers layout, half precision, recommended settings, model card, hashes."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import LTX2Pipeline
from safetensors.torch import load_file
from torch import nn
from transformers import GemmaTokenizer

from pipelines.metrics.evaluation import Evaluation, Report, evaluate
from pipelines.registry import (
    POCKET_FAST_FOLDER,
    POCKET_FOLDER,
    POCKET_UPSCALER_FOLDER,
    POCKET_WORLD_FOLDER,
    ModelCatalogue,
    pocket_in,
)
from pipelines.training.card import EARLIER, RECORD, model_card, training_record
from pipelines.training.latents import SCALES_FILE, Scale, load_scales, save_scales
from pipelines.training.publish import CARD, publish, put
from pipelines.training.recipes import Recipe, build_audio_vae, build_scheduler, build_video_vae, build_vocoder
from pipelines.training.tokenizer import build_tokenizer
from pipelines.training.trainer import begin_with, load_average
from pipelines.training.transformer import Denoiser
from pipelines.training.upscaler_stage import adopt_upscaler, release_upscaler
from pipelines.vocabulary import FILE as VOCABULARY
from pipelines.world.words import words

EXAMPLES = (
    "a red ball bouncing on grass",
    "a balloon rising in the sky",
    "a monster talking in a room",
    "a yellow star dancing at night to drums",
    "a cat rolling on a stage",
    "a taxi drifting right in the city",
    "a rocket rising in space",
    "a pumpkin spinning in the forest",
    "a green cube falling at sunset",
    "an orange ball bouncing in the city, camera pans right",
)


def assemble(recipe: Recipe, folder: Path) -> LTX2Pipeline:
    """The pipeline of all finished stages in ``folder``. Raises ``FileNotFoundError`` naming the stage that is missing."""
    tokenizer = build_tokenizer(recipe.prompt_tokens)
    vae, audio_vae, vocoder = build_video_vae(recipe), build_audio_vae(recipe), build_vocoder(recipe)
    load_average(vae, folder, "video_vae")
    load_average(audio_vae, folder, "audio_vae")
    load_average(vocoder, folder, "vocoder")
    denoiser = Denoiser(recipe, len(tokenizer))
    load_average(denoiser, folder, "transformer")
    for part, scale in zip((vae, audio_vae), load_scales(folder / SCALES_FILE), strict=True):
        part.latents_mean.copy_(scale.mean)
        part.latents_std.copy_(scale.std)
    pipeline = LTX2Pipeline(
        scheduler=build_scheduler(),
        vae=vae,
        audio_vae=audio_vae,
        text_encoder=denoiser.text_encoder,
        tokenizer=tokenizer,
        connectors=denoiser.connectors,
        transformer=denoiser.transformer,
        vocoder=vocoder,
    )
    return pipeline.to(torch.float16)


def adopt(recipe: Recipe, source: Path, folder: Path) -> None:
    """The opposite of ``release``: checkpoints in ``folder`` that begin with the released weights in ``source``.

    A recipe that has grown since keeps of the transformer and its text what fits: of a tensor of another shape the part that
    both have, of the words those that both know. A codec of another shape begins anew, without a checkpoint, and so do the
    latents' scales. Raises ``FileNotFoundError`` when a component is missing.
    """
    tokenizer = build_tokenizer(recipe.prompt_tokens)
    denoiser = Denoiser(recipe, len(tokenizer))
    for name, module in denoiser.named_children():
        weights = released_weights(source, name)
        if name == "text_encoder":
            weights["embed_tokens.weight"] = _words_moved(weights["embed_tokens.weight"], source, tokenizer.get_vocab())
        _copy_overlap(module, weights)
    begin_with(denoiser, folder, "transformer")
    vae, audio_vae, vocoder = build_video_vae(recipe), build_audio_vae(recipe), build_vocoder(recipe)
    fitting = {}
    for stage, name, codec in (("video_vae", "vae", vae), ("audio_vae", "audio_vae", audio_vae), ("vocoder", "vocoder", vocoder)):
        weights = released_weights(source, name)
        fitting[stage] = {key: part.shape for key, part in codec.state_dict().items()} == {
            key: part.shape for key, part in weights.items()
        }
        if fitting[stage]:
            codec.load_state_dict(weights)
            begin_with(codec, folder, stage)
    if fitting["video_vae"] and fitting["audio_vae"]:
        video, audio = (Scale(part.get_buffer("latents_mean"), part.get_buffer("latents_std")) for part in (vae, audio_vae))
        save_scales(folder / SCALES_FILE, video, audio)


def released_weights(source: Path, part: str) -> dict[str, torch.Tensor]:
    """All tensors of one part of a released model. Raises ``FileNotFoundError`` when it is missing."""
    return load_file(next((source / part).glob("*.safetensors"), source / part / "model.safetensors"))


def _words_moved(rows: torch.Tensor, source: Path, vocabulary: dict[str, int]) -> torch.Tensor:
    """Embeddings in the order of ``vocabulary``; unknown words get the rows of ``<unk>``."""
    known = GemmaTokenizer.from_pretrained(source / "tokenizer").get_vocab()
    order = [known.get(token, known["<unk>"]) for token in sorted(vocabulary, key=lambda token: vocabulary[token])]
    return rows[order]


@torch.no_grad()
def _copy_overlap(module: nn.Module, released: dict[str, torch.Tensor]) -> None:
    for name, held in module.state_dict().items():
        part = released.get(name)
        if part is None or part.ndim != held.ndim:
            continue
        where = tuple(slice(0, min(ours, theirs)) for ours, theirs in zip(held.shape, part.shape, strict=True))
        held[where].copy_(part[where])


def advice(recipe: Recipe) -> dict[str, Any]:
    """Recommended settings, as ``registry.Defaults`` names them, and prompts to begin with."""
    return dict(
        height=recipe.size, width=recipe.size, num_frames=recipe.num_frames, frame_rate=recipe.frame_rate, num_inference_steps=24,
        guidance_scale=3.0, audio_guidance_scale=3.0, stg_scale=0.0, audio_stg_scale=0.0, modality_scale=1.0,
        audio_modality_scale=1.0, guidance_rescale=0.0, audio_guidance_rescale=0.0, examples=list(EXAMPLES),
    )  # fmt: skip


def release(recipe: Recipe, folder: Path, target: Path) -> dict[str, str]:
    """Write the model to ``target``, replacing what is there but its README.md; returns its manifest."""
    pipeline = assemble(recipe, folder)

    def fill(fresh: Path) -> None:
        pipeline.save_pretrained(fresh)
        (fresh / "studio.json").write_text(json.dumps(advice(recipe), indent=2) + "\n")
        (fresh / VOCABULARY).write_text(json.dumps(words(), indent=1) + "\n")

    return publish(target, fill)


def release_all(recipe: Recipe, runs: Path, target: Path, clips: int, tell: Callable[[str], None]) -> Report:
    """Measure pocket as it is trained in ``runs``, and only then write it to ``target``.

    Pocket itself takes its upscaler along, and the place of its preview and of the student of its former weights.
    The figures go into its card and beside it. Raises what ``evaluate`` raises; what was released stays as it was.
    """
    models = target.parent
    with tempfile.TemporaryDirectory(dir=models, prefix=".release-") as folder:
        fresh = Path(folder) / target.name
        release(recipe, runs, fresh)
        catalogue = ModelCatalogue([pocket_in(fresh)])
        report = evaluate(Evaluation("pocket", clips), Path(folder) / "clips", tell, catalogue)
        figures = {name: value for name, value in report.to_dict().items() if name != "records"}
        (fresh / "evaluation.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
        (fresh / RECORD).write_text(json.dumps(training_record(runs), indent=2) + "\n")
        (fresh / CARD).write_text(model_card(recipe, target.name, runs, report, parameters(fresh)))
        put(fresh, target)
    if target.name == POCKET_FOLDER.name:
        for former in (POCKET_FAST_FOLDER, POCKET_WORLD_FOLDER):
            shutil.rmtree(models / former.name, ignore_errors=True)
        if (runs / "upscaler.pt").exists():
            release_upscaler(recipe, runs, models / POCKET_UPSCALER_FOLDER.name)
    return report


def parameters(folder: Path) -> dict[str, int]:
    """How many weights each part of a released model has."""
    files = sorted(folder.rglob("*.safetensors"))
    return {file.parent.name: sum(tensor.numel() for tensor in load_file(file).values()) for file in files}


def adopt_all(recipe: Recipe, models: Path, runs: Path) -> None:
    """Checkpoints of what is furthest in training below ``models``, the preview or else pocket, and of the upscaler."""
    name = next(each.name for each in (POCKET_WORLD_FOLDER, POCKET_FOLDER) if (models / each.name).is_dir())
    adopt(recipe, models / name, runs)
    (runs / EARLIER).unlink(missing_ok=True)
    if (models / name / RECORD).exists():
        shutil.copy(models / name / RECORD, runs / EARLIER)
    if (models / POCKET_UPSCALER_FOLDER.name / "config.json").exists():
        adopt_upscaler(recipe, models / POCKET_UPSCALER_FOLDER.name, runs)
