"""Sequence parallelism: each rank has a part of the tokens of picture and sound and of their places in the clip.

Ulysses (Jacobs et al. 2023, arXiv:2309.14509) turns parts of the tokens into parts of the heads and back; ring attention (Liu
et al. 2023, arXiv:2310.01889) passes keys and values on and merges what each part gives by its log-sum-exp; the two combine as
in USP (Fang and Zhao 2024, arXiv:2405.07719). Parts may be unequal, so nothing is padded or masked. Rotary embeddings are
right because a rank computes them from the places of its own tokens. Everything is put on from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers.models.transformers.transformer_ltx2 import apply_interleaved_rotary_emb, apply_split_rotary_emb
from torch.nn.functional import scaled_dot_product_attention

from pipelines.optimize.parallel.layout import shares
from pipelines.optimize.parallel.link import Link, Links

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Queries, keys, values ``[B, n, H, D]`` of this rank's tokens to what its queries see of all keys."""


@contextmanager
def sequence_parallel(transformer: Any, links: Links) -> Iterator[None]:
    """Within, all ranks of ``links.sequence`` together do what ``transformer`` alone does; number 0 gets the result."""
    if links.sequence.size == 1:
        yield
        return
    split = _Split(links)
    with ExitStack() as stack:
        for hook in (
            transformer.register_forward_pre_hook(split.enter, with_kwargs=True),
            transformer.register_forward_hook(split.leave, with_kwargs=True),
        ):
            stack.callback(hook.remove)
        for block in transformer.transformer_blocks:
            for name, attend in (
                ("attn1", split.self_attention("hidden_states")),
                ("audio_attn1", split.self_attention("audio_hidden_states")),
                ("audio_to_video_attn", split.few_keys),
                ("video_to_audio_attn", split.few_queries),
            ):
                attention = getattr(block, name)
                stack.callback(attention.set_processor, attention.processor)
                attention.set_processor(Processor(attend))
        yield


class Processor:
    """The arithmetic of diffusers' two LTX-2 attention processors around another attention."""

    def __init__(self, attend: Attend) -> None:
        self._attend = attend

    def __call__(
        self, attn: Any, *given: Any, perturbation_mask: torch.Tensor | None = None, all_perturbed: bool | None = None
    ) -> torch.Tensor:
        """As ``LTX2PerturbedAttnProcessor``; without a perturbation also as ``LTX2AudioVideoAttnProcessor``.

        ``given``: hidden states, those that they look at (``None``: themselves), a mask, rotary embeddings of queries and keys.
        """
        hidden_states, encoder_hidden_states, attention_mask, query_rotary_emb, key_rotary_emb = given
        if attention_mask is not None:
            raise ValueError("a mask over tokens of the clip is not split between ranks")
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        gates = None if attn.to_gate_logits is None else 2.0 * torch.sigmoid(attn.to_gate_logits(hidden_states))
        value = attn.to_v(source)
        if all_perturbed is None:
            all_perturbed = perturbation_mask is not None and bool((perturbation_mask == 0).all())
        if all_perturbed:
            made = value
        else:
            query, key = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(source))
            if query_rotary_emb is not None:
                rotate = apply_split_rotary_emb if attn.rope_type == "split" else apply_interleaved_rotary_emb
                query, key = rotate(query, query_rotary_emb), rotate(key, key_rotary_emb or query_rotary_emb)
            heads = (x.unflatten(2, (attn.heads, -1)) for x in (query, key, value))
            made = self._attend(*heads).flatten(2, 3).to(query.dtype)
            if perturbation_mask is not None:
                made = torch.lerp(value, made, perturbation_mask)
        if gates is not None:
            made = (made.unflatten(2, (attn.heads, -1)) * gates.unsqueeze(-1)).flatten(2, 3)
        out: torch.Tensor = attn.to_out[1](attn.to_out[0](made))
        return out


