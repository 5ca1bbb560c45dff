"""Whether the frames of a clip show what was asked, by a CLIP or SigLIP model that a person has."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch

from pipelines.metrics.catalogue import JUDGES
from pipelines.metrics.live import words_at
from pipelines.models.local import LocalModel, device_for, judge_named, pretrained, sound
from pipelines.prompting.reading import QUOTED

FRAMES = 8
"""How many frames are looked at, evenly spaced: the first and the last are among them."""
_SIGLIP_TOKENS = 64  # what SigLIP was trained with: shorter texts are filled up to that
_LARGEST_SIDE = 512  # models look at 224 to 512 pixels


class TextImageModel:
    """One loaded model on the CPU, where the frames are; use ``load``."""

    def __init__(self, local: LocalModel, parts: tuple[Any, Any, Any]) -> None:
        self.metric = JUDGES[local.kind]
        self._local = local
        self._tokenizer, self._images, self._network = parts

    @classmethod
    def load(cls, name: str) -> TextImageModel:
        """The model that ``name`` (hub id or folder) says. Raises ``ModelNotFound`` or ``OutOfMemory``."""
        from transformers import AutoModel, AutoTokenizer
        from transformers.models.auto.image_processing_auto import AutoImageProcessor

        local = judge_named(name)
        with sound(local):
            tokenizer = AutoTokenizer.from_pretrained(local.words, local_files_only=True)
            images = AutoImageProcessor.from_pretrained(local.folder, local_files_only=True, backend="pil")
            return cls(local, (tokenizer, images, pretrained(AutoModel, local, device_for(local, "cpu"))))

    def agreement(self, frames_FHWC: np.ndarray, prompt: str, frame_rate: float) -> dict[str, float]:
        """Mean cosine between frames and what ``prompt`` asks for at their moments, by name; empty where it shows nothing.

        What is said in quotes cannot be seen and does not count. Raises ``ModelNotFound`` or ``OutOfMemory``.
        """
        at = np.unique(np.linspace(0, len(frames_FHWC) - 1, FRAMES).round().astype(int))
        asked = [" ".join(QUOTED.sub(" ", words_at(prompt, (index + 0.5) / frame_rate)).split()) for index in at]
        if not any(re.search(r"\w", words) for words in asked):
            return {}
        with sound(self._local), torch.inference_mode():
            seen_FD = self._seen(frames_FHWC[at])
            meant = {words: self._meant(words) for words in dict.fromkeys(asked)}
            said_FD = torch.stack([meant[words] for words in asked])
        return {self.metric: float((seen_FD * said_FD).sum(-1).mean())}

    def _seen(self, frames_FHWC: np.ndarray) -> torch.Tensor:
        small = [_small(frame) for frame in frames_FHWC]
        pixels = self._images(images=small, return_tensors="pt").to(self._network.dtype)
        return _unit(self._network.get_image_features(**pixels))

    def _meant(self, words: str) -> torch.Tensor:
        """One embedding. SigLIP was trained on small letters, filled up and without a mask; CLIP on texts as they are."""
        most = self._network.config.text_config.max_position_embeddings
        options: dict[str, Any] = {"max_length": most}
        if self._local.kind != "clip":
            words, options = words.lower(), {"padding": "max_length", "max_length": min(_SIGLIP_TOKENS, most)}
        tokens = self._tokenizer([words], truncation=True, return_tensors="pt", **options)
        return _unit(self._network.get_text_features(input_ids=tokens["input_ids"]))[0]


def _small(frame_HWC: np.ndarray) -> np.ndarray:
    scale = _LARGEST_SIDE / max(frame_HWC.shape[:2])
    if scale >= 1:
        return frame_HWC
    height, width = (max(1, round(scale * side)) for side in frame_HWC.shape[:2])
    return cv2.resize(frame_HWC, (width, height), interpolation=cv2.INTER_AREA)


def _unit(features: Any) -> torch.Tensor:
    """Embeddings ``[N, D]`` of length one; transformers 5 gives them as the pooled part of an output."""
    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return torch.nn.functional.normalize(tensor.float(), dim=-1)


@lru_cache(maxsize=1)
def text_image_model(name: str) -> TextImageModel:
    """As ``TextImageModel.load``, once in a process."""
    return TextImageModel.load(name)
