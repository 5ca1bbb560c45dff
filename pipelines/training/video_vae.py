"""The video VAE's training: single pictures, then short clips, then its decoder alone on whole ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers import AutoencoderKLLTX2Video
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import LTX2VideoCausalConv3d, LTX2VideoUpsampler3d

from pipelines.training.losses import kl, weighted_pixels
from pipelines.training.recipes import Optimization, Recipe
from pipelines.world.renderer import render_frame
from pipelines.world.scene import pose, sample

_MOVER_WEIGHT = 5.0
_SHORT_FRAMES = 9
_KL_WEIGHT = 1e-5


class VideoStillsStage:
    """Single pictures: the causal VAE takes one frame, and a hundred of them cost as much as three clips."""

    name = "video_stills"

    def __init__(self, model: AutoencoderKLLTX2Video, recipe: Recipe, seed: int) -> None:
        self.model, self._recipe = model, recipe
        self.optimization: Optimization = recipe.video_stills
        self.rng = np.random.default_rng(seed)

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Weighted error and KL of a batch of pictures."""
        with as_stills(self.model):
            return _reconstruction(self.model, draw(self._recipe, self.rng, 1, self.optimization.batch_size))


class VideoVAEStage:
    """Short clips, beginning from the inflated weights of the stills."""

    name = "video_vae"

    def __init__(self, model: AutoencoderKLLTX2Video, recipe: Recipe, seed: int) -> None:
        self.model, self._recipe = model, recipe
        self.optimization: Optimization = recipe.video_vae
        self.rng = np.random.default_rng(seed)
        inflate(model)

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Weighted error and KL of a batch of short clips."""
        return _reconstruction(self.model, draw(self._recipe, self.rng, _SHORT_FRAMES, self.optimization.batch_size))


def _reconstruction(model: AutoencoderKLLTX2Video, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
    device = next(model.parameters()).device
    pixels, masks = (part.to(device) for part in batch)
    posterior = model.encode(pixels).latent_dist
    made = model.decode(posterior.sample(), None, return_dict=False)[0]
    divergence = kl(posterior.mean, posterior.logvar)
    error = weighted_pixels(made, pixels, 1 + _MOVER_WEIGHT * masks)
    return {"loss": error + _KL_WEIGHT * divergence, "kl": divergence, "psnr_db": _psnr(made, pixels)}


@torch.no_grad()
def inflate(model: AutoencoderKLLTX2Video) -> None:
    """Make weights that were trained on stills treat every frame of a clip as they treat a still.

    All of a kernel's weight moves to its present frame (as in Carreira & Zisserman 2017, arXiv:1705.07750, but not spread
    over time, which would blur what moves), and both halves of a temporal upsampling start equal: on a still the first
    half is cut off, so it never learned.
    """
    for part, present in ((model.encoder, -1), (model.decoder, 1)):
        for module in part.modules():
            if isinstance(module, LTX2VideoCausalConv3d):
                weight = module.conv.weight
                whole = weight.sum(2)
                weight.zero_()
                weight[:, :, present] = whole
    for module in model.decoder.modules():
        if isinstance(module, LTX2VideoUpsampler3d) and module.stride[0] == 2:
            _equal_halves(module)


def _equal_halves(module: LTX2VideoUpsampler3d) -> None:
    """Let the first of two new frames be what the second is, its different residual channels taken into account."""
    weight = module.conv.conv.weight
    for parameter in (weight, module.conv.conv.bias):
        halves = parameter.unflatten(0, (-1, *module.stride))
        halves[:, 0] = halves[:, 1]
    _, high, wide = module.stride
    first = weight.unflatten(0, (-1, *module.stride)).unflatten(4, (-1, *module.stride))[..., 1, 1, 1]
    for row in range(high):
        for column in range(wide):
            for out in range(first.shape[0]):
                source = first[out, 0, row, column, out % first.shape[4], :, row, column]
                source += source.new_tensor([-1.0, 1.0])


class VideoDecoderStage:
    """The decoder on whole clips; the encoder stays as it is, so latents made meanwhile stay valid."""

    name = "video_decoder"

    def __init__(self, model: AutoencoderKLLTX2Video, recipe: Recipe, seed: int) -> None:
        self.model, self._recipe = model, recipe
        self.optimization: Optimization = recipe.video_decoder
        self.rng = np.random.default_rng(seed)
        model.encoder.requires_grad_(False)

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Weighted error of whole clips."""
        device = next(self.model.parameters()).device
        drawn = draw(self._recipe, self.rng, self._recipe.num_frames, self.optimization.batch_size)
        pixels, masks = (part.to(device) for part in drawn)
        with torch.no_grad():
            latents = self.model.encode(pixels).latent_dist.sample()
        made = self.model.decode(latents, None, return_dict=False)[0]
        return {"loss": weighted_pixels(made, pixels, 1 + _MOVER_WEIGHT * masks), "psnr_db": _psnr(made, pixels)}


@torch.no_grad()
def _psnr(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return -10 * torch.log10((made - wanted).square().mean() / 4)


def draw(recipe: Recipe, rng: np.random.Generator, num_frames: int, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of random stretches of random scenes: pixels ``[B, 3, F, S, S]`` in -1..1 and coverage ``[B, 1, F, S, S]``."""
    pixels, masks = [], []
    for _ in range(batch):
        scene, start = sample(rng), int(rng.integers(0, recipe.num_frames - num_frames + 1))
        times = ((start + index) / recipe.frame_rate for index in range(num_frames))
        drawn = [render_frame(scene, pose(scene, time_s, recipe.duration_s), recipe.size) for time_s in times]
        pixels.append(np.stack([picture for picture, _ in drawn]))
        masks.append(np.stack([mask for _, mask in drawn]))
    video = torch.from_numpy(np.stack(pixels)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    return video, torch.from_numpy(np.stack(masks)).unsqueeze(1).float()


def _still(conv: LTX2VideoCausalConv3d, states: torch.Tensor, causal: bool = True) -> torch.Tensor:
    flat = functional.conv2d(states[:, :, 0], conv.conv.weight.sum(2), conv.conv.bias, padding=conv.conv.padding[1:])
    return flat.unsqueeze(2).expand(-1, -1, states.shape[2], -1, -1)


@contextmanager
def as_stills(model: torch.nn.Module) -> Iterator[None]:
    """Within, time is constant: the weights run as 2D convolutions, equal to 3D ones on a repeated frame."""
    convolutions = [module for module in model.modules() if isinstance(module, LTX2VideoCausalConv3d)]
    for conv in convolutions:
        conv.forward = partial(_still, conv)
    try:
        yield
    finally:
        for conv in convolutions:
            del conv.forward
