"""Latents to pixels and samples."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, Progress
from pipelines.graph import Context, Node, Wire


class DecodeVideo(Node):
    """The picture of a clip."""

    model: str
    weights: str
    latents: Wire
    height: int
    width: int
    num_frames: int
    frame_rate: float

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns frames ``[F, H, W, 3]`` as a uint8 array."""
        import torch

        from pipelines.models.ltx2.decode import decode_video
        from pipelines.models.ltx2.latents import Canvas

        yield Progress("decode picture", 0, 1)
        model = context.model(self.model)
        canvas = Canvas.of(model, height=self.height, width=self.width, num_frames=self.num_frames, frame_rate=self.frame_rate)
        pixels = decode_video(model, inputs["latents"].video_BND, canvas)
        frames = (pixels * 255).round().to(torch.uint8).cpu().numpy()
        yield Progress("decode picture", 1, 1)
        return frames


class DecodeAudio(Node):
    """The sound of a clip."""

    model: str
    weights: str
    latents: Wire

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Sound``."""
        from pipelines.clip_io import Sound
        from pipelines.models.ltx2.decode import decode_audio

        yield Progress("decode sound", 0, 1)
        model = context.model(self.model)
        samples = decode_audio(model, inputs["latents"].audio_BND).cpu().numpy()
        yield Progress("decode sound", 1, 1)
        return Sound(samples, model.sample_rate)
