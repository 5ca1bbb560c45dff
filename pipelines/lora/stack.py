"""Any number of LoRAs on a loaded transformer at once: beside its weights, never in them, so that taking them off is exact.

Each linear layer that a LoRA changes gets one added branch for all of them together, ``y + ((x @ down.T) * strength) @ up.T``,
with the LoRAs side by side along the rank. The base may be quantized: only what its layer puts out is added to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import nn

from pipelines.lora.file import LoraFile, tensor_of


@dataclass(frozen=True)
class Strength:
    """How strongly a LoRA acts on either stream, and over which share of the steps, 0..1."""

    video: float = 1.0
    audio: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def at(self, share: float) -> Strength:
        """What it is when ``share`` of the steps is done: itself, or nothing."""
        return self if self.start <= share < self.end else Strength(0.0, 0.0)


class _Branch(nn.Module):
    """What all LoRAs together add to one layer."""

    def __init__(self, parts: Sequence[tuple[int, torch.Tensor, torch.Tensor]], hears: bool) -> None:
        super().__init__()
        self.members = [(index, down.shape[0]) for index, down, _ in parts]
        self.hears = hears
        self.down = torch.cat([down for _, down, _ in parts])
        self.up = torch.cat([up for _, _, up in parts], dim=1)
        self.strength = self.down.new_zeros(len(self.down))

    def set(self, strengths: Sequence[Strength]) -> None:
        """Take new strengths, one for each LoRA of the stack."""
        values = [strengths[index].audio if self.hears else strengths[index].video for index, _ in self.members]
        ranks = [rank for _, rank in self.members]
        repeated = [torch.full((rank,), value) for rank, value in zip(ranks, values, strict=True)]
        self.strength = torch.cat(repeated).to(self.down)

    def __call__(self, _layer: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> torch.Tensor:
        """A forward hook."""
        inner = torch.nn.functional.linear(given[0].to(self.down.dtype), self.down) * self.strength
        return made + torch.nn.functional.linear(inner, self.up).to(made.dtype)


class LoraStack:
    """LoRAs that are on a transformer for as long as ``on`` lasts."""

    def __init__(self, transformer: nn.Module, loras: Sequence[tuple[LoraFile, Strength]]) -> None:
        # In the order of their hashes, whatever order they were given in: sums of floats depend on it.
        self.loras = tuple(sorted(loras, key=lambda pair: (pair[0].sha256, astuple(pair[1]))))
        self._branches = _branches(transformer, [lora for lora, _ in self.loras])
        self._layers = dict(transformer.named_modules())
        self.at(0.0)

    def at(self, share: float) -> None:
        """Follow the schedules: ``share`` of the steps is done."""
        self.progress = share
        strengths = [strength.at(share) for _, strength in self.loras]
        for branch in self._branches.values():
            branch.set(strengths)

    @contextmanager
    def on(self) -> Iterator[LoraStack]:
        """Within, the transformer answers as its weights and the stack together do; afterwards bit for bit as before."""
        hooks = [self._layers[name].register_forward_hook(branch) for name, branch in self._branches.items()]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()


def _branches(transformer: nn.Module, loras: Sequence[LoraFile]) -> dict[str, _Branch]:
    device, dtype = next((p.device, p.dtype) for p in transformer.parameters() if p.is_floating_point())

    def tensor(lora: LoraFile, part: Any) -> torch.Tensor:
        return torch.from_numpy(tensor_of(lora.path, part)).to(device, dtype)

    parts: dict[str, list[tuple[int, torch.Tensor, torch.Tensor]]] = {}
    for index, lora in enumerate(loras):
        for name, layer in lora.layers.items():
            parts.setdefault(name, []).append((index, tensor(lora, layer.down), layer.scale * tensor(lora, layer.up)))
    return {name: _Branch(found, is_of_sound(name)) for name, found in parts.items()}


def linear_layers_of(transformer: nn.Module) -> dict[str, tuple[int, int]]:
    """Name and ``(out, in)`` of every linear layer, quantized ones too."""
    return {
        name: (int(layer.out_features), int(layer.in_features))
        for name, layer in transformer.named_modules()
        if hasattr(layer, "in_features") and hasattr(layer, "out_features")
    }


def is_of_sound(module: str) -> bool:
    """Whether a module's output goes into the sound; ``audio_to_video_attn`` writes into the picture."""
    parts = module.split(".")
    return any(
        part.startswith(("audio_", "video_to_audio", "av_cross_attn_audio")) and part != "audio_to_video_attn" for part in parts
    )
