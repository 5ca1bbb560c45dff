"""MiniMax-H3's blocks with the face of a plain pipeline of diffusers, which has them as modular blocks only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import (
    AutoencoderKLMiniMaxH3,
    AutoencoderKLMiniMaxH3Audio,
    ComponentsManager,
    MiniMaxH3Scheduler,
    MiniMaxH3Transformer3DModel,
)
from diffusers.modular_pipelines.minimax_h3 import MiniMaxH3Blocks, MiniMaxH3ImageReference
from PIL import Image
from transformers import Qwen2Tokenizer

_SETTINGS = ("canvas_short_edge", "canvas_max_pixels", "reference_image_short_edge")
"""What the index of a folder may say of itself beside its parts."""
_NETWORKS: Mapping[str, Any] = {
    "transformer": MiniMaxH3Transformer3DModel,
    "transformer_ref": MiniMaxH3Transformer3DModel,
    "vae": AutoencoderKLMiniMaxH3,
    "audio_vae": AutoencoderKLMiniMaxH3Audio,
}


@dataclass(frozen=True)
class Made:
    """Frames ``[1, F, H, W, 3]`` 0..1 and stereo sound ``[1, 2, n]``."""

    frames: np.ndarray
    audio: np.ndarray


class _Reader:
    """What the blocks ask of Qwen3-VL's processor; its own class also reads films, and needs torchvision for that."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor = image_processor
        self._picture = tokenizer.convert_tokens_to_ids("<|image_pad|>")

    def create_mm_token_type_ids(self, token_ids: list[list[int]]) -> list[list[int]]:
        """1 where a token stands for a part of a picture, else 0."""
        return [[int(token == self._picture) for token in row] for row in token_ids]


class MiniMaxH3Pipeline:
    """Text, and a first frame, to picture and sound. The second transformer, which works from references, is left out."""

    left_out: ClassVar[str] = "transformer_ref"

    def __init__(self, **parts: Any) -> None:
        self._manager = ComponentsManager()
        self._modular: Any = MiniMaxH3Blocks().init_pipeline(components_manager=self._manager)
        self._modular.update_components(**parts)

    @classmethod
    def load_config(cls, source: str, *, local_files_only: bool) -> dict[str, tuple[str, str]]:
        """Libraries and classes of the parts that are read apart."""
        return {"text_encoder": ("transformers", "Qwen3VLForConditionalGeneration")}

    @classmethod
    def from_pretrained(
        cls, source: str, *, dtype: Mapping[str, torch.dtype], local_files_only: bool, text_encoder: Any, **not_needed: None
    ) -> MiniMaxH3Pipeline:
        """All other parts from a folder or a hub id. Raises what diffusers and transformers raise."""
        parts: dict[str, Any] = {"text_encoder": text_encoder}
        for name, kind in _NETWORKS.items():
            if name == cls.left_out:
                continue
            own = dtype.get(name, dtype["default"])
            parts[name] = kind.from_pretrained(source, subfolder=name, torch_dtype=own, local_files_only=local_files_only)
        for name in ("scheduler", "audio_scheduler"):
            parts[name] = MiniMaxH3Scheduler.from_pretrained(source, subfolder=name, local_files_only=local_files_only)
        parts["tokenizer"] = Qwen2Tokenizer.from_pretrained(source, subfolder="tokenizer", local_files_only=local_files_only)
        pipeline = cls(**parts)
        told = type(pipeline._modular).load_config(source, local_files_only=local_files_only)
        pipeline._modular.update_components(**{name: told[name] for name in _SETTINGS if name in told})
        return pipeline

    def register_modules(self, *, processor: Any) -> None:
        """Take what reads first frames."""
        self._modular.update_components(processor=_Reader(processor, self.tokenizer))

    def __getattr__(self, name: str) -> Any:
        """A part, by its name."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._modular, name)

    @property
    def components(self) -> dict[str, Any]:
        """The parts that are there."""
        found: dict[str, Any] = self._modular.components
        return {name: part for name, part in found.items() if part is not None}

    @property
    def audio_sample_rate(self) -> int:
        """Samples a second of its sound."""
        return int(self.audio_vae.config.sampling_rate)

    def to(self, device: torch.device) -> MiniMaxH3Pipeline:
        """All parts on ``device``."""
        self._modular.to(device)
        return self

    def enable_model_cpu_offload(self, device: torch.device) -> None:
        """Bring each part to ``device`` while it works, and away again where another needs the room."""
        self._manager.enable_auto_cpu_offload(device=device)

    def maybe_free_model_hooks(self) -> None:
        """Nothing: its manager moves parts when the next one needs room."""

    def progress_bar(self, iterable: Any = None, total: int | None = None) -> Any:
        """A bar that shows nothing; whoever watches the steps puts another in its place."""
        return _NoBar()

    def __call__(self, *, num_inference_steps: int, reference_images: Sequence[Image.Image] = (), **inputs: Any) -> Made:
        """One clip; ``num_inference_steps`` are calls of the transformer (the blocks count the points around them).

        Images are shown in their order, to the second transformer.
        """
        for block in _loops(self._modular._blocks):
            block.progress_bar = self.progress_bar
        if reference_images:
            inputs["references"] = [MiniMaxH3ImageReference(image) for image in reference_images]
        made = self._modular(num_inference_steps=num_inference_steps + 1, **inputs, output=["videos", "audio"])
        return Made(made["videos"], made["audio"].cpu().float().numpy())


class MiniMaxH3ReferencePipeline(MiniMaxH3Pipeline):
    """Text and images of things to picture and sound, by the second transformer alone."""

    left_out: ClassVar[str] = "transformer"


class _NoBar:
    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *failure: object) -> None:
        """Nothing was shown."""

    def update(self, steps: int = 1) -> None:
        """Shows nothing."""


def _loops(block: Any) -> Iterator[Any]:
    """The blocks within that open a progress bar."""
    if hasattr(block, "progress_bar"):
        yield block
    for each in getattr(block, "sub_blocks", {}).values():
        yield from _loops(each)
