"""Tensor parallelism of the feed-forwards: each rank keeps some of their inner features for good, and what they give is summed.

Those of the transformer, and of the text encoder, of which they are two thirds (8.5 of Gemma 3's 12 billion weights).
Column-wise, then row-wise, one sum a feed-forward (Shoeybi et al. 2019, "Megatron-LM", arXiv:1909.08053, section 3). The
attentions stay whole: LTX-2 normalises queries and keys over all heads together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from diffusers.models.activations import GELU
from torch import nn

from pipelines.conditioning import TextConditioning, encode_prompt
from pipelines.contract import InvalidRequest
from pipelines.models.ltx2.load import LTX2Model
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


def split_text_encoder(text_encoder: Any, link: Link) -> None:
    """Leave this rank its share of every gated feed-forward of a text encoder; what is quantized stays whole."""
    for module in text_encoder.modules():
        if _is_gated(module):
            _shorten(module, (module.gate_proj, module.up_proj), module.down_proj, link)


class SplitReader:
    """Encodes texts together with the ranks that hold the other parts of the encoder; all of them do so at the same time."""

    def __init__(self, model: LTX2Model, link: Link) -> None:
        self._model, self._link, self._is_split = model, link, False

    def encode(self, text: str) -> TextConditioning:
        """The same on every rank. The encoder is loaded, and split, when it is first needed."""
        if not self._is_split:
            split_text_encoder(self._model.text.text_encoder, self._link)
            self._is_split = True
        return encode_prompt(self._model, text)


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
    _shorten(feed_forward, (up.proj,), down, link)


def _is_gated(module: nn.Module) -> bool:
    return all(type(getattr(module, name, None)) is nn.Linear for name in ("gate_proj", "up_proj", "down_proj"))


def _shorten(feed_forward: Any, ups: Sequence[nn.Linear], down: nn.Linear, link: Link) -> None:
    """Keep this rank's inner features: rows of ``ups``, columns of ``down``; the sum over all ranks comes out."""
    inner = torch.arange(down.in_features, device=down.weight.device).tensor_split(link.size)[link.index]
    for up in ups:
        up.weight, up.out_features = _kept(up.weight[inner]), len(inner)
        if up.bias is not None:
            up.bias = _kept(up.bias[inner])
    down.weight, down.in_features = _kept(down.weight[:, inner]), len(inner)
    if link.index:
        down.register_parameter("bias", None)  # it is added once
    feed_forward.register_forward_hook(lambda _module, _given, made: link.total(made))


def _kept(weight: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(weight.clone(memory_format=torch.contiguous_format), requires_grad=False)
