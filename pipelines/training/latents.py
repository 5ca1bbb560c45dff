"""A dataset of latents: every clip is rendered and encoded once, captions are worded anew each time it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video

from pipelines.mel import log_mel
from pipelines.models.ltx2.latents import pack_audio, pack_video, unpack_audio
from pipelines.training.cores import spread
from pipelines.training.machine import has_bfloat16
from pipelines.training.recipes import Recipe
from pipelines.world import make_clip
from pipelines.world.scene import Scene, from_record, sample

SCALES_FILE = "scales.pt"
_AT_ONCE = 16


@torch.inference_mode()
def encode_clips(
    recipe: Recipe, vae: AutoencoderKLLTX2Video, audio_vae: AutoencoderKLLTX2Audio, *, count: int, seed: int
) -> Iterator[tuple[Scene, torch.Tensor, torch.Tensor]]:
    """Yield ``count`` scenes with their packed, not normalised latents: video ``[N, C]`` and audio ``[L, D]``."""
    rng = np.random.default_rng(seed)
    device = next(vae.parameters()).device
    render = partial(make_clip, num_frames=recipe.num_frames, frame_rate=recipe.frame_rate, size=recipe.size)
    for begun in range(0, count, _AT_ONCE):
        scenes = [sample(rng) for _ in range(min(_AT_ONCE, count - begun))]
        clips = spread(render, scenes)
        frames, sounds = (torch.from_numpy(np.stack(part)) for part in ([c.frames for c in clips], [c.waveform for c in clips]))
        pixels = frames.to(device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        mel = log_mel(sounds.to(device), recipe.sound, recipe.mel_frames)
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
            video, audio = vae.encode(pixels).latent_dist.mode(), audio_vae.encode(mel).latent_dist.mode()
        yield from zip(scenes, pack_video(video).cpu(), pack_audio(audio).cpu(), strict=True)


def save_latents(path: Path, rows: list[tuple[Scene, torch.Tensor, torch.Tensor]]) -> None:
    """Store rows of ``encode_clips`` in half precision."""
    scenes, video, audio = zip(*rows, strict=True)
    temporary = path.with_suffix(".part")  # another run may be reading what lies here
    torch.save(
        {"scenes": [asdict(scene) for scene in scenes], "video": torch.stack(video).half(), "audio": torch.stack(audio).half()},
        temporary,
    )
    temporary.replace(path)


def load_latents(paths: list[Path]) -> tuple[list[Scene], torch.Tensor, torch.Tensor]:
    """All stored rows: scenes, video ``[K, N, C]`` and audio ``[K, L, D]`` in float32. Raises ``FileNotFoundError``."""
    if not paths:
        raise FileNotFoundError("no latents yet: run the stage 'latents' first")
    parts = [torch.load(path, weights_only=True) for path in paths]
    scenes = [from_record(row) for part in parts for row in part["scenes"]]
    return scenes, torch.cat([part["video"] for part in parts]).float(), torch.cat([part["audio"] for part in parts]).float()


@dataclass(frozen=True)
class Scale:
    """How one stream's latents become what the transformer sees: ``(latents - mean) / std``, both ``[D]``."""

    mean: torch.Tensor
    std: torch.Tensor

    def normalize(self, latents_KND: torch.Tensor) -> torch.Tensor:
        """Latents as the transformer sees them."""
        return (latents_KND - self.mean) / self.std


@torch.inference_mode()
def scale_of(latents_KND: torch.Tensor, decode: Callable[[torch.Tensor], torch.Tensor], *, clips: int = 4) -> Scale:
    """A scale under which each feature's size says how much it matters in what ``decode`` makes of ``[K, N, D]``.

    With every feature at deviation 1 a small transformer would spend most of its loss on detail that nobody sees. The
    influence is measured: one deviation of one feature everywhere, and how far the decoded clips move. Its square root,
    between 0.4 and 2.5 about a mean square of 1, becomes the feature's deviation.
    """
    flat = latents_KND.flatten(0, 1)
    mean, std = flat.mean(0), flat.std(0).clamp(min=1e-3)
    some = latents_KND[:clips]
    plain = decode(some)
    influence = torch.empty_like(std)
    for feature in range(len(std)):
        moved = some.clone()
        moved[..., feature] += std[feature]
        influence[feature] = (decode(moved) - plain).square().mean().sqrt()
    gain = (influence / influence.square().mean().sqrt()).sqrt().clamp(0.4, 2.5)
    return Scale(mean, std / (gain / gain.square().mean().sqrt()))


def save_scales(path: Path, video: Scale, audio: Scale) -> None:
    """Store both streams' scales: they are fixed once, a transformer depends on them."""
    torch.save({"video": (video.mean, video.std), "audio": (audio.mean, audio.std)}, path)


def load_scales(path: Path) -> tuple[Scale, Scale]:
    """The scales of picture and sound. Raises ``FileNotFoundError`` before the first latents."""
    stored = torch.load(path, weights_only=True)
    return Scale(*stored["video"]), Scale(*stored["audio"])


def measure_scales(recipe: Recipe, vae: AutoencoderKLLTX2Video, audio_vae: AutoencoderKLLTX2Audio, folder: Path) -> None:
    """Measure both streams' scales on the stored latents and store them beside."""
    _, video, audio = load_latents(sorted(folder.glob("latents-*.pt")))
    device, side = next(vae.parameters()).device, recipe.size // 32
    grid = ((recipe.num_frames - 1) // 4 + 1, side, side)

    def picture(rows: torch.Tensor) -> torch.Tensor:
        latents = rows.to(device).unflatten(1, grid).permute(0, 4, 1, 2, 3)
        return vae.decode(latents, None, return_dict=False)[0].cpu()

    def sound(rows: torch.Tensor) -> torch.Tensor:
        latents = unpack_audio(rows.to(device), recipe.sound.mel_bins // 4)
        return audio_vae.decode(latents, return_dict=False)[0].cpu()

    save_scales(folder / SCALES_FILE, scale_of(video, picture), scale_of(audio, sound, clips=16))
