"""One LTX-2 block with its steps fused: the same arithmetic as diffusers' in fewer reads and writes, put on from outside."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from diffusers.models.activations import GELU
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from pipelines.optimize.blocks import Both
from pipelines.optimize.kernels import reference
from pipelines.optimize.kernels.reference import Tables

ATTENTIONS = ("attn1", "audio_attn1", "attn2", "audio_attn2", "audio_to_video_attn", "video_to_audio_attn")
_NORMS = (
    "norm1", "norm2", "norm3", "audio_norm1", "audio_norm2", "audio_norm3", "audio_to_video_norm", "video_to_audio_norm",
)  # fmt: skip


class Steps(Protocol):
    """``reference``, or ``fused``, which is for GPUs."""

    def modulated(self, x_BND: Tensor, scale_BKD: Tensor, shift_BKD: Tensor, eps: float, /) -> Tensor:
        """Norm, then AdaLN."""

    def gated(self, x_BND: Tensor, made_BND: Tensor, gate_BKD: Tensor, /) -> Tensor:
        """A gated residual."""

    def biased_gelu(self, x: Tensor, bias_D: Tensor | None, /) -> Tensor:
        """A bias, then GELU."""

    def turned(self, x_BND: Tensor, weight_D: Tensor, eps: float, tables: Tables, /) -> Tensor:
        """Norm, then the rotary embedding."""


@dataclass(frozen=True)
class _Stream:
    """What picture and sound call the same things."""

    hidden: str
    norm: str
    attention: str
    feed_forward: str
    table: str
    temb: str
    text: str
    text_table: str
    text_temb: str
    text_is_modulated: str
    rotary: str
    mask: str


_VIDEO = _Stream(
    "hidden_states", "norm", "attn", "ff", "scale_shift_table", "temb", "encoder_hidden_states", "prompt_scale_shift_table",
    "temb_prompt", "video_cross_attn_adaln", "video_rotary_emb", "self_attention_mask",
)  # fmt: skip
_AUDIO = _Stream(
    "audio_hidden_states", "audio_norm", "audio_attn", "audio_ff", "audio_scale_shift_table", "temb_audio",
    "audio_encoder_hidden_states", "audio_prompt_scale_shift_table", "temb_prompt_audio", "audio_cross_attn_adaln",
    "audio_rotary_emb", "audio_self_attention_mask",
)  # fmt: skip


def run(block: Any, steps: Steps, /, **given: Any) -> Both:
    """What ``LTX2VideoTransformerBlock.forward`` makes of the arguments ``given``, which have its names."""
    video, audio = given["hidden_states"], given["audio_hidden_states"]
    video_parts = _modulation(block.scale_shift_table, given["temb"])
    audio_parts = _modulation(block.audio_scale_shift_table, given["temb_audio"])
    video = _look_around(block, steps, _VIDEO, video, (video_parts, given))
    audio = _look_around(block, steps, _AUDIO, audio, (audio_parts, given))
    video = _read(block, steps, _VIDEO, video, (video_parts, given))
    audio = _read(block, steps, _AUDIO, audio, (audio_parts, given))
    if given.get("use_a2v_cross_attention", True) or given.get("use_v2a_cross_attention", True):
        video, audio = _meet(block, steps, video, audio, given)
    return _feed(block, steps, _VIDEO, video, video_parts), _feed(block, steps, _AUDIO, audio, audio_parts)


_Parts = tuple[Tensor, ...]
_Given = tuple[_Parts, Mapping[str, Any]]
"""Shift, scale and gate of self-attention, feed-forward and, in newer layouts, text; and the block's arguments."""


def _modulation(table: Tensor, temb_BKM: Tensor) -> _Parts:
    """The table's rows ``[B, K, D]``, each moved by its part of the time's embedding."""
    return (table[None, None].to(temb_BKM.device) + temb_BKM.unflatten(2, (table.shape[0], -1))).unbind(2)


def _look_around(block: Any, steps: Steps, of: _Stream, x: Tensor, known: _Given) -> Tensor:
    (shift, scale, gate, *_), given = known
    call = {"query_rotary_emb": given[of.rotary], "attention_mask": given.get(of.mask)}
    if block.perturbed_attn:
        call |= {name: given.get(name) for name in ("perturbation_mask", "all_perturbed")}
    normed = steps.modulated(x, scale, shift, getattr(block, f"{of.norm}1").eps)
    return steps.gated(x, getattr(block, f"{of.attention}1")(normed, **call), gate)


def _read(block: Any, steps: Steps, of: _Stream, x: Tensor, known: _Given) -> Tensor:
    parts, given = known
    text, norm, attend = given[of.text], getattr(block, f"{of.norm}2"), getattr(block, f"{of.attention}2")
    mask = given.get(of.text.replace("hidden_states", "attention_mask"))
    if block.cross_attn_adaln:
        table, temb = getattr(block, of.text_table), given.get(of.text_temb)
        moved = table[None, None].to(x).unbind(2) if temb is None else _modulation(table, temb)
        text = text * (1 + moved[1]) + moved[0]
    if not getattr(block, of.text_is_modulated):
        return x + attend(norm(x), encoder_hidden_states=text, attention_mask=mask)
    shift, scale, gate = parts[6:9]
    normed = steps.modulated(x, scale, shift, norm.eps)
    return steps.gated(x, attend(normed, encoder_hidden_states=text, attention_mask=mask), gate)


