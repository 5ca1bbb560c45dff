"""Tensor parallelism of the feed-forwards: each rank keeps some of their inner features for good, and what they give is summed.

Column-wise, then row-wise, one sum a feed-forward (Shoeybi et al. 2019, "Megatron-LM", arXiv:1909.08053, section 3). The
attentions stay whole: LTX-2 normalises queries and keys over all heads together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from diffusers.models.activations import GELU
from torch import nn

from pipelines.contract import InvalidRequest
from pipelines.optimize.parallel.cost import Weights
from pipelines.optimize.parallel.link import Link


def split_feed_forwards(transformer: Any, link: Link) -> None:
    """Leave this rank its share of every feed-forward of ``transformer``; the rest of the weights is let go.

    Raises ``InvalidRequest`` for a kind of feed-forward that cannot be split so.
    """
    if link.size == 1:
        return
    for block in transformer.transformer_blocks:
        for feed_forward in (block.ff, block.audio_ff):
            _split(feed_forward, link)


def weights_of(transformer: Any) -> Weights:
    """Bytes of a whole transformer, and of its feed-forwards."""
    inner = [part for block in transformer.transformer_blocks for part in (block.ff, block.audio_ff)]
    return Weights(_bytes([transformer]), _bytes(inner))


def _bytes(modules: Iterable[nn.Module]) -> int:
    return sum(weight.numel() * weight.element_size() for module in modules for weight in module.parameters())


def _split(feed_forward: Any, link: Link) -> None:
    up, down = feed_forward.net[0], feed_forward.net[2]
    if not (isinstance(up, GELU) and type(up.proj) is nn.Linear and type(down) is nn.Linear):
        raise InvalidRequest("parallel has tensor, but this model's feed-forward cannot be split: use ulysses.", field="parallel")
    inner = torch.arange(up.proj.out_features, device=up.proj.weight.device).tensor_split(link.size)[link.index]
    up.proj.weight, up.proj.out_features = _kept(up.proj.weight[inner]), len(inner)
    if up.proj.bias is not None:
        up.proj.bias = _kept(up.proj.bias[inner])
    down.weight, down.in_features = _kept(down.weight[:, inner]), len(inner)
    if link.index:
        down.register_parameter("bias", None)  # it is added once
    feed_forward.register_forward_hook(lambda _module, _given, made: link.total(made))


def _kept(weight: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(weight.clone(memory_format=torch.contiguous_format), requires_grad=False)
