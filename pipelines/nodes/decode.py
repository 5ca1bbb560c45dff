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
        from pipelines.models.ltx2.latents import Canvas, denormalize_video, unpack_video
        from pipelines.optimize.gauge import gauge_of
        from pipelines.optimize.tiling import plan_if_needed

        yield Progress("decode picture", 0, 1)
        model = context.model(self.model)
        canvas = Canvas.of(model, height=self.height, width=self.width, num_frames=self.num_frames, frame_rate=self.frame_rate)
        tokens_BND = inputs["latents"].video_BND
        latents = unpack_video(tokens_BND, canvas).to(model.dtype)
        gauge = gauge_of(model.device)
        free = None if gauge is None else gauge.free()
        plan = plan_if_needed(model.vae.decoder, latents, context.thrift.step_bytes, free, context.ranks)
        if plan is not None:
            return (yield from _streamed(context, model, denormalize_video(model, latents).to(model.vae.dtype), plan))
        pixels = decode_video(model, tokens_BND, canvas)
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


def _streamed(context: Context, model: Any, latents_BCFHW: Any, plan: Any) -> Generator[Event, None, Any]:
    """Frames ``[F, H, W, 3]`` uint8, written as they are decoded: the picture is never held in floats as a whole."""
    import torch

    from pipelines.optimize.streaming import draw_noise
    from pipelines.optimize.tiling import Decoding, put

    vae = model.vae
    frames, height, width = latents_BCFHW.shape[2:]
    size = (
        (frames - 1) * vae.temporal_compression_ratio + 1,
        *(vae.spatial_compression_ratio * side for side in (height, width)),
    )
    picture = torch.empty(*size, 3, dtype=torch.uint8)
    timestep = torch.zeros(1, device=model.device, dtype=vae.dtype) if vae.config.timestep_conditioning else None
    noise = draw_noise(vae.decoder, height, width, latents_BCFHW)
    tiles, done = len(plan.tiles), 0
    for part in context.decoded(model, Decoding(latents_BCFHW, timestep, plan, noise)):
        put(part, picture.permute(3, 0, 1, 2)[None], lambda pixels: (pixels.float() / 2 + 0.5).clamp(0, 1) * 255)
        done += part.pixels.shape[2]
        yield Progress("decode picture", done, tiles * size[0])
    return picture.numpy()
