"""The transformer's training: flow matching over picture and sound together, text encoder and connectors included."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import GemmaTokenizer

from pipelines.training.latents import SCALES_FILE, load_latents, load_scales
from pipelines.training.recipes import (
    Optimization,
    Recipe,
    build_connectors,
    build_text_encoder,
    build_transformer,
)
from pipelines.training.tokenizer import build_tokenizer
from pipelines.world.captions import caption
from pipelines.world.scene import Scene

_CAPTION_DROPOUT = 0.1
_FIRST_FRAME_SHARE = 0.15
_AUDIO_WEIGHT = 0.5


@dataclass(frozen=True)
class TrainingSet:
    """Scenes and their packed, normalised latents of picture and sound, row by row."""

    scenes: list[Scene]
    video_KND: torch.Tensor
    audio_KND: torch.Tensor

    @classmethod
    def stored(cls, folder: Path, device: torch.device) -> TrainingSet:
        """All latents in ``folder``, scaled. Raises ``FileNotFoundError`` when there are none."""
        scenes, video, audio = load_latents(sorted(folder.glob("latents-*.pt")))
        video_scale, audio_scale = load_scales(folder / SCALES_FILE)
        return cls(scenes, video_scale.normalize(video).to(device), audio_scale.normalize(audio).to(device))


class Denoiser(nn.Module):
    """Text encoder, connectors and transformer as one thing to train."""

    def __init__(self, recipe: Recipe, vocabulary: int) -> None:
        super().__init__()
        self.text_encoder = build_text_encoder(recipe, vocabulary)
        self.connectors = build_connectors(recipe)
        self.transformer = build_transformer(recipe)


@dataclass(frozen=True)
class Batch:
    """Noisy latents of both streams ``[B, N, C]`` and ``[B, L, D]``; ``keep`` ``[N]`` is 1 where the picture is given clean."""

    video: torch.Tensor
    audio: torch.Tensor
    keep: torch.Tensor | None = None

    @classmethod
    def noised(cls, video: torch.Tensor, audio: torch.Tensor, sigma: torch.Tensor, keep: torch.Tensor | None) -> Batch:
        """Clean latents moved towards fresh noise by ``sigma`` ``[B]``, but for what is kept."""
        return cls(video, audio, keep).moved(
            torch.randn_like(video) - video, torch.randn_like(audio) - audio, sigma[:, None, None]
        )

    def moved(self, video_velocity: torch.Tensor, audio_velocity: torch.Tensor, by: torch.Tensor) -> Batch:
        """One Euler step of ``by`` ``[B, 1, 1]``; what is kept stays."""
        step = video_velocity * by if self.keep is None else video_velocity * by * (1 - self.keep)[:, None]
        return Batch(self.video + step, self.audio + audio_velocity * by, self.keep)

    def doubled(self) -> Batch:
        """The same batch twice, for two texts."""
        return Batch(self.video.repeat(2, 1, 1), self.audio.repeat(2, 1, 1), self.keep)


def grid(recipe: Recipe) -> tuple[int, int, int]:
    """Latent frames, rows and columns of a clip."""
    side = recipe.size // 32
    return (recipe.num_frames - 1) // 4 + 1, side, side


def first_frame(recipe: Recipe, device: torch.device) -> torch.Tensor:
    """The ``keep`` of image-to-clip: ``[N]``, 1 for the tokens of the first latent frame."""
    frames, height, width = grid(recipe)
    keep = torch.zeros(frames * height * width, device=device)
    keep[: height * width] = 1.0
    return keep


def velocity(
    model: Denoiser, recipe: Recipe, noisy: Batch, text: tuple[torch.Tensor, ...], sigma: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The transformer's velocities of both streams at the noise levels ``sigma`` ``[B]``."""
    frames, height, width = grid(recipe)
    timestep = 1000 * sigma
    times = {"timestep": timestep}
    if noisy.keep is not None:
        times = {"timestep": timestep[:, None] * (1 - noisy.keep), "audio_timestep": timestep}
    made: tuple[torch.Tensor, torch.Tensor] = model.transformer(
        hidden_states=noisy.video,
        audio_hidden_states=noisy.audio,
        encoder_hidden_states=text[0],
        audio_encoder_hidden_states=text[1],
        encoder_attention_mask=text[2],
        audio_encoder_attention_mask=text[2],
        sigma=timestep,
        num_frames=frames,
        height=height,
        width=width,
        fps=recipe.frame_rate,
        audio_num_frames=noisy.audio.shape[1],
        use_cross_timestep=True,
        return_dict=False,
        **times,
    )
    return made


