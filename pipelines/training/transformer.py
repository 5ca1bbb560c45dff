"""The transformer's training: flow matching over picture and sound together, text encoder and connectors included."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import GemmaTokenizer

from pipelines.training.flow import Batch, Cells, mean_over, velocity
from pipelines.training.keeping import KEEPING_SHARE, draw_keep, grid
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
_AUDIO_WEIGHT = 0.5
PLAIN_AT_FIRST = 0.8
"""How many samples are drawn among the plain scenes as training begins; it falls evenly to none. Few things before many."""


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


def _is_plain(scene: Scene) -> bool:
    """One thing or character, filmed and drawn without a trick: what most prompts ask for."""
    return len(scene.subjects) == 1 and scene.camera == "still" and scene.look == "flat"


class TransformerStage:
    """Velocity prediction on normalised latents; a share of batches is given part of itself (``keeping``).

    ``plain`` is the share of plain scenes as training begins: none for weights that were trained before.
    """

    name = "transformer"

    def __init__(
        self,
        model: Denoiser,
        recipe: Recipe,
        data: TrainingSet,
        *,
        seed: int,
        compiled: bool = False,
        plain: float = PLAIN_AT_FIRST,
    ) -> None:
        self.model, self._recipe, self._data = model, recipe, data
        self._plain_at_first = plain
        self.optimization: Optimization = recipe.transformer
        self._tokenizer = build_tokenizer(recipe.prompt_tokens)
        self.rng = np.random.default_rng(seed)
        self._plain = np.array([row for row, scene in enumerate(data.scenes) if _is_plain(scene)])
        self._to_compile = compiled
        self._grid = grid(recipe)
        self._cells = Cells(*self._grid, recipe.frame_rate)

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
        rows = self._rows(share).to(device)
        video, audio = self._data.video_KND[rows], self._data.audio_KND[rows]
        # Logit-normal times, shifted a little towards noise as the sampler is (Esser et al. 2024, arXiv:2403.03206).
        sigma = torch.sigmoid(torch.randn(size, device=device) + 0.3)
        video_noise, audio_noise = torch.randn_like(video), torch.randn_like(audio)
        keep = None
        if self.rng.random() < KEEPING_SHARE:
            keep = draw_keep(self._grid, audio.shape[1], self.rng, size).to(device)
        noisy = Batch(video, audio, keep).moved(video_noise - video, audio_noise - audio, sigma[:, None, None])
        words = [self._words(int(row)) for row in rows]
        text = encode_texts(self.model, self._tokenizer, words, self._recipe.prompt_tokens)
        made, audio_made = velocity(self.model.transformer, self._cells, noisy, text, sigma)
        error = mean_over((made - (video_noise - video)).square(), keep.video_BN if keep else None)
        audio_error = mean_over((audio_made - (audio_noise - audio)).square(), keep.audio_BL if keep else None)
        return {"loss": error + _AUDIO_WEIGHT * audio_error, "video": error, "audio": audio_error}

    def _rows(self, share: float) -> torch.Tensor:
        size = self.optimization.batch_size
        rows = self.rng.integers(0, len(self._data.scenes), size)
        if len(self._plain):
            among = self._plain[self.rng.integers(0, len(self._plain), size)]
            rows = np.where(self.rng.random(size) < self._plain_at_first * (1 - share), among, rows)
        return torch.from_numpy(rows)

    def _words(self, row: int) -> str:
        return "" if self.rng.random() < _CAPTION_DROPOUT else caption(self._data.scenes[row], self.rng)
