"""Rotary tables that are kept: diffusers computes the same cosines and sines again in every transformer call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pipelines.optimize.kernels.reference import Tables

ROTARIES = ("rope", "audio_rope", "cross_attn_rope", "cross_attn_audio_rope")
_KEPT = 2
"""Tables of so many places at once: a clip's, and one more for whatever comes between."""


@dataclass(frozen=True)
class _Kept:
    """The tables of some places. The places are held, so that nothing else can come to lie at their address."""

    places: torch.Tensor
    tables: Tables

    def is_of(self, places: torch.Tensor) -> bool:
        """Whether ``places`` is a view of the same memory; who asks promises that it was not written to since."""
        mine = self.places
        return (places.data_ptr(), places.shape, places.stride()) == (mine.data_ptr(), mine.shape, mine.stride())


class KeptTables:
    """Stands in for the ``forward`` of one rotary embedding."""

    def __init__(self, computed: Callable[..., Tables]) -> None:
        self._computed = computed
        self._kept: list[_Kept] = []

    def __call__(self, coords: torch.Tensor, device: str | torch.device | None = None) -> Tables:
        """The tables of ``coords`` ``[B, axes, N, 2]``, bit for bit as computed; samples at the same places share theirs."""
        batch, is_one = coords.shape[0], coords.shape[0] == 1 or coords.stride(0) == 0
        places = coords[0] if is_one else coords
        kept = next((each for each in self._kept if each.is_of(places)), None)
        if kept is None:
            with torch.inference_mode(False), torch.no_grad():  # so that training may use them as well
                kept = _Kept(places, self._computed(places.unsqueeze(0) if is_one else places, device=device))
            self._kept = [kept, *self._kept[: _KEPT - 1]]
        cos, sin = kept.tables
        return (cos.expand(batch, *cos.shape[1:]), sin.expand(batch, *sin.shape[1:])) if is_one else kept.tables


def keep_rotary(transformer: Any) -> None:
    """Let each rotary embedding of ``transformer`` keep its tables; ``Passes`` gives the same places in every call of a clip."""
    for name in ROTARIES:
        rotary = getattr(transformer, name)
        if not isinstance(rotary.forward, KeptTables):
            rotary.forward = KeptTables(rotary.forward)
