"""The frame upscaler: a small convolution net that draws a clip four times as wide and high.

Sources: sub-pixel convolution (Shi et al. 2016, arXiv:1609.05158); residual blocks without normalisation (Lim et al. 2017,
EDSR, arXiv:1707.02921); most of the work at half resolution, reached by the inverse shuffle (Zhang et al. 2018, FFDNet,
arXiv:1710.04026), with the finer features joined again (Ronneberger et al. 2015, U-Net, arXiv:1505.04597); the neighbouring
frames as further inputs (Caballero et al. 2017, arXiv:1611.05250), here against flicker.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from pipelines.contract import ModelNotFound

SCALE = 4
_CHUNK_PIXELS = 5 * 128 * 128
"""Input pixels that are enlarged at once: five frames of the embedded model, about 100 MB of activations."""


class _Block(nn.Module):
    """Two 3x3 convolutions whose sum with the input goes on; shape ``[N, width, H, W]`` throughout."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """``[N, width, H, W]`` to the same shape."""
        changed: torch.Tensor = self.second(_bend(self.first(states)))
        return states + changed


class FrameUpscaler(ModelMixin, ConfigMixin):
    """Three neighbouring frames to the middle one at four times its size: a bicubic enlargement plus what the net adds.

    ``width`` is the number of features at half resolution, ``detail`` that at full resolution.
    """

    @register_to_config
    def __init__(self, width: int = 64, num_blocks: int = 4, detail: int = 32) -> None:
        super().__init__()
        self.shallow = nn.Conv2d(12, detail, 3, padding=1)
        self.down = nn.Conv2d(4 * detail, width, 1)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(num_blocks))
        self.up = nn.Conv2d(width, 4 * detail, 3, padding=1)
        self.last = nn.Conv2d(detail, 3 * SCALE**2, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)  # an untrained net enlarges as bicubic interpolation does

    def forward(self, windows_NCHW: torch.Tensor) -> torch.Tensor:
        """``[N, 9, H, W]`` of ``windows`` to ``[N, 3, 4H, 4W]``, RGB about 0..1, not clamped; any height and width."""
        height, width = windows_NCHW.shape[2:]
        even = functional.pad(windows_NCHW, (0, width % 2, 0, height % 2), mode="replicate")
        # Convolutions on a CPU are up to twice as fast where a pixel's features lie together.
        fine = _bend(self.shallow(_contrasts(even).contiguous(memory_format=torch.channels_last)))
        states = self.down(functional.pixel_unshuffle(fine, 2).contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            states = block(states)
        joined = _bend(fine + functional.pixel_shuffle(self.up(states), 2))
        added = functional.pixel_shuffle(self.last(joined.contiguous(memory_format=torch.channels_last)), SCALE)
        return bicubic(windows_NCHW[:, 3:6]) + added[..., : SCALE * height, : SCALE * width]


def _bend(states: torch.Tensor) -> torch.Tensor:
    """Leaky: with plain ReLU behind a last layer that begins at zero, every feature dies within twenty steps."""
    return functional.leaky_relu(states, 0.1)


def _contrasts(windows_NCHW: torch.Tensor) -> torch.Tensor:
    """What the net looks at, ``[N, 12, H, W]``: the change to either neighbour, the fine detail, and the colour about zero.

    Detail that sits on the bare colours is learned more than ten times as slowly: brightness drowns it.
    """
    before, frame, after = windows_NCHW.chunk(3, dim=1)
    smooth = functional.avg_pool2d(functional.pad(frame, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    return torch.cat([4 * (before - frame), 4 * (frame - smooth), 4 * (after - frame), frame - 0.5], dim=1)


def bicubic(frames_NCHW: torch.Tensor) -> torch.Tensor:
    """The plain enlargement ``[N, 3, 4H, 4W]`` that the net adds to."""
    return functional.interpolate(frames_NCHW, scale_factor=SCALE, mode="bicubic", align_corners=False)


def windows(clip_FCHW: torch.Tensor) -> torch.Tensor:
    """Each frame of ``[F, 3, H, W]`` between its neighbours: ``[F, 9, H, W]``; the ends are their own neighbours."""
    before, after = torch.cat([clip_FCHW[:1], clip_FCHW[:-1]]), torch.cat([clip_FCHW[1:], clip_FCHW[-1:]])
    return torch.cat([before, clip_FCHW, after], dim=1)


def load_upscaler(folder: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> FrameUpscaler:
    """The released net, frozen. Raises ``ModelNotFound`` where the folder does not hold one."""
    try:
        model = FrameUpscaler.from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"the upscaler in {folder} could not be loaded; install the model again.", field="model") from error
    loaded: FrameUpscaler = model.to(device).eval().requires_grad_(False)
    return loaded


def enlarge(model: FrameUpscaler, frames_FHWC: np.ndarray, factor: int, at_once: int = _CHUNK_PIXELS) -> Iterator[np.ndarray]:
    """Yield ``[f, factor*H, factor*W, 3]`` uint8 a few frames at a time, for ``[F, H, W, 3]`` uint8 and a factor of 2 or 4.

    ``at_once`` is about how many input pixels are enlarged together. Twofold is the average of each 2x2 pixels of fourfold.
    """
    count, height, width, _ = frames_FHWC.shape
    chunk = max(1, at_once // (height * width))
    for start in range(0, count, chunk):
        end = min(count, start + chunk)
        first = max(0, start - 1)
        yield _enlarged(model, frames_FHWC[first : end + 1], factor)[start - first : end - first]


@torch.inference_mode()
def _enlarged(model: FrameUpscaler, frames_FHWC: np.ndarray, factor: int) -> np.ndarray:
    clip = torch.from_numpy(frames_FHWC).to(model.device).permute(0, 3, 1, 2).to(model.dtype) / 255
    made = model(windows(clip))
    if factor < SCALE:
        made = functional.avg_pool2d(made, SCALE // factor)
    pixels: np.ndarray = (made.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return pixels
