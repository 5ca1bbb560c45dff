"""Small networks that say what is seen and heard in a finished clip: the rulers of the evaluation.

They see pixels and samples only. Each is trained on rendered clips alone, where the truth is known.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from pipelines.world.scene import SOUND_CLASSES, Scene
from pipelines.world.words import ACTIONS, CAMERAS, COLOURS, LOOKS, PLACES, SUBJECTS

READERS_FOLDER = Path(__file__).parents[2] / "assets" / "models" / "readers"
CLASSES: dict[str, tuple[str, ...]] = {
    "subject": tuple(SUBJECTS),
    "colour": tuple(COLOURS),
    "action": tuple(ACTIONS),
    "place": tuple(PLACES),
    "camera": tuple(CAMERAS),
    "look": tuple(LOOKS),
}
"""What the readers tell apart; the order of their logits."""
SIZE = 64
"""Height and width in pixels at which ``PictureReader`` looks."""
SUBJECT_SIZE = 96
"""Height and width in pixels at which ``SubjectReader`` looks: a fox and a dog differ in little."""
SUBJECT_FRAMES = 5
"""Frames of a clip that ``SubjectReader`` looks at, evenly spread."""
SYNC_WINDOW = 15
"""Frames that ``SyncReader`` compares at a time."""
FEATURES = 192
_STILL, _MOVING = ("colour", "place", "look"), ("action", "camera")  # what one frame shows, and what takes several
_LUMA = (0.299, 0.587, 0.114)
_LEAST_SLOPE = 0.06  # change of luma a pixel: flatter places tell nothing about motion


def shown(scene: Scene, name: str) -> tuple[str, ...]:
    """What ``scene`` shows of an attribute of ``CLASSES``: subjects and colours may be several; only shapes have a colour.

    Film noir has no colours, so they are nothing to be read there.
    """
    if name == "subject":
        return tuple(dict.fromkeys(subject.name for subject in scene.subjects))
    if name == "colour":
        colours = (subject.colour for subject in scene.subjects if subject.colour and scene.look != "noir")
        return tuple(dict.fromkeys(colours))
    return (str(getattr(scene, name)),)


class Seen(NamedTuple):
    """What is seen in ``B`` clips of ``F`` frames: logits by attribute ``[B, classes]``, and what happens in each frame.

    ``contact`` ``[B, F]`` are logits of something touching, ``mouth`` ``[B, F]`` openings 0..1, ``motion`` ``[B, F, D]``
    the features behind both.
    """

    attributes: dict[str, torch.Tensor]
    contact: torch.Tensor
    mouth: torch.Tensor
    motion: torch.Tensor


def _block(inputs: int, outputs: int, stride: int, kernel: int = 3) -> nn.Sequential:
    """Convolution, normalisation and ReLU; ``[N, inputs, H, W]`` to ``[N, outputs, H/stride, W/stride]``."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class _Temporal(nn.Module):
    """A residual convolution over five frames; ``[B, F, width]`` throughout."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, width, 5, padding=2)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """``[B, F, width]`` to the same shape."""
        mixed = self.convolution(functional.relu(self.norm(states)).transpose(1, 2)).transpose(1, 2)
        return states + mixed


class PictureReader(ModelMixin, ConfigMixin):
    """Frames of 64x64 pixels, each through the same convolutions; what moves is read across frames.

    ``what`` features say which things are there, wherever they are; ``where`` features keep their places.
    """

    @register_to_config
    def __init__(self, width: int = 32, features: int = FEATURES, temporal_layers: int = 2) -> None:
        super().__init__()
        wide = 4 * width
        self.fine = nn.Sequential(
            _block(6, width, 2, 5), _block(width, 2 * width, 2), _block(2 * width, 2 * width, 1), _block(2 * width, wide, 2),
            _block(wide, wide, 1),
        )  # fmt: skip
        self.coarse = nn.Sequential(_block(wide, features, 2), _block(features, features, 1))
        self.place = nn.Sequential(nn.Conv2d(wide, 16, 1), nn.Flatten(), nn.LayerNorm(1024), nn.Linear(1024, features))
        self.what = nn.Linear(2 * features + 2, features)
        self.join = nn.Linear(2 * features, features)
        self.temporal = nn.Sequential(*(_Temporal(features) for _ in range(temporal_layers)))
        self.heads = nn.ModuleDict(
            {name: nn.Linear((2 if name in _MOVING else 1) * features, len(CLASSES[name])) for name in (*_STILL, *_MOVING)}
        )
        self.contact, self.mouth = nn.Linear(features, 1), nn.Linear(features, 1)

    def look(self, frames_NCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``[N, 6, 64, 64]`` of ``with_change`` to what and where, ``[N, D]`` each."""
        fine = self.fine(frames_NCHW.contiguous(memory_format=torch.channels_last))
        coarse = self.coarse(fine)
        features = [coarse.mean((2, 3)), coarse.amax((2, 3)), block_contrast(frames_NCHW[:, :3])]
        what = functional.relu(self.what(torch.cat(features, dim=1)))
        return what, self.place(fine)

    def stills(self, what_ND: torch.Tensor) -> dict[str, torch.Tensor]:
        """The attributes that one frame shows, as logits ``[N, classes]``."""
        return {name: self.heads[name](what_ND) for name in _STILL}

    def clips(self, what_BFD: torch.Tensor, where_BFD: torch.Tensor) -> Seen:
        """Everything but the subject, from the features of each frame of whole clips."""
        motion = functional.relu(self.temporal(self.join(torch.cat([what_BFD, where_BFD], dim=2))))
        over_time = torch.cat([motion.mean(1), motion.amax(1)], dim=1)
        attributes = self.stills(what_BFD.mean(1)) | {name: self.heads[name](over_time) for name in _MOVING}
        contact, mouth = self.contact(motion).squeeze(2), torch.sigmoid(self.mouth(motion).squeeze(2))
        return Seen(attributes, contact, mouth, motion)

    def forward(self, clips_BFCHW: torch.Tensor) -> Seen:
        """``[B, F, 3, H, W]``, 0..1, of any size, to what is seen."""
        frames = with_change(clips_BFCHW).flatten(0, 1)
        what, where = (part.unflatten(0, clips_BFCHW.shape[:2]) for part in self.look(frames))
        return self.clips(what, where)


