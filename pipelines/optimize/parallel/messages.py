"""What rank 0 and the other ranks say to each other over their pipes; tensors that take part in the work go over the links."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import torch

from pipelines.conditioning import TextConditioning
from pipelines.lora.file import LoraFile
from pipelines.lora.stack import Strength
from pipelines.models.ltx2.latents import Canvas
from pipelines.optimize.parallel.branches import Shares
from pipelines.optimize.parallel.layout import Layout
from pipelines.optimize.plan import Plan
from pipelines.optimize.tiling import Decoding
from pipelines.passes import Steering
from pipelines.registry import ModelSpec


@dataclass(frozen=True)
class Join:
    """To a rank, first of all: what to be, and which model to load."""

    rank: int
    size: int
    device: str
    spec: ModelSpec
    plan: Plan
    tensor: int
    """Parts that the feed-forwards are split into."""
    reads: bool
    """Whether it loads what reads texts and nothing else, and is no rank."""
    threads: int
    """For torch, where the devices are cores of one machine; 0 leaves it as it is."""


@dataclass(frozen=True)
class Meet:
    """To a rank: connect to the others; each leaves its address in this folder, so that no port is open to anybody else."""

    folder: str


@dataclass(frozen=True)
class Begin:
    """To a rank: a clip is denoised from now on."""

    layout: Layout
    canvas: Canvas
    steering: Steering
    loras: tuple[tuple[LoraFile, Strength], ...] = ()


@dataclass(frozen=True)
class Step:
    """To a rank: evaluate your share; the latents come over the link. ``progress`` is the share of the steps that is done."""

    shares: Shares
    timestep: torch.Tensor
    progress: float = field(default=0.0)


@dataclass(frozen=True)
class Decode:
    """To a rank: a picture is decoded from now on."""

    work: Decoding


@dataclass(frozen=True)
class Turn:
    """To a rank: decode your tile of those that begin with number ``first``."""

    first: int


@dataclass(frozen=True)
class Read:
    """Encode a text: to the process that reads them alone, or to ranks that each hold a part of the encoder."""

    text: str


@dataclass(frozen=True)
class Encoded:
    """From the process that reads texts: what it made of one."""

    text: str
    conditioning: TextConditioning


@dataclass(frozen=True)
class End:
    """To a rank: the clip, or the picture, is done."""


@dataclass(frozen=True)
class Tally:
    """To a rank: say how many bytes you have sent."""


@dataclass(frozen=True)
class Beat:
    """From a rank: still alive."""


@dataclass(frozen=True)
class Ready:
    """From a rank: the model is loaded."""


@dataclass(frozen=True)
class Sent:
    """From a rank: bytes that left it over the links so far."""

    total: int


@dataclass(frozen=True)
class Failed:
    """From a rank: what went wrong; the rank ends."""

    what: str
    is_shortage: bool


def say(pipe: Connection, message: Any) -> None:
    """Send a message with its tensors. Raises ``OSError`` when nobody listens."""
    packed = io.BytesIO()
    torch.save(message, packed)
    pipe.send_bytes(packed.getbuffer())


def hear(pipe: Connection, device: torch.device) -> Any:
    """The next message, its tensors on ``device``. Raises ``EOFError`` or ``OSError`` when there will be none."""
    return torch.load(io.BytesIO(pipe.recv_bytes()), map_location=device, weights_only=False)  # both ends are this program
