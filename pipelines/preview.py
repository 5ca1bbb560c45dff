"""What the clip looks like so far: a quick decode of an unfinished prediction."""

from __future__ import annotations

import io

import torch
from PIL import Image

from pipelines.contract import Preview
from pipelines.models.ltx2.decode import decode_frames
from pipelines.models.ltx2.latents import Canvas, unpack_video
from pipelines.models.ltx2.load import LTX2Model

_MAX_SIDE = 512


def render_preview(model: LTX2Model, clean_BND: torch.Tensor, canvas: Canvas) -> Preview:
    """A WebP of the middle moment of the predicted clean clip: one latent frame, so that looking costs little.

    Source of the idea: the clean-sample prediction of a flow model is a full, if blurred, picture at every step.
    """
    middle = canvas.frames // 2
    latents = unpack_video(clean_BND, canvas)[:, :, middle : middle + 1]
    frame = (decode_frames(model, latents)[0] * 255).round().to(torch.uint8).cpu().numpy()
    picture = Image.fromarray(frame)
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=0)
    return Preview(buffer.getvalue(), "image/webp")
