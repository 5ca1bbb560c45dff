"""Flow matching over picture and sound together: noisy batches, the transformer's velocities, errors of what is to be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from pipelines.training.keeping import Keep


class Cells(NamedTuple):
    """What the transformer has to know of a clip's shape: latent frames, rows, columns, and frames a second."""

    frames: int
    height: int
    width: int
    frame_rate: float


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
    transformer: Any,
    cells: Cells,
    noisy: Batch,
    text: tuple[torch.Tensor, ...],
    sigma: torch.Tensor,
    *,
    use_cross_timestep: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The transformer's velocities of both streams at the noise levels ``sigma`` ``[B]``.

    ``text`` is what the picture reads, what the sound reads, and their mask.
    """
    timestep = 1000 * sigma
    times = {"timestep": timestep}
    if noisy.keep is not None:
        free = 1 - noisy.keep.video_BN, 1 - noisy.keep.audio_BL
        times = {"timestep": timestep[:, None] * free[0], "audio_timestep": timestep[:, None] * free[1]}
    made: tuple[torch.Tensor, torch.Tensor] = transformer(
        hidden_states=noisy.video.to(transformer.dtype),
        audio_hidden_states=noisy.audio.to(transformer.dtype),
        encoder_hidden_states=text[0],
        audio_encoder_hidden_states=text[1],
        encoder_attention_mask=text[2],
        audio_encoder_attention_mask=text[2],
        sigma=timestep,
        num_frames=cells.frames,
        height=cells.height,
        width=cells.width,
        fps=cells.frame_rate,
        audio_num_frames=noisy.audio.shape[1],
        use_cross_timestep=use_cross_timestep,
        return_dict=False,
        **times,
    )
    return made


def mean_over(error_BNC: torch.Tensor, keep_BN: torch.Tensor | None) -> torch.Tensor:
    """The mean error of what is not kept."""
    if keep_BN is None:
        return error_BNC.mean()
    moving = (1 - keep_BN)[..., None]
    return (error_BNC * moving).sum() / (moving.sum() * error_BNC.shape[2]).clamp(min=1)
