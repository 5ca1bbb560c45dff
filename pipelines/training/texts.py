"""Captions behind a frozen text encoder, each encoded once."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from pipelines.conditioning import encode_prompt
from pipelines.models.ltx2.load import LTX2Model

_MOST = 4096


class EncodedTexts:
    """What ``model`` reads in texts; those that were met before are at hand."""

    def __init__(self, model: LTX2Model) -> None:
        self._model = model
        self._known: dict[str, tuple[torch.Tensor, ...]] = {}

    def of(self, captions: Iterable[str]) -> tuple[torch.Tensor, ...]:
        """A batch: what the picture reads ``[B, S, D]``, what the sound reads ``[B, S, E]``, and their mask ``[B, S]``."""
        return tuple(torch.cat(parts) for parts in zip(*map(self._one, captions), strict=True))

    def _one(self, caption: str) -> tuple[torch.Tensor, ...]:
        if caption not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = encode_prompt(self._model, caption)
            # Clones outside inference mode: autograd keeps no tensors that were made inside it.
            self._known[caption] = (found.video_BSD.clone(), found.audio_BSD.clone(), found.mask_BS.clone())
        return self._known[caption]
