"""The transformer's training: flow matching over picture and sound together, text encoder and connectors included."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import GemmaTokenizer

from pipelines.training.keeping import Keep, draw_keep, grid
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
KEEPING_SHARE = 0.35
"""How many batches are given part of what they are to make."""
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
    """Noisy latents of both streams ``[B, N, C]`` and ``[B, L, D]``; what ``keep`` names is given clean."""

    video: torch.Tensor
    audio: torch.Tensor
    keep: Keep | None = None

    @classmethod
    def noised(cls, video: torch.Tensor, audio: torch.Tensor, sigma: torch.Tensor, keep: Keep | None) -> Batch:
        """Clean latents moved towards fresh noise by ``sigma`` ``[B]``, but for what is kept."""
        return cls(video, audio, keep).moved(
            torch.randn_like(video) - video, torch.randn_like(audio) - audio, sigma[:, None, None]
        )

    def moved(self, video_velocity: torch.Tensor, audio_velocity: torch.Tensor, by: torch.Tensor) -> Batch:
        """One Euler step of ``by`` ``[B, 1, 1]``; what is kept stays."""
        steps = video_velocity * by, audio_velocity * by
        if self.keep is not None:
            steps = steps[0] * (1 - self.keep.video_BN)[..., None], steps[1] * (1 - self.keep.audio_BL)[..., None]
        return Batch(self.video + steps[0], self.audio + steps[1], self.keep)

    def doubled(self) -> Batch:
        """The same batch twice, for two texts."""
        return Batch(self.video.repeat(2, 1, 1), self.audio.repeat(2, 1, 1), self.keep.repeat(2) if self.keep else None)


def velocity(
    model: Denoiser, recipe: Recipe, noisy: Batch, text: tuple[torch.Tensor, ...], sigma: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The transformer's velocities of both streams at the noise levels ``sigma`` ``[B]``."""
    frames, height, width = grid(recipe)
    timestep = 1000 * sigma
    times = {"timestep": timestep}
    if noisy.keep is not None:
        free = 1 - noisy.keep.video_BN, 1 - noisy.keep.audio_BL
        times = {"timestep": timestep[:, None] * free[0], "audio_timestep": timestep[:, None] * free[1]}
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
    """Velocity prediction on normalised latents; a share of batches is given part of itself (``keeping``)."""

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
            if self._data.video_KND.device.type == "cpu":
                # The fused attention's backward pass takes a third of a step there; the compiler's own takes a tenth.
                self.model.transformer.set_attention_backend("_native_math")
            for block in self.model.transformer.transformer_blocks:
                block.compile(dynamic=False)
            self._to_compile = False
        device, size = self._data.video_KND.device, self.optimization.batch_size
        rows = torch.from_numpy(self.rng.integers(0, len(self._data.scenes), size)).to(device)
        video, audio = self._data.video_KND[rows], self._data.audio_KND[rows]
        # Logit-normal times, shifted a little towards noise as the sampler is (Esser et al. 2024, arXiv:2403.03206).
        sigma = torch.sigmoid(torch.randn(size, device=device) + 0.3)
        video_noise, audio_noise = torch.randn_like(video), torch.randn_like(audio)
        keep = draw_keep(self._recipe, self.rng, size, device) if self.rng.random() < KEEPING_SHARE else None
        noisy = Batch(video, audio, keep).moved(video_noise - video, audio_noise - audio, sigma[:, None, None])
        words = [self._words(int(row)) for row in rows]
        text = encode_texts(self.model, self._tokenizer, words, self._recipe.prompt_tokens)
        made, audio_made = velocity(self.model, self._recipe, noisy, text, sigma)
        error = mean_over((made - (video_noise - video)).square(), keep.video_BN if keep else None)
        audio_error = mean_over((audio_made - (audio_noise - audio)).square(), keep.audio_BL if keep else None)
        return {"loss": error + _AUDIO_WEIGHT * audio_error, "video": error, "audio": audio_error}

    def _words(self, row: int) -> str:
        return "" if self.rng.random() < _CAPTION_DROPOUT else caption(self._data.scenes[row], self.rng)


def mean_over(error_BNC: torch.Tensor, keep_BN: torch.Tensor | None) -> torch.Tensor:
    """The mean error of what is not kept."""
    if keep_BN is None:
        return error_BNC.mean()
    moving = (1 - keep_BN)[..., None]
    return (error_BNC * moving).sum() / (moving.sum() * error_BNC.shape[2]).clamp(min=1)
