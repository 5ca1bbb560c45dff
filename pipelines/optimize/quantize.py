"""Weights in fewer bits: each large linear layer of a network replaced or rewritten in place, in one of several modes.

torchao holds and multiplies 8 bits. 16 and 4 bits are a layer of our own: torchao has no 16, and its 4 bits need kernels that
CPUs and most GPUs lack. That layer restores its weight for every call, so it saves memory and never time.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from math import gcd
from typing import Any, cast

import torch
from torch import nn
from torch.nn.functional import linear

from pipelines.contract import InvalidRequest, Quantization
from pipelines.optimize.plan import GROUP, is_quantized

_SPANS = tuple(1.05 - 0.05 * step for step in range(8))
"""Of what a group's weights span, what its 16 values may span: cutting off the outermost can serve the others."""
_REFITS = 2


class _Narrow(nn.Module, ABC):
    """A linear layer whose weight is not held as it is multiplied."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = layer.bias

    @abstractmethod
    def restored(self) -> torch.Tensor:
        """The weight (out, in) as it is multiplied."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` (..., in) to (..., out), in the dtype of ``x``."""
        return linear(x, self.restored().to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class Int16Linear(_Narrow):
    """Whole numbers of 16 bits, and a scale in float32 for each output channel; symmetric."""

    codes_OI: torch.Tensor
    scale_O1: torch.Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        weight_OI = layer.weight.detach().float()
        scale_O1 = weight_OI.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / 32767
        self.register_buffer("codes_OI", (weight_OI / scale_O1).round().clamp(-32767, 32767).to(torch.int16))
        self.register_buffer("scale_O1", scale_O1)

    def restored(self) -> torch.Tensor:
        """As ``_Narrow``."""
        return self.codes_OI * self.scale_O1


class Int4Linear(_Narrow):
    """Two weights a byte; 16 neighbours of a row share scale and smallest value, a byte each: 5 bits a weight in all.

    What one step of those bytes is worth each row says for itself.
    """

    codes_OGH: torch.Tensor
    scales_OG1: torch.Tensor
    leasts_OG1: torch.Tensor
    scale_unit_O11: torch.Tensor
    least_unit_O11: torch.Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        grouped_OGS = layer.weight.detach().float().unflatten(1, (-1, gcd(layer.in_features, GROUP)))
        least, most = grouped_OGS.amin(dim=2, keepdim=True), grouped_OGS.amax(dim=2, keepdim=True)
        self.register_buffer("scale_unit_O11", _unit((most - least) / 15, 255))
        self.register_buffer("least_unit_O11", _unit(least, 127))
        scales_OG1, leasts_OG1 = self._fitted(grouped_OGS, least, most)
        self.register_buffer("scales_OG1", scales_OG1.to(torch.uint8))
        self.register_buffer("leasts_OG1", leasts_OG1.to(torch.int8))
        codes = self._codes(grouped_OGS, scales_OG1, leasts_OG1).to(torch.uint8)
        self.register_buffer("codes_OGH", codes[..., ::2] | (codes[..., 1::2] << 4))

    def restored(self) -> torch.Tensor:
        """As ``_Narrow``."""
        codes_OGS = torch.stack((self.codes_OGH & 15, self.codes_OGH >> 4), dim=-1).flatten(-2)
        return self._values(codes_OGS, self.scales_OG1, self.leasts_OG1).flatten(1)

    def _values(self, codes: torch.Tensor, scales: torch.Tensor, leasts: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(leasts * self.least_unit_O11.float(), codes, scales * self.scale_unit_O11.float())

    def _codes(self, weight: torch.Tensor, scales: torch.Tensor, leasts: torch.Tensor) -> torch.Tensor:
        away = weight - leasts * self.least_unit_O11.float()
        return (away / (scales * self.scale_unit_O11.float())).round().clamp(0, 15)

    def _fitted(self, weight: torch.Tensor, least: torch.Tensor, most: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scales and smallest values, in steps, that leave the least squared error of those that are tried.

        From each of ``_SPANS`` of a group's range on, and after it what least squares make of the codes that it gives.
        """
        middle, half = (least + most) / 2, (most - least) / 2
        best: tuple[torch.Tensor, ...] | None = None
        for span in _SPANS:
            wanted = 2 * span * half / 15, middle - span * half
            for _ in range(_REFITS + 1):
                scales = (wanted[0] / self.scale_unit_O11.float()).round().clamp(1, 255)
                leasts = (wanted[1] / self.least_unit_O11.float()).round().clamp(-127, 127)
                codes = self._codes(weight, scales, leasts)
                error = (self._values(codes, scales, leasts) - weight).square().sum(2, keepdim=True)
                found = error, scales, leasts
                best = (
                    found if best is None else tuple(torch.where(error < best[0], *two) for two in zip(found, best, strict=True))
                )
                wanted = _line(codes, weight)
        assert best is not None
        return best[1], best[2]


def _unit(values_OG1: torch.Tensor, steps: int) -> torch.Tensor:
    """What one of so many steps is worth, so that each row's largest value is within them."""
    return (values_OG1.abs().amax(dim=1, keepdim=True) / steps).clamp(min=torch.finfo(torch.float32).tiny).bfloat16()


def _line(codes: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Slope and intercept of the line through each group's weights over their codes."""
    code, mean = codes.mean(2, keepdim=True), weight.mean(2, keepdim=True)
    spread = (codes - code).square().sum(2, keepdim=True).clamp(min=1e-9)
    slope = ((codes - code) * (weight - mean)).sum(2, keepdim=True) / spread
    return slope, mean - slope * code


class BfloatLinear(nn.Linear):
    """Held and multiplied in bfloat16; what goes in and comes out keeps its dtype."""

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight = nn.Parameter(layer.weight.detach().bfloat16(), requires_grad=False)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().bfloat16(), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` (..., in) to (..., out)."""
        return linear(x.bfloat16(), self.weight, self.bias).to(x.dtype)


_OWN = {Quantization.INT16: Int16Linear, Quantization.INT4: Int4Linear, Quantization.BF16: BfloatLinear}
OWN_LAYERS = tuple(_OWN.values())
"""The kinds of layers that a mode of ours makes."""


@torch.no_grad()
def quantize(network: nn.Module, quantization: Quantization) -> None:
    """Change the large linear layers of ``network`` in place. Raises ``InvalidRequest`` for what cannot work here."""
    assert quantization is not Quantization.AUTO, "a plan has chosen"
    if quantization is Quantization.NONE:
        return
    if quantization in _OWN:
        for name, layer in [*network.named_modules()]:
            if _is_meant(layer, name):
                network.set_submodule(name, _OWN[quantization](cast(nn.Linear, layer)))
        return
    config = _torchao(quantization)
    from torchao.quantization import quantize_

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations within torch and torchao
        quantize_(network, config, filter_fn=_is_meant)


def weights_bytes(network: nn.Module) -> int:
    """Bytes of everything that a network holds, quantized or not."""
    return sum(_size(tensor) for tensor in [*network.parameters(), *network.buffers()])


def _is_meant(layer: nn.Module, name: str) -> bool:
    return isinstance(layer, nn.Linear) and is_quantized(f"{name}.weight", tuple(layer.weight.shape))


def _torchao(quantization: Quantization) -> Any:
    try:
        from torchao import quantization as torchao
    except ImportError as error:
        raise InvalidRequest(
            f"quantization is {quantization.value}, which needs torchao ({error}): run make studio again, or use int16 or int4.",
            field="quantization",
        ) from None
    match quantization:
        case Quantization.INT8:
            return torchao.Int8WeightOnlyConfig()
        case Quantization.INT8_DYNAMIC:
            return torchao.Int8DynamicActivationInt8WeightConfig()
        case _:
            return torchao.Float8WeightOnlyConfig()


def _size(tensor: torch.Tensor) -> int:
    names = getattr(tensor, "tensor_data_names", None)
    if names is None:
        return tensor.numel() * tensor.element_size()
    optional = getattr(tensor, "optional_tensor_data_names", [])
    parts = (getattr(tensor, name, None) for name in (*names, *optional))
    return sum(part.numel() * part.element_size() for part in parts if part is not None)