class _Split:
    """One transformer's tokens between the ranks of a link; how many there are is known from each call."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._counts: dict[str, int] = {}

    def enter(self, _model: Any, args: tuple[Any, ...], call: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """A forward pre-hook: every argument that has the tokens of a stream keeps this rank's."""
        link = self._links.sequence
        call = dict(call)
        for stream, places, timestep, mask in (
            ("hidden_states", "video_coords", "timestep", "encoder_attention_mask"),
            ("audio_hidden_states", "audio_coords", "audio_timestep", "audio_encoder_attention_mask"),
        ):
            count = self._counts[stream] = call[stream].shape[1]

            def part(x: torch.Tensor, dim: int) -> torch.Tensor:
                return x.tensor_split(link.size, dim=dim)[link.index]

            call[stream], call[places] = part(call[stream], 1), part(call[places], 2)
            if call.get(timestep) is not None and call[timestep].ndim == 2:
                call[timestep] = part(call[timestep], 1)
            if call[mask].ndim == 3 and call[mask].shape[1] == count:
                call[mask] = part(call[mask], 1)
        return args, call

    def leave(self, _model: Any, _args: Any, _call: Any, made: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """A forward hook: number 0 gets both streams whole."""
        counts = (self._counts["hidden_states"], self._counts["audio_hidden_states"])
        return tuple(self._links.sequence.gather_first(x, count, 1) for x, count in zip(made, counts, strict=True))

    def self_attention(self, stream: str) -> Attend:
        """Of one stream: Ulysses among neighbours, around a ring of them."""
        return lambda q, k, v: self._usp(q, k, v, shares(self._counts[stream], self._links.sequence.size))

    def _usp(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
        ulysses, ring = self._links.ulysses, self._links.ring
        hoods = [sizes[start : start + ulysses.size] for start in range(0, len(sizes), ulysses.size)]
        mine = hoods[ring.index]
        q, k, v = heads_for_tokens(torch.stack([q, k, v]), ulysses, mine) if ulysses.size > 1 else (q, k, v)
        made = ring_attention(q, k, v, ring, [sum(hood) for hood in hoods])
        return tokens_for_heads(made, ulysses, mine) if ulysses.size > 1 else made

    def few_keys(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Picture that hears sound: the sound's keys and values go to everyone."""
        both = self._links.sequence.gather(torch.stack([k, v]), self._counts["audio_hidden_states"], 2)
        return _attention(q, both[0], both[1])

    def few_queries(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Sound that sees picture: its queries go to everyone, and what they find in each part is merged where they belong."""
        link = self._links.sequence
        sizes = shares(self._counts["audio_hidden_states"], link.size)
        everyone = link.gather(q, sum(sizes), 1)
        found, weight = attention_lse(everyone, k, v)
        parts = torch.cat([found.float(), weight.transpose(1, 2).unsqueeze(-1)], dim=-1).split(list(sizes), dim=1)
        shape = parts[link.index].shape
        made = torch.stack(link.exchange(parts, [shape] * link.size))
        shares_of = made[..., -1:].softmax(dim=0)
        return (made[..., :-1] * shares_of).sum(dim=0).to(q.dtype)


def heads_for_tokens(qkv: torch.Tensor, link: Link, sizes: Sequence[int]) -> torch.Tensor:
    """``[3, B, n, H, D]`` of this rank's tokens and all heads to ``[3, B, N, H / size, D]`` of all tokens and its heads."""
    three, batch, _, heads, width = qkv.shape
    parts = qkv.tensor_split(link.size, dim=3)
    return torch.cat(link.exchange(parts, [(three, batch, size, heads // link.size, width) for size in sizes]), dim=2)


def tokens_for_heads(x: torch.Tensor, link: Link, sizes: Sequence[int]) -> torch.Tensor:
    """The way back: ``[B, N, H / size, D]`` to ``[B, n, H, D]``."""
    batch, _, heads, width = x.shape
    shape = (batch, sizes[link.index], heads, width)
    return torch.cat(link.exchange(x.split(list(sizes), dim=1), [shape] * link.size), dim=2)


def ring_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, link: Link, sizes: Sequence[int]) -> torch.Tensor:
    """Attention of this rank's queries to the keys of all, which come round; ``sizes`` are the tokens of each rank."""
    if link.size == 1:
        return _attention(q, k, v)
    made, weight = attention_lse(q, k, v)
    made = made.float()
    both = torch.stack([k, v])
    for turn in range(1, link.size):
        owner = (link.index - turn) % link.size
        both = link.shift(both, (2, k.shape[0], sizes[owner], *k.shape[2:]))
        found, more = attention_lse(q, both[0], both[1])
        merged = torch.logaddexp(weight, more)
        made = made * _over(weight - merged) + found * _over(more - merged)
        weight = merged
    return made.to(q.dtype)


def attention_lse(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention ``[B, n, H, D]`` and the log-sum-exp of its logits ``[B, H, n]`` in fp32, by torch's own fused kernels."""
    if k.shape[1] == 0 or q.shape[1] == 0:
        nothing = q.new_full((q.shape[0], q.shape[2], q.shape[1]), float("-inf"), dtype=torch.float32)
        return torch.zeros_like(q), nothing
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    aten = torch.ops.aten
    if q.device.type == "cpu":
        made, weight, *_ = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)
    elif q.dtype == torch.float32:
        made, weight, *_ = aten._scaled_dot_product_efficient_attention(q, k, v, None, True)
    else:
        made, weight, *_ = aten._scaled_dot_product_flash_attention(q, k, v)
    return made.transpose(1, 2), weight[..., : q.shape[2]].float()


def _attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2)


def _over(weight: torch.Tensor) -> torch.Tensor:
    """``[B, H, n]`` logarithms as factors of ``[B, n, H, D]``; nothing at all weighs nothing."""
    return weight.nan_to_num(nan=float("-inf"), neginf=float("-inf")).exp().transpose(1, 2).unsqueeze(-1)