def with_change(clips_BFCHW: torch.Tensor) -> torch.Tensor:
    """``[B, F, 3, H, W]``, 0..1, to ``[B, F, 6, 64, 64]``: centred colours, the luma's change, and how far edges moved.

    The last two are the normal flow (Horn and Schunck 1981) since the frame before, in pixels to the right and down.
    """
    small = clips_BFCHW.flatten(0, 1)
    if small.shape[-2:] != (SIZE, SIZE):
        small = functional.interpolate(small, (SIZE, SIZE), mode="area")
    small = small.unflatten(0, clips_BFCHW.shape[:2])
    luma = (small * small.new_tensor(_LUMA)[:, None, None]).sum(2)
    change = torch.cat([torch.zeros_like(luma[:, :1]), luma.diff(dim=1)], dim=1)
    down, right = torch.gradient(luma, dim=(2, 3))
    flow = -change / (down.square() + right.square() + _LEAST_SLOPE**2)
    motion = torch.stack([8 * change, (flow * right).clamp(-2, 2), (flow * down).clamp(-2, 2)], dim=2)
    return torch.cat([4 * small - 2, motion], dim=2)


def block_contrast(frames_NCHW: torch.Tensor) -> torch.Tensor:
    """How unevenly steps between neighbours fall on odd and even columns, and rows, ``[N, 2]``: a log ratio, 0 for equal.

    Pixel art is drawn in blocks of two of the 64 pixels; convolutions that stride over them see that badly.
    """
    ratios = []
    for axis in (3, 2):
        steps = frames_NCHW.float().diff(dim=axis).abs().mean((1, 5 - axis)) + 1e-3
        ratios.append((steps[:, ::2].mean(1) / steps[:, 1::2].mean(1)).log().abs())
    return torch.stack(ratios, dim=1)


class _Residual(nn.Module):
    """Two convolutions added to what comes in; ``[N, width, H, W]`` throughout."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _block(width, width, 1), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """``[N, width, H, W]`` to the same shape."""
        return functional.relu(states + self.layers(states))


class SubjectReader(ModelMixin, ConfigMixin):
    """Who or what is there, from single frames: finer than ``PictureReader``, for which a subject is 24 pixels wide."""

    @register_to_config
    def __init__(self, width: int = 24) -> None:
        super().__init__()
        layers: list[nn.Module] = [_block(3, width, 2, 5)]
        for repeats in (1, 2, 1):
            layers += [_block(width, 2 * width, 2), *(_Residual(2 * width) for _ in range(repeats))]
            width *= 2
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(2 * width, len(SUBJECTS))

    def forward(self, frames_NCHW: torch.Tensor) -> torch.Tensor:
        """``[N, 3, H, W]``, 0..1, of any size, to logits ``[N, classes]``."""
        if frames_NCHW.shape[-2:] != (SUBJECT_SIZE, SUBJECT_SIZE):
            frames_NCHW = functional.interpolate(frames_NCHW, (SUBJECT_SIZE, SUBJECT_SIZE), mode="area")
        seen = self.layers((4 * frames_NCHW - 2).contiguous(memory_format=torch.channels_last))
        return self.head(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], dim=1))


class SoundReader(ModelMixin, ConfigMixin):
    """Log-mel spectrograms, as the models' sound codec sees them, to one of ``SOUND_CLASSES``."""

    @register_to_config
    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _block(1, width, 2), _block(width, 2 * width, 2), _block(2 * width, 4 * width, 2), _block(4 * width, 4 * width, 2),
            _block(4 * width, 4 * width, 1),
        )  # fmt: skip
        self.head = nn.Linear(2 * 4 * 4 * width, len(SOUND_CLASSES))

    def forward(self, mel_BCTM: torch.Tensor) -> torch.Tensor:
        """``[B, 1, T, 64]`` to logits ``[B, classes]``."""
        heard = self.layers(mel_BCTM)
        return self.head(torch.cat([heard.mean(2), heard.amax(2)], dim=1).flatten(1))


