"""A dataset of latents: every clip is rendered and encoded once, captions are worded anew each time it is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video

from pipelines.models.ltx2.latents import pack_audio, pack_video
from pipelines.training.mel import log_mel
from pipelines.training.recipes import Recipe
from pipelines.world import make_clip
from pipelines.world.scene import Scene, from_record, sample


@torch.inference_mode()
def encode_clips(
    recipe: Recipe, vae: AutoencoderKLLTX2Video, audio_vae: AutoencoderKLLTX2Audio, *, count: int, seed: int
) -> Iterator[tuple[Scene, torch.Tensor, torch.Tensor]]:
    """Yield ``count`` scenes with their packed, not normalised latents: video ``[N, C]`` and audio ``[L, D]``."""
    rng = np.random.default_rng(seed)
    device = next(vae.parameters()).device
    for _ in range(count):
        scene = sample(rng)
        clip = make_clip(scene, num_frames=recipe.num_frames, frame_rate=recipe.frame_rate, size=recipe.size)
        pixels = torch.from_numpy(clip.frames).to(device).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        waveform = torch.from_numpy(clip.waveform).to(device)[None]
        mel = log_mel(waveform, recipe.sound, recipe.mel_frames)
        video, audio = vae.encode(pixels).latent_dist.mode(), audio_vae.encode(mel).latent_dist.mode()
        yield scene, pack_video(video)[0].cpu(), pack_audio(audio)[0].cpu()


def save_latents(path: Path, rows: list[tuple[Scene, torch.Tensor, torch.Tensor]]) -> None:
    """Store rows of ``encode_clips`` in half precision."""
    scenes, video, audio = zip(*rows, strict=True)
    torch.save(
        {"scenes": [asdict(scene) for scene in scenes], "video": torch.stack(video).half(), "audio": torch.stack(audio).half()},
        path,
    )


def load_latents(paths: list[Path]) -> tuple[list[Scene], torch.Tensor, torch.Tensor]:
    """All stored rows: scenes, video ``[K, N, C]`` and audio ``[K, L, D]`` in float32. Raises ``FileNotFoundError``."""
    if not paths:
        raise FileNotFoundError("no latents yet: run the stage 'latents' first")
    parts = [torch.load(path, weights_only=True) for path in paths]
    scenes = [from_record(row) for part in parts for row in part["scenes"]]
    return scenes, torch.cat([part["video"] for part in parts]).float(), torch.cat([part["audio"] for part in parts]).float()


def statistics(latents_KND: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each feature, ``[D]``."""
    flat = latents_KND.flatten(0, 1)
    return flat.mean(0), flat.std(0).clamp(min=1e-3)


def normalize(latents_KND: torch.Tensor) -> torch.Tensor:
    """Each feature at mean 0 and deviation 1, as the transformer sees them."""
    mean, std = statistics(latents_KND)
    return (latents_KND - mean) / std
