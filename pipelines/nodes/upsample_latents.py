"""Latents of a first stage to what the second begins from."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, Progress
from pipelines.graph import Context, Node, Wire


class UpsampleLatents(Node):
    """The picture's latents twice as wide and high, the sound's as they are; the size is that of ``latents``."""

    model: str
    weights: str
    latents: Wire
    height: int
    width: int
    num_frames: int
    frame_rate: float

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Given`` of which nothing is kept."""
        import torch

        from pipelines.conditioning import Given, Kept
        from pipelines.models.ltx2.latent_upsampler import load_latent_upsampler, upsample
        from pipelines.models.ltx2.latents import Canvas

        yield Progress("upsample latents", 0, 1)
        model = context.model(self.model)
        canvas = Canvas.of(model, height=self.height, width=self.width, num_frames=self.num_frames, frame_rate=self.frame_rate)
        made = inputs["latents"]
        video = upsample(model, load_latent_upsampler(model), made.video_BND, canvas)
        yield Progress("upsample latents", 1, 1)
        nothing = [Kept(tokens, torch.zeros_like(tokens[..., 0])) for tokens in (video, made.audio_BND)]
        return Given(video=nothing[0], audio=nothing[1])