class SyncReader(ModelMixin, ConfigMixin):
    """Whether a mouth's motion and a sound belong together: two towers whose outputs agree frame by frame when they do.

    As SyncNet (Chung and Zisserman 2016, "Out of time"), on the features of ``PictureReader`` and log-mel spectrograms.
    """

    @register_to_config
    def __init__(self, features: int = FEATURES, width: int = 64, mel_bins: int = 64) -> None:
        super().__init__()
        self.see = nn.Sequential(nn.Conv1d(features, width, 3, padding=1), nn.ReLU(), nn.Conv1d(width, width, 3, padding=1))
        self.hear = nn.Sequential(
            nn.Conv1d(mel_bins, width, 5, padding=2), nn.ReLU(), nn.Conv1d(width, width, 5, padding=2), nn.ReLU()
        )
        self.settle = nn.Conv1d(width, width, 3, padding=1)
        self.scale, self.bias = nn.Parameter(torch.tensor(5.0)), nn.Parameter(torch.tensor(0.0))

    def forward(self, motion_BFD: torch.Tensor, mel_BCTM: torch.Tensor) -> torch.Tensor:
        """Logits ``[B]`` of belonging together; both cover the same time."""
        seen = functional.normalize(self.see(motion_BFD.transpose(1, 2)), dim=1)
        pooled = functional.interpolate(self.hear(mel_BCTM.squeeze(1).transpose(1, 2)), motion_BFD.shape[1], mode="linear")
        heard = functional.normalize(self.settle(pooled), dim=1)
        return self.scale * (seen * heard).sum(1).mean(1) + self.bias


def mel_window(mel_CTM: torch.Tensor, start: int, length: int, num_frames: int) -> torch.Tensor:
    """The part of a clip's spectrogram ``[1, T, M]`` that ``length`` of its ``num_frames`` frames from ``start`` on cover."""
    a_frame = mel_CTM.shape[1] / num_frames
    steps = round(length * a_frame)
    begin = min(round(start * a_frame), mel_CTM.shape[1] - steps)
    return mel_CTM[:, begin : begin + steps]


class Readers(NamedTuple):
    """The nets of one folder, frozen."""

    picture: PictureReader
    subject: SubjectReader
    sound: SoundReader
    sync: SyncReader

    def see(self, frames_FHWC: np.ndarray) -> Seen:
        """Everything that is seen in one clip, ``[F, H, W, 3]`` uint8, as a batch of one."""
        clip = torch.from_numpy(frames_FHWC).permute(0, 3, 1, 2).float() / 255
        seen = self.picture(clip[None])
        chosen = torch.linspace(0, len(clip) - 1, min(SUBJECT_FRAMES, len(clip))).round().long()
        subject = self.subject(clip[chosen]).mean(0, keepdim=True)
        return seen._replace(attributes={"subject": subject, **seen.attributes})


READERS: dict[str, type[PictureReader | SubjectReader | SoundReader | SyncReader]] = {
    "picture": PictureReader,
    "subject": SubjectReader,
    "sound": SoundReader,
    "sync": SyncReader,
}
"""The class of each field of ``Readers``, which is also its folder's name."""


@cache
def load_readers(folder: Path = READERS_FOLDER) -> Readers:
    """The released readers on the CPU in float32. Raises ``OSError`` where the folder does not hold them."""
    loaded = {
        name: kind.from_pretrained(folder / name, torch_dtype=torch.float32, local_files_only=True).eval().requires_grad_(False)
        for name, kind in READERS.items()
    }
    return Readers(**loaded)