def _meet(block: Any, steps: Steps, video: Tensor, audio: Tensor, given: Mapping[str, Any]) -> Both:
    video_table, audio_table = block.video_a2v_cross_attn_scale_shift_table, block.audio_a2v_cross_attn_scale_shift_table
    video_parts = _modulation(video_table[:4], given["temb_ca_scale_shift"])
    audio_parts = _modulation(audio_table[:4], given["temb_ca_audio_scale_shift"])
    before = video, audio
    eps = block.audio_to_video_norm.eps, block.video_to_audio_norm.eps
    rotary = given["ca_video_rotary_emb"], given["ca_audio_rotary_emb"]

    def modulated(at: int) -> Both:
        """Both streams as the attention to sound (0) or to picture (2) wants them."""
        return (
            steps.modulated(before[0], video_parts[at], video_parts[at + 1], eps[0]),
            steps.modulated(before[1], audio_parts[at], audio_parts[at + 1], eps[1]),
        )

    if given.get("use_a2v_cross_attention", True):
        seen, heard = modulated(0)
        found = block.audio_to_video_attn(seen, heard, given.get("a2v_cross_attention_mask"), *rotary)
        video = steps.gated(video, found, _modulation(video_table[4:], given["temb_ca_gate"])[0])
    if given.get("use_v2a_cross_attention", True):
        seen, heard = modulated(2)
        found = block.video_to_audio_attn(heard, seen, given.get("v2a_cross_attention_mask"), *reversed(rotary))
        audio = steps.gated(audio, found, _modulation(audio_table[4:], given["temb_ca_audio_gate"])[0])
    return video, audio


def _feed(block: Any, steps: Steps, of: _Stream, x: Tensor, parts: _Parts) -> Tensor:
    shift, scale, gate = parts[3:6]
    normed = steps.modulated(x, scale, shift, getattr(block, f"{of.norm}3").eps)
    return steps.gated(x, getattr(block, of.feed_forward)(normed), gate)


class Processor:
    """The arithmetic of diffusers' two LTX-2 attention processors, norm and rotary embedding in one step."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def __call__(
        self, attn: Any, *given: Any, perturbation_mask: Tensor | None = None, all_perturbed: Tensor | bool | None = None
    ) -> Tensor:
        """As ``LTX2PerturbedAttnProcessor``; ``given``: hidden states, those they look at, a mask, rotary tables of both."""
        hidden, others, mask, query_tables, key_tables = given
        others = hidden if others is None else others
        gates = None if attn.to_gate_logits is None else 2.0 * torch.sigmoid(attn.to_gate_logits(hidden))
        value = attn.to_v(others)
        if all_perturbed is None:
            all_perturbed = perturbation_mask is not None and bool((perturbation_mask == 0).all())
        if all_perturbed:
            made = value
        else:
            query = self._turned(attn.norm_q, attn.to_q(hidden), query_tables)
            key = self._turned(attn.norm_k, attn.to_k(others), key_tables or query_tables)
            q, k, v = (x.unflatten(2, (attn.heads, -1)).transpose(1, 2) for x in (query, key, value))
            mask = None if mask is None else mask.unsqueeze(1)
            made = scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
            if perturbation_mask is not None:
                made = torch.lerp(value, made, perturbation_mask.to(made))
        if gates is not None:
            made = (made.unflatten(2, (attn.heads, -1)) * gates.unsqueeze(-1)).flatten(2)
        out: Tensor = attn.to_out[1](attn.to_out[0](made))
        return out

    def _turned(self, norm: nn.RMSNorm, x: Tensor, tables: Tables | None) -> Tensor:
        if tables is None:
            return norm(x)
        assert norm.eps is not None
        return self._steps.turned(x, norm.weight, norm.eps, tables)


# Attentions ask for it on every call.
Processor.__call__.__signature__ = inspect.signature(Processor.__call__)  # type: ignore[attr-defined]


def _activated(layer: GELU, steps: Steps, x: Tensor) -> Tensor:
    """The first half of a feed-forward; a projection that something listens to is called as it is, its bias added there."""
    proj = layer.proj
    if type(proj) is not nn.Linear or proj._forward_hooks:
        return steps.biased_gelu(proj(x), None)
    return steps.biased_gelu(linear(x, proj.weight), proj.bias)


def misfit(transformer: Any) -> str | None:
    """Why the fused steps are not those of this transformer; ``None`` where they are."""
    for block in transformer.transformer_blocks:
        if any(getattr(getattr(block, name), "weight", None) is not None for name in _NORMS):
            return "its norms have weights of their own"
        if any(getattr(block, name).norm_q.weight is None for name in ATTENTIONS):
            return "its queries are normed without weights"
        firsts = block.ff.net[0], block.audio_ff.net[0]
        if not all(isinstance(first, GELU) and first.approximate == "tanh" for first in firsts):
            return "its feed-forwards have another activation"
    return None


def put_on(transformer: Any, steps: Steps, forward: Callable[..., Both] = run) -> Callable[[], None]:
    """Let every block of ``transformer`` take its steps from ``steps``; what is returned takes all of it off again.

    ``forward`` is called as ``run``.
    """
    before = [(attention, attention.processor) for attention in _attentions(transformer)]
    parts = [part for block in transformer.transformer_blocks for part in (block.ff, block.audio_ff)]
    layers = [] if steps is reference else [part.net[0] for part in parts]  # torch's own activation is the reference's
    processor = Processor(steps)
    for attention, _ in before:
        attention.set_processor(processor)
    for layer in layers:
        layer.forward = partial(_activated, layer, steps)
    for block in transformer.transformer_blocks:
        block.forward = partial(forward, block, steps)

    def take_off() -> None:
        for attention, processor in before:
            attention.set_processor(processor)
        for module in (*layers, *transformer.transformer_blocks):
            del module.forward  # the class's own shows again

    return take_off


def _attentions(transformer: Any) -> list[Any]:
    return [getattr(block, name) for block in transformer.transformer_blocks for name in ATTENTIONS]
