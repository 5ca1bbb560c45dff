"""The transformer's training: flow matching over picture and sound together, text encoder and connectors included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

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


class Denoiser(nn.Module):
    """Text encoder, connectors and transformer as one thing to train."""

    def __init__(self, recipe: Recipe, vocabulary: int) -> None:
        super().__init__()
        self.text_encoder = build_text_encoder(recipe, vocabulary)
        self.connectors = build_connectors(recipe)
        self.transformer = build_transformer(recipe)


class TransformerStage:
    """Velocity prediction on normalised latents; a share of batches keeps the first latent frame clean."""

    name = "transformer"

    def __init__(self, model: Denoiser, recipe: Recipe, data: TrainingSet, *, seed: int, compiled: bool = False) -> None:
        self.model, self._recipe, self._data = model, recipe, data
        self.optimization: Optimization = recipe.transformer
        self._tokenizer = build_tokenizer(recipe.prompt_tokens)
        self.rng = np.random.default_rng(seed)
        self._to_compile = compiled
        side = recipe.size // 32
        self._grid = ((recipe.num_frames - 1) // 4 + 1, side, side)

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Mean squared velocity error of both streams."""
        if self._to_compile:  # not earlier: the trainer copies the model first, and a compiled one cannot be copied
            for block in self.model.transformer.transformer_blocks:
                block.compile(dynamic=False)
            self._to_compile = False
        device, batch = self._data.video_KND.device, self.optimization.batch_size
        rows = torch.from_numpy(self.rng.integers(0, len(self._data.scenes), batch)).to(device)
        video, audio = self._data.video_KND[rows], self._data.audio_KND[rows]
        # Logit-normal times, shifted a little towards noise as the sampler is (Esser et al. 2024, arXiv:2403.03206).
        sigma = torch.sigmoid(torch.randn(batch, device=device) + 0.3)[:, None, None]
        video_noise, audio_noise = torch.randn_like(video), torch.randn_like(audio)
        noisy, audio_noisy = torch.lerp(video, video_noise, sigma), torch.lerp(audio, audio_noise, sigma)
        keep = torch.zeros(video.shape[1], device=device)
        if self.rng.random() < _FIRST_FRAME_SHARE:
            keep[: self._grid[1] * self._grid[2]] = 1.0
            noisy = torch.where(keep[:, None] > 0, video, noisy)
        made, audio_made = self._velocity(rows, noisy, audio_noisy, sigma.flatten(), keep)
        moving = (1 - keep)[:, None]
        error = ((made - (video_noise - video)).square() * moving).sum() / (moving.sum() * batch * video.shape[2])
        audio_error = (audio_made - (audio_noise - audio)).square().mean()
        return {"loss": error + _AUDIO_WEIGHT * audio_error, "video": error, "audio": audio_error}

    def _velocity(
        self, rows: torch.Tensor, video: torch.Tensor, audio: torch.Tensor, sigma: torch.Tensor, keep: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        text, audio_text, mask = self._encode([self._words(int(row)) for row in rows])
        frames, height, width = self._grid
        timestep = 1000 * sigma
        times = {"timestep": timestep}
        if keep.any():
            times = {"timestep": timestep[:, None] * (1 - keep), "audio_timestep": timestep}
        made: tuple[torch.Tensor, torch.Tensor] = self.model.transformer(
            hidden_states=video,
            audio_hidden_states=audio,
            encoder_hidden_states=text,
            audio_encoder_hidden_states=audio_text,
            encoder_attention_mask=mask,
            audio_encoder_attention_mask=mask,
            sigma=timestep,
            num_frames=frames,
            height=height,
            width=width,
            fps=self._recipe.frame_rate,
            audio_num_frames=audio.shape[1],
            use_cross_timestep=True,
            return_dict=False,
            **times,
        )
        return made

    def _words(self, row: int) -> str:
        return "" if self.rng.random() < _CAPTION_DROPOUT else caption(self._data.scenes[row], self.rng)

    def _encode(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As ``conditioning.encode_prompt``, with gradients."""
        tokens = self._tokenizer(
            texts,
            padding="max_length",
            padding_side="left",
            max_length=self._recipe.prompt_tokens,
            truncation=True,
            return_tensors="pt",
        ).to(self._data.video_KND.device)
        encoded = self.model.text_encoder(**tokens, output_hidden_states=True)
        states = torch.stack(encoded.hidden_states, dim=-1).flatten(2, 3)
        made: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = self.model.connectors(
            states, tokens.attention_mask, padding_side="left"
        )
        return made
