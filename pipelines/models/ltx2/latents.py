"""Shapes of LTX-2 latents: packed for the transformer, unpacked and denormalised for the decoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pipelines.models.ltx2.load import LTX2Model


@dataclass(frozen=True)
class Beside:
    """Latent cells of something that the transformer is shown beside a clip; each spans ``scale`` of the clip's cells a side."""

    frames: int
    height: int
    width: int
    scale: int = 1

    @property
    def cells(self) -> int:
        """All of them."""
        return self.frames * self.height * self.width

    def coords(self, rope: Any, device: torch.device, frame_rate: float) -> torch.Tensor:
        """``[1, 3, cells, 2]``: where each begins and ends in the clip's time, height and width."""
        coords: torch.Tensor = rope.prepare_video_coords(1, self.frames, self.height, self.width, device, fps=frame_rate)
        if self.scale != 1:
            coords[:, 1:] *= self.scale
        return coords


@dataclass(frozen=True)
class Canvas:
    """How many latent cells a clip has: ``frames x height x width`` of picture, ``audio_frames`` of sound.

    Tokens of what is shown ``beside`` it follow its own.
    """

    frames: int
    height: int
    width: int
    audio_frames: int
    frame_rate: float

    duration_s: float
    beside: tuple[Beside, ...] = ()

    @property
    def cells(self) -> int:
        """Of its own picture."""
        return self.frames * self.height * self.width

    @property
    def video_tokens(self) -> int:
        """Of the picture and of all that is shown beside it."""
        return self.cells + sum(each.cells for each in self.beside)

    def video_coords(self, rope: Any, device: torch.device) -> torch.Tensor:
        """``[1, 3, video_tokens, 2]``: where each token begins and ends in time, height and width; what is beside lies over it.

        Source of how it lies: ``LTX2InContextPipeline`` of diffusers 0.42.1.
        """
        own = Beside(self.frames, self.height, self.width)
        parts = [each.coords(rope, device, self.frame_rate) for each in (own, *self.beside)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    @classmethod
    def of(cls, model: LTX2Model, *, height: int, width: int, num_frames: int, frame_rate: float) -> Canvas:
        """The canvas of a clip given in pixels and frames."""
        spatial, temporal = model.vae.spatial_compression_ratio, model.vae.temporal_compression_ratio
        audio = model.audio_vae.config
        per_second = audio.sample_rate / audio.mel_hop_length / model.audio_vae.temporal_compression_ratio
        return cls(
            frames=(num_frames - 1) // temporal + 1,
            height=height // spatial,
            width=width // spatial,
            audio_frames=round(num_frames / frame_rate * per_second),
            frame_rate=frame_rate,
            duration_s=num_frames / frame_rate,
        )


def pack_video(latents_BCFHW: torch.Tensor) -> torch.Tensor:
    """``[B, C, F, H, W] -> [B, F*H*W, C]``."""
    return latents_BCFHW.flatten(2).transpose(1, 2)


def unpack_video(tokens_BND: torch.Tensor, canvas: Canvas) -> torch.Tensor:
    """``[B, F*H*W, C] -> [B, C, F, H, W]``."""
    return tokens_BND.transpose(1, 2).unflatten(2, (canvas.frames, canvas.height, canvas.width))


def pack_audio(latents_BCLM: torch.Tensor) -> torch.Tensor:
    """``[B, C, L, M] -> [B, L, C*M]``: one token a latent frame, all mel bins in it."""
    return latents_BCLM.transpose(1, 2).flatten(2)


def unpack_audio(tokens_BND: torch.Tensor, mel_bins: int) -> torch.Tensor:
    """``[B, L, C*M] -> [B, C, L, M]``."""
    return tokens_BND.unflatten(2, (-1, mel_bins)).transpose(1, 2)


def normalize_video(model: LTX2Model, latents_BCFHW: torch.Tensor) -> torch.Tensor:
    """VAE latents to the unit-variance space in which the transformer works."""
    mean, std = _video_statistics(model, latents_BCFHW)
    return (latents_BCFHW - mean) / std


def denormalize_video(model: LTX2Model, latents_BCFHW: torch.Tensor) -> torch.Tensor:
    """The inverse of ``normalize_video``, with the VAE's scaling factor."""
    mean, std = _video_statistics(model, latents_BCFHW)
    return latents_BCFHW * std / model.vae.config.scaling_factor + mean


def denormalize_audio(model: LTX2Model, tokens_BND: torch.Tensor) -> torch.Tensor:
    """Packed audio latents back to the audio VAE's own scale (its statistics are per packed feature)."""
    vae = model.audio_vae
    return tokens_BND * vae.latents_std.to(tokens_BND) + vae.latents_mean.to(tokens_BND)


def normalize_audio(model: LTX2Model, tokens_BND: torch.Tensor) -> torch.Tensor:
    """The inverse of ``denormalize_audio``."""
    vae = model.audio_vae
    return (tokens_BND - vae.latents_mean.to(tokens_BND)) / vae.latents_std.to(tokens_BND)


def _video_statistics(model: LTX2Model, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (1, -1, 1, 1, 1)
    return model.vae.latents_mean.view(shape).to(like), model.vae.latents_std.view(shape).to(like)
