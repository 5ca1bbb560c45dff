"""What a model is given of a laid-out clip: the window's latents, and masks that leave out what it is to imagine."""

from __future__ import annotations

import numpy as np
import torch

from pipelines.conditioning import Given, Kept
from pipelines.editing.layout import Layout, frames_of_latent, heard, latent_of_frame, seen
from pipelines.editing.plan import EditPlan
from pipelines.models.ltx2.encode import encode_frames, encode_sound
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model
from pipelines.optimize.latent_store import Kept as Latents


def give(model: LTX2Model, layout: Layout, plan: EditPlan, own: Latents | None = None) -> Given:
    """Encode the plan's window of ``layout``; a stream that it does not have is not given.

    Of what was kept of the source's ``own`` latents nothing is encoded again: the window has to begin with them.
    """
    window = plan.window
    assert window is not None
    rate = plan.shape.frame_rate
    canvas = Canvas.of(model, height=window.height, width=window.width, num_frames=window.num_frames, frame_rate=rate)
    video = audio = None
    if layout.frames is not None:
        group = model.vae.temporal_compression_ratio
        mask = torch.from_numpy(video_mask(layout, plan, canvas, group)).reshape(1, -1)
        clean = _first(own.video_BND if own else None, mask, model)
        video = Kept(encode_frames(model, seen(layout, window, group)) if clean is None else clean, mask.to(model.device))
    if layout.sound is not None:
        part = heard(layout.sound, window.start / rate, window.num_frames / rate)
        mask = torch.from_numpy(audio_mask(plan, canvas.audio_frames)).unsqueeze(0)
        clean = _first(own.audio_BND if own else None, mask, model)
        audio = Kept(encode_sound(model, part, canvas) if clean is None else clean, mask.to(model.device))
    return Given(video, audio)


def _first(tokens_BND: torch.Tensor | None, mask_BN: torch.Tensor, model: LTX2Model) -> torch.Tensor | None:
    """As many of a stream's tokens as the window has; ``None`` where there are fewer."""
    if tokens_BND is None or tokens_BND.shape[1] < mask_BN.shape[1]:
        return None
    return tokens_BND[:, : mask_BN.shape[1]].to(model.device)


def video_mask(layout: Layout, plan: EditPlan, canvas: Canvas, group: int) -> np.ndarray:
    """``[F, H, W]`` of the canvas, float32: 1 where the picture stays, 0 where it is imagined, at guides their strength."""
    window = plan.window
    assert window is not None
    free = np.zeros((canvas.frames, canvas.height, canvas.width), np.float32)
    for latent in range(canvas.frames):
        first, last = (window.start + frame for frame in frames_of_latent(latent, group))
        if last > plan.shape.num_frames:
            free[latent] = 1
        for frame in range(max(first, plan.video.start), min(last, plan.video.end)):
            free[latent] = np.maximum(free[latent], _cells(layout, frame, canvas))
    kept = 1 - free
    for frame, guide in layout.guides.items():
        if 0 <= frame - window.start < window.num_frames:
            kept[latent_of_frame(frame - window.start, group)] = guide.strength
    return kept


def _cells(layout: Layout, frame: int, canvas: Canvas) -> np.ndarray:
    """Which cells of a frame may change: all, or those that the region touches."""
    if layout.region is None:
        return np.ones((canvas.height, canvas.width), np.float32)
    mask = layout.region[frame] > 0.5
    rows = np.array_split(mask, canvas.height, axis=0)
    return np.array([[part.any() for part in np.array_split(row, canvas.width, axis=1)] for row in rows], np.float32)


def audio_mask(plan: EditPlan, audio_frames: int) -> np.ndarray:
    """``[L]`` float32: 1 where the sound stays, 0 where any of its latent is imagined or lies past the clip's end."""
    window = plan.window
    assert window is not None
    edges = window.start + np.arange(audio_frames + 1) / audio_frames * window.num_frames
    begins, ends = edges[:-1], edges[1:]
    imagined = (begins < plan.audio.end - 1e-6) & (ends > plan.audio.start + 1e-6)
    return (~imagined & (ends <= plan.shape.num_frames + 1e-6)).astype(np.float32)
