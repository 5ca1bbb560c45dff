"""What the clip looks like so far: a quick decode of an unfinished prediction."""

from __future__ import annotations

import io

import torch
from PIL import Image

from pipelines.contract import Preview
from pipelines.models.ltx2.decode import decode_frames
from pipelines.models.ltx2.latents import Canvas, unpack_video
from pipelines.models.ltx2.load import LTX2Model

_WHOLE_CLIP_CELLS = 512
_MAX_SIDE = 512


def render_preview(model: LTX2Model, clean_BND: torch.Tensor, canvas: Canvas) -> Preview:
    """A WebP of the predicted clean clip: moving where the canvas is small, else its middle moment.

    Source of the idea: the clean-sample prediction of a flow model is a full, if blurred, picture at every step.
    """
    latents = unpack_video(clean_BND, canvas)
    if canvas.frames * canvas.height * canvas.width > _WHOLE_CLIP_CELLS:
        middle = canvas.frames // 2
        latents = latents[:, :, middle : middle + 1]
    frames = (decode_frames(model, latents) * 255).round().to(torch.uint8).cpu().numpy()
    pictures = [Image.fromarray(frame) for frame in frames]
    for picture in pictures:
        picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    buffer = io.BytesIO()
    duration_ms = round(1000 / canvas.frame_rate)
    pictures[0].save(buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=duration_ms, loop=0, quality=70, method=0)
    return Preview(buffer.getvalue(), "image/webp")
