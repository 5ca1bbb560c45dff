"""The video VAE's training: its encoder is linear algebra and stays as it begins, its decoder learns on whole clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Video

from pipelines.training.ahead import Ahead
from pipelines.training.cores import spread
from pipelines.training.linear_start import begin_linear, quick_encoder
from pipelines.training.losses import weighted_pixels
from pipelines.training.recipes import Optimization, Recipe
from pipelines.world.renderer import render_at
from pipelines.world.scene import Scene, sample

_MOVER_WEIGHT = 5.0
_FIT_CLIPS = 150


class VideoVAEStage:
    """The decoder, beginning from a linear transform (``linear_start``); latents of its encoder stay valid."""

    name = "video_vae"

    def __init__(self, model: AutoencoderKLLTX2Video, recipe: Recipe, seed: int) -> None:
        self.model = model
        self.optimization: Optimization = recipe.video_vae
        self.rng = np.random.default_rng(seed)
        self._batches = Ahead(self.rng, lambda rng: draw(recipe, rng, recipe.num_frames, recipe.video_vae.batch_size))
        model.encoder.requires_grad_(False)
        self._encoder: AutoencoderKLLTX2Video | None = None

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Weighted error of whole clips."""
        if self._encoder is None:  # not earlier: a resumed run loads its weights first
            self._encoder = quick_encoder(self.model)
        device = next(self.model.parameters()).device
        pixels, masks = (part.to(device) for part in self._batches.take())
        with torch.no_grad():
            latents = self._encoder.encode(pixels).latent_dist.sample()
        made = self.model.decode(latents, None, return_dict=False)[0]
        return {"loss": weighted_pixels(made, pixels, 1 + _MOVER_WEIGHT * masks), "psnr_db": _psnr(made, pixels)}


def begin(model: AutoencoderKLLTX2Video, recipe: Recipe, seed: int) -> None:
    """Give a new model its linear start, from fresh renders."""
    begin_linear(model, draw(recipe, np.random.default_rng(seed), recipe.num_frames, _FIT_CLIPS)[0])


@torch.no_grad()
def _psnr(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return -10 * torch.log10((made - wanted).square().mean() / 4)


@dataclass(frozen=True)
class _Stretch:
    """Consecutive frames of a scene that lasts ``duration_s``, from frame ``start`` on."""

    scene: Scene
    start: int
    num_frames: int
    frame_rate: float
    duration_s: float
    size: int


def _render(stretch: _Stretch) -> tuple[np.ndarray, np.ndarray]:
    times_s = (stretch.start + np.arange(stretch.num_frames)) / stretch.frame_rate
    return render_at(stretch.scene, times_s, stretch.duration_s, stretch.size)


def draw(recipe: Recipe, rng: np.random.Generator, num_frames: int, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of random stretches of random scenes: pixels ``[B, 3, F, S, S]`` in -1..1 and coverage ``[B, 1, F, S, S]``."""
    stretches = []
    for _ in range(batch):
        scene, start = sample(rng), int(rng.integers(0, recipe.num_frames - num_frames + 1))
        stretches.append(_Stretch(scene, start, num_frames, recipe.frame_rate, recipe.duration_s, recipe.size))
    pixels, masks = zip(*spread(_render, stretches), strict=True)
    video = torch.from_numpy(np.stack(pixels)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    return video, torch.from_numpy(np.stack(masks)).unsqueeze(1).float()
