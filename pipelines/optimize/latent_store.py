"""A finished clip's latents, kept beside its file: an edit begins from what the model made, not from what a codec left of it.

One sealed file a clip (``sealed.py``), the numbers as ``latent_codec`` packs them with the steps of ``latent_steps``. Whatever
is wrong with such a file, the clip itself is still there to begin from. Torch-free until something is kept.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.contract import AnyRequest, Modality
from pipelines.optimize.memory import is_shortage
from pipelines.optimize.sealed import Damaged, read_sealed, write_sealed

if TYPE_CHECKING:
    import numpy as np
    import torch

    from pipelines.models.ltx2.load import LTX2Model
    from pipelines.optimize.latent_steps import Steps
    from pipelines.passes import Latents

_log = logging.getLogger(__name__)
SUFFIX = ".latents"
_FORMAT = "1"


def beside(clip: Path) -> Path:
    """Where the latents of the clip at that path lie."""
    return clip.with_suffix(SUFFIX)


@dataclass(frozen=True)
class Kept:
    """Packed, normalised latents ``[1, N, D]`` of the streams that the clip has, and the clip's measures before enlarging."""

    height: int
    width: int
    num_frames: int
    frame_rate: float
    video_BND: torch.Tensor | None
    audio_BND: torch.Tensor | None

    def to(self, device: torch.device) -> Kept:
        """The same on another device."""
        moved = {name: tensor.to(device) for name in ("video_BND", "audio_BND") if (tensor := getattr(self, name)) is not None}
        return replace(self, **moved)

    def has_size_of(self, height: int, width: int, frame_rate: float) -> bool:
        """Whether they are of a picture of that size and rate."""
        return (self.height, self.width) == (height, width) and abs(self.frame_rate - frame_rate) < 1e-3


class LatentStore:
    """Writes and reads the files; a model's steps are worked out when the first clip of it is kept."""

    def __init__(self) -> None:
        self._steps: dict[str, Steps] = {}

    def put(self, clip: Path, model: LTX2Model, latents: Latents, request: AnyRequest) -> int:
        """Keep the latents of the clip that ``request`` made; returns the bytes that they take.

        A full disk or a lack of memory costs a line in the log and not the clip: 0 bytes are kept then.
        """
        try:
            return write_sealed(beside(clip), *self._packed(model, latents, request))
        except (OSError, MemoryError, RuntimeError, ValueError) as error:
            if isinstance(error, RuntimeError) and not is_shortage(error):
                raise
            _log.warning("the latents of %s could not be kept (%s): edits begin from the clip's file", clip.name, error)
            return 0

    def get(self, clip: Path, weights: str) -> Kept | None:
        """What was kept of a clip, made by the model whose hash is ``weights``; ``None`` where nothing of that kind is there."""
        try:
            tensors, says = read_sealed(beside(clip))
            if (says.get("format"), says.get("weights")) != (_FORMAT, weights):
                return None
            return Kept(
                int(says["height"]),
                int(says["width"]),
                int(says["num_frames"]),
                float(says["frame_rate"]),
                _unpacked(tensors.get("video"), says.get("video", "")),
                _unpacked(tensors.get("audio"), says.get("audio", "")),
            )
        except FileNotFoundError:
            return None
        except (Damaged, OSError, ValueError, KeyError) as error:
            _log.warning("%s is damaged (%s): the edit begins from the clip's file", beside(clip), error)
            return None

    def _packed(self, model: LTX2Model, latents: Latents, request: AnyRequest) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        from pipelines.models.ltx2.latents import Canvas
        from pipelines.optimize.latent_steps import steps_of_model

        if model.sha256 not in self._steps:
            self._steps[model.sha256] = steps_of_model(model)
        steps = self._steps[model.sha256]
        measures = {name: getattr(request, name) for name in ("height", "width", "num_frames", "frame_rate")}
        canvas = Canvas.of(model, **measures)
        streams = {}
        if request.modality != Modality.AUDIO:
            streams["video"] = (_values(latents.video_BND, canvas.frames), steps.video)
        if request.modality != Modality.VIDEO:
            streams["audio"] = (_values(latents.audio_BND, canvas.audio_frames), steps.audio)
        says = {name: repr(value) for name, value in measures.items()} | {"format": _FORMAT, "weights": model.sha256}
        shapes = {name: " ".join(map(str, values.shape)) for name, (values, _) in streams.items()}
        return {name: _body(*stream) for name, stream in streams.items()}, says | shapes


def _values(tokens_BND: torch.Tensor, moments: int) -> np.ndarray:
    """``[moments, places, channels]``."""
    values: np.ndarray = tokens_BND[0].float().cpu().unflatten(0, (moments, -1)).numpy()
    return values


def _body(values_TPC: np.ndarray, steps_C: np.ndarray) -> torch.Tensor:
    """The steps, then the packed numbers, as bytes."""
    import torch

    from pipelines.optimize.latent_codec import pack

    return torch.frombuffer(bytearray(steps_C.tobytes() + pack(values_TPC, steps_C)), dtype=torch.uint8)


def _unpacked(body: torch.Tensor | None, shape: str) -> torch.Tensor | None:
    import numpy as np
    import torch

    from pipelines.optimize.latent_codec import unpack

    if body is None:
        return None
    moments, places, channels = map(int, shape.split())
    content = body.numpy().tobytes()
    values = unpack(content[channels:], (moments, places, channels), np.frombuffer(content[:channels], np.uint8))
    return torch.from_numpy(values).flatten(0, 1).unsqueeze(0)
