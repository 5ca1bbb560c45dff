"""What a clip may be given of itself while it is imagined: keyframes, all but a range of time, all but a region, one stream.

A model that has only ever seen whole noise or a clean first frame paints over its surroundings when part of a clip is to be made
anew. So a share of the training samples keep something, drawn here as people use it (LTX-2's own conditioning: kept tokens are
clean and stand at time 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pipelines.training.recipes import Recipe

KEEPING_SHARE = 0.35
"""How many batches are given part of what they are to make."""


@dataclass(frozen=True)
class Keep:
    """1 where a token is given clean, 0 where it is to be made: ``video_BN`` and ``audio_BL``."""

    video_BN: torch.Tensor
    audio_BL: torch.Tensor

    def repeat(self, times: int) -> Keep:
        """The same, ``times`` over along the batch."""
        return Keep(self.video_BN.repeat(times, 1), self.audio_BL.repeat(times, 1))

    def to(self, device: torch.device) -> Keep:
        """The same on ``device``."""
        return Keep(self.video_BN.to(device), self.audio_BL.to(device))


def grid(recipe: Recipe) -> tuple[int, int, int]:
    """Latent frames, rows and columns of a clip."""
    side = recipe.size // 32
    return (recipe.num_frames - 1) // 4 + 1, side, side


@dataclass
class _Sample:
    """One sample's masks as they are drawn: ``video`` ``[F, H, W]`` and ``audio`` ``[L]``."""

    rng: np.random.Generator
    video: np.ndarray
    audio: np.ndarray

    def first_frame(self) -> None:
        self.video[0] = 1

    def both_ends(self) -> None:
        self.video[[0, -1]] = 1

    def keyframes(self) -> None:
        count = int(self.rng.integers(1, 4))
        self.video[self.rng.choice(len(self.video), count, replace=False)] = 1

    def retake(self) -> None:
        """A range of time is made anew; in the stream that is not meant nothing is."""
        frames = len(self.video)
        length = int(self.rng.integers(1, frames))
        start = int(self.rng.integers(0, frames - length + 1))
        which = self.rng.random()
        self.video[:], self.audio[:] = 1, 1
        if which < 0.8:
            self.video[start : start + length] = 0
        if which > 0.3:
            self.audio[self._heard(start) : self._heard(start + length)] = 0

    def extend(self) -> None:
        """One end of the clip is there, the rest follows or goes before."""
        at = int(self.rng.integers(1, len(self.video)))
        self.video[:at], self.audio[: self._heard(at)] = 1, 1
        if self.rng.random() < 0.5:
            self.video, self.audio = self.video[::-1].copy(), self.audio[::-1].copy()

    def dub(self) -> None:
        self.video[:] = 1

    def visualise(self) -> None:
        self.audio[:] = 1

    def region(self) -> None:
        """A rectangle is made anew through the whole clip; its sound is kept or not."""
        _, rows, columns = self.video.shape
        top, left = int(self.rng.integers(0, rows)), int(self.rng.integers(0, columns))
        bottom, right = int(self.rng.integers(top + 1, rows + 1)), int(self.rng.integers(left + 1, columns + 1))
        self.video[:] = 1
        self.video[:, top:bottom, left:right] = 0
        self.audio[:] = self.rng.random() < 0.5

    def _heard(self, frame: int) -> int:
        return round(frame / len(self.video) * len(self.audio))


_KINDS: tuple[tuple[float, Callable[[_Sample], None]], ...] = (
    (0.30, _Sample.first_frame),
    (0.08, _Sample.both_ends),
    (0.12, _Sample.keyframes),
    (0.22, _Sample.retake),
    (0.10, _Sample.extend),
    (0.08, _Sample.dub),
    (0.05, _Sample.visualise),
    (0.05, _Sample.region),
)


def draw_keep(cells: tuple[int, int, int], audio_frames: int, rng: np.random.Generator, batch: int) -> Keep:
    """Masks of a batch of clips of ``cells`` (``grid``) and ``audio_frames``, each sample's of a kind of its own."""
    shares = np.array([share for share, _ in _KINDS])
    samples = []
    for kind in rng.choice(len(_KINDS), batch, p=shares / shares.sum()):
        sample = _Sample(rng, np.zeros(cells, np.float32), np.zeros(audio_frames, np.float32))
        _KINDS[kind][1](sample)
        samples.append(sample)
    video = torch.from_numpy(np.stack([sample.video.ravel() for sample in samples]))
    audio = torch.from_numpy(np.stack([sample.audio for sample in samples]))
    return Keep(video, audio)
