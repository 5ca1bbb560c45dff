"""The frame upscaler's training: crops of rendered scenes as a decoder would give them, against the same frames drawn large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers import AutoencoderKLLTX2Video

from pipelines.models.upscaler import SCALE, FrameUpscaler, bicubic, windows
from pipelines.training.degrade import degrade
from pipelines.training.publish import publish
from pipelines.training.recipes import Optimization, Recipe, build_upscaler
from pipelines.training.trainer import begin_with, load_average
from pipelines.world.renderer import render_at
from pipelines.world.scene import Scene, sample

_CLIP_FRAMES = 9  # what the codec sees of a scene; the first and last frames of a clip look other than those between
_FRAMES = 3  # of these, neighbours that are trained on together
_CROP = 48
_SCENES = 2
_ON_SUBJECT = 0.7
_GRADIENT_WEIGHT = 0.5
_TEMPORAL_WEIGHT = 0.5


@dataclass(frozen=True)
class Codec:
    """A video VAE whose losses are to be mended; ``draw`` chooses scenes that it was trained on."""

    vae: AutoencoderKLLTX2Video
    draw: Callable[[np.random.Generator], Scene] = sample


class UpscalerStage:
    """Crops of short clips, half of them through one of ``codecs`` if any, the others with imitated losses.

    Besides the picture the loss compares edges, and what changes from frame to frame: what is still must stay still.
    """

    name = "upscaler"

    def __init__(
        self,
        model: FrameUpscaler,
        recipe: Recipe,
        seed: int,
        codecs: Sequence[Codec] = (),
    ) -> None:
        self.model, self._recipe = model, recipe
        self.optimization: Optimization = recipe.upscaler
        self.rng = np.random.default_rng(seed)
        for codec in codecs:
            codec.vae.eval().requires_grad_(False)
        self._codecs = codecs

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Absolute, edge and temporal error of a batch of crops; how many dB better than bicubic enlargement it is."""
        device = next(self.model.parameters()).device
        small, large = (part.to(device) for part in self._batch())
        made = self.model(small.flatten(0, 1)).float().unflatten(0, small.shape[:2])
        absolute = functional.l1_loss(made, large)
        edges = sum(functional.l1_loss(made.diff(dim=axis), large.diff(dim=axis)) for axis in (3, 4))
        temporal = functional.l1_loss(made.diff(dim=1), large.diff(dim=1))
        loss = absolute + _GRADIENT_WEIGHT * edges + _TEMPORAL_WEIGHT * temporal
        gain = psnr_db(made.detach(), large) - psnr_db(bicubic(small[:, :, 3:6].flatten(0, 1)), large.flatten(0, 1))
        return {"loss": loss, "l1": absolute, "temporal": temporal, "psnr_db": psnr_db(made.detach(), large), "gain_db": gain}

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows ``[B, 3, 9, C, C]`` and targets ``[B, 3, 3, 4C, 4C]``, 0..1, of crops of two scenes."""
        small, large = [], []
        for index in range(_SCENES):
            crops = max(1, self.optimization.batch_size // _SCENES)
            codec = None
            if index % 2 == 0 and self._codecs:
                codec = self._codecs[int(self.rng.integers(0, len(self._codecs)))]
            scene = codec.draw(self.rng) if codec else sample(self.rng)
            for window, target in self._crops(scene, crops, codec):
                small.append(window)
                large.append(target)
        return torch.stack(small), torch.stack(large)

    def _crops(self, scene: Scene, count: int, codec: Codec | None) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Crops of one stretch of ``scene``, most of them somewhere on its subject."""
        recipe = self._recipe
        begin = int(self.rng.integers(0, recipe.num_frames - _CLIP_FRAMES + 1))
        times_s = (begin + np.arange(_CLIP_FRAMES)) / recipe.frame_rate
        first = int(self.rng.integers(0, _CLIP_FRAMES - _FRAMES + 1))
        chosen = slice(first, first + _FRAMES)
        frames, covers = render_at(scene, times_s, recipe.duration_s, recipe.size)
        targets = as_clip(render_at(scene, times_s[chosen], recipe.duration_s, SCALE * recipe.size)[0])
        clean = as_clip(frames)
        seen = windows(degrade(clean, self.rng) if codec is None else decoded(codec.vae, clean))[chosen]
        side, found = min(_CROP, recipe.size), []
        for _ in range(count):
            top, left = self._corner(covers[first], side)
            small = seen[..., top : top + side, left : left + side]
            large = targets[..., SCALE * top : SCALE * (top + side), SCALE * left : SCALE * (left + side)]
            found.append((small, large))
        return found

    def _corner(self, cover: np.ndarray, side: int) -> tuple[int, int]:
        """Top and left of a crop; ``cover`` ``[S, S]`` says where the subject is."""
        last = cover.shape[0] - side
        rows, columns = np.nonzero(cover > 0.5)
        if len(rows) == 0 or self.rng.random() >= _ON_SUBJECT:
            return int(self.rng.integers(0, last + 1)), int(self.rng.integers(0, last + 1))
        at = int(self.rng.integers(0, len(rows)))
        shift = self.rng.integers(0, side, 2)
        return int(np.clip(rows[at] - shift[0], 0, last)), int(np.clip(columns[at] - shift[1], 0, last))


def as_clip(frames_FHWC: np.ndarray) -> torch.Tensor:
    """``[F, H, W, 3]`` uint8 to ``[F, 3, H, W]`` float, 0..1."""
    return torch.from_numpy(frames_FHWC).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def decoded(vae: AutoencoderKLLTX2Video, clip_FCHW: torch.Tensor) -> torch.Tensor:
    """``[F, 3, H, W]``, 0..1, after the codec; ``F`` is on its grid."""
    pixels = clip_FCHW.to(vae.device, vae.dtype).transpose(0, 1)[None] * 2 - 1
    latents = vae.encode(pixels).latent_dist.mode()
    made: torch.Tensor = vae.decode(latents, None, return_dict=False)[0]
    return (made[0].transpose(0, 1).float() / 2 + 0.5).clamp(0, 1).to(clip_FCHW.device)


@torch.no_grad()
def psnr_db(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio of equal shapes, 0..1, over everything."""
    return -10 * torch.log10((made.clamp(0, 1) - wanted).square().mean().clamp(min=1e-10))


def release_upscaler(recipe: Recipe, folder: Path, target: Path) -> dict[str, str]:
    """Write the trained net to ``target`` in half precision, replacing all but its README.md; returns its manifest."""
    model = build_upscaler(recipe)
    load_average(model, folder, UpscalerStage.name)
    return write_upscaler(model, target)


def write_upscaler(model: FrameUpscaler, target: Path) -> dict[str, str]:
    """``release_upscaler`` of a net that is at hand."""
    return publish(target, model.half().save_pretrained)


def adopt_upscaler(recipe: Recipe, source: Path, folder: Path) -> None:
    """A checkpoint in ``folder`` that begins with the weights released in ``source``."""
    model = build_upscaler(recipe)
    model.load_state_dict(FrameUpscaler.from_pretrained(source, torch_dtype=torch.float32).state_dict())
    begin_with(model, folder, UpscalerStage.name)