def encode_texts(model: Denoiser, tokenizer: GemmaTokenizer, texts: list[str], length: int) -> tuple[torch.Tensor, ...]:
    """As ``conditioning.encode_prompt``, with gradients: text for the picture, text for the sound, mask."""
    device = next(model.parameters()).device
    tokens = tokenizer(
        texts, padding="max_length", padding_side="left", max_length=length, truncation=True, return_tensors="pt"
    ).to(device)
    encoded = model.text_encoder(**tokens, output_hidden_states=True)
    states = torch.stack(encoded.hidden_states, dim=-1).flatten(2, 3)
    made: tuple[torch.Tensor, ...] = model.connectors(states, tokens.attention_mask, padding_side="left")
    return made


class TransformerStage:
    """Velocity prediction on normalised latents; a share of batches keeps the first latent frame clean (image to clip)."""

    name = "transformer"

    def __init__(self, model: Denoiser, recipe: Recipe, data: TrainingSet, *, seed: int, compiled: bool = False) -> None:
        self.model, self._recipe, self._data = model, recipe, data
        self.optimization: Optimization = recipe.transformer
        self._tokenizer = build_tokenizer(recipe.prompt_tokens)
        self.rng = np.random.default_rng(seed)
        self._to_compile = compiled

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Mean squared velocity error of both streams."""
        if self._to_compile:  # not earlier: the trainer copies the model first, and a compiled one cannot be copied
            for block in self.model.transformer.transformer_blocks:
                block.compile(dynamic=False)
            self._to_compile = False
        device, size = self._data.video_KND.device, self.optimization.batch_size
        rows = torch.from_numpy(self.rng.integers(0, len(self._data.scenes), size)).to(device)
        video, audio = self._data.video_KND[rows], self._data.audio_KND[rows]
        # Logit-normal times, shifted a little towards noise as the sampler is (Esser et al. 2024, arXiv:2403.03206).
        sigma = torch.sigmoid(torch.randn(size, device=device) + 0.3)
        video_noise, audio_noise = torch.randn_like(video), torch.randn_like(audio)
        keep = first_frame(self._recipe, device) if self.rng.random() < _FIRST_FRAME_SHARE else None
        noisy = Batch(video, audio, keep).moved(video_noise - video, audio_noise - audio, sigma[:, None, None])
        words = [self._words(int(row)) for row in rows]
        text = encode_texts(self.model, self._tokenizer, words, self._recipe.prompt_tokens)
        made, audio_made = velocity(self.model, self._recipe, noisy, text, sigma)
        error = _mean_over((made - (video_noise - video)).square(), keep)
        audio_error = (audio_made - (audio_noise - audio)).square().mean()
        return {"loss": error + _AUDIO_WEIGHT * audio_error, "video": error, "audio": audio_error}

    def _words(self, row: int) -> str:
        return "" if self.rng.random() < _CAPTION_DROPOUT else caption(self._data.scenes[row], self.rng)


def _mean_over(error_BNC: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
    """The mean error of what is not kept."""
    if keep is None:
        return error_BNC.mean()
    moving = (1 - keep)[:, None]
    return (error_BNC * moving).sum() / (moving.sum() * error_BNC.shape[0] * error_BNC.shape[2])
