"""What the clip looks like so far: a quick decode of an unfinished prediction."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from pipelines.contract import Preview
from pipelines.models.ltx2.decode import decode_frames
from pipelines.models.ltx2.latents import Canvas, unpack_video
from pipelines.models.ltx2.load import LTX2Model

_MAX_SIDE = 512


def glimpse(model: LTX2Model, clean_BND: torch.Tensor, canvas: Canvas) -> tuple[np.ndarray, int]:
    """Frames ``[F, H, W, 3]`` uint8 of the middle of the predicted clean clip, and which frame of the clip the last one is.

    Two latent frames are decoded, so that looking costs little and there is motion to be seen; of them the frames of the
    second are given, which the decoder knows the past of.
    Source of the idea: the clean-sample prediction of a flow model is a full, if blurred, picture at every step.
    """
    middle = canvas.frames // 2
    first = max(0, middle - 1)
    latents = unpack_video(clean_BND, canvas)[:, :, first : middle + 1]
    frames = (decode_frames(model, latents) * 255).round().to(torch.uint8).cpu().numpy()
    return frames[min(1, len(frames) - 1) :], middle * model.vae.temporal_compression_ratio


def preview_of(frame_HWC: np.ndarray) -> Preview:
    """A WebP of one frame, uint8."""
    picture = Image.fromarray(frame_HWC)
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=0)
    return Preview(buffer.getvalue(), "image/webp")
