"""Blocks compiled by torch.compile: one program for all of a transformer's, whatever their weights and however long the clip.

What a pass leaves out makes another program: perturbed self-attention, or no attention between the streams. So a guided clip
has three at most, and another batch, size or length has none of its own.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pipelines.optimize.blocks import Both
from pipelines.optimize.kernels import reference
from pipelines.optimize.kernels.block import ATTENTIONS, Steps, misfit, put_on, run
from pipelines.optimize.kernels.reference import Tables

_log = logging.getLogger(__name__)
_TOKENS = ("hidden_states", "audio_hidden_states")
_TABLES = ("video_rotary_emb", "audio_rotary_emb", "ca_video_rotary_emb", "ca_audio_rotary_emb")


def compile_blocks(transformer: Any) -> Callable[[], None]:
    """Compile the blocks of ``transformer`` at their first call; what is returned takes it back."""
    from torch._inductor import config

    config.compile_threads = 1  # a pool of processes would outlive a worker that is killed
    blocks = CompiledBlocks()
    take_off = put_on(transformer, reference, blocks.run)
    blocks.processor = transformer.transformer_blocks[0].attn1.processor
    return take_off


class CompiledBlocks:
    """Runs blocks compiled, or as they are while something else is put on them, such as LoRAs or another rank's attention."""

    def __init__(self) -> None:
        self._compiled = torch.compile(run)
        self._acted_on: set[int] = set()
        self.processor: Any = None

    def run(self, block: Any, steps: Steps, /, **given: Any) -> Both:
        """As ``block.run``."""
        if self._is_acted_on(block):
            if not self._acted_on:
                _log.info("blocks run uncompiled while LoRAs or other ranks act on them")
            self._acted_on.add(id(block))
            return run(block, steps, **given)
        if id(block) in self._acted_on:
            self._acted_on.remove(id(block))
            if not self._acted_on:
                _log.info("all blocks run compiled again")
        sizes: Any = importlib.import_module("torch.fx.experimental._config")
        # Else torch would make one program for batches of one and another for larger ones.
        with sizes.patch(backed_size_oblivious=True):
            return self._compiled(block, steps, **_generalised(given))

    def _is_acted_on(self, block: Any) -> bool:
        alike = all(getattr(block, name).processor is self.processor for name in ATTENTIONS)
        return not alike or any(module._forward_hooks or module._forward_pre_hooks for module in block.modules())


def _generalised(given: dict[str, Any]) -> dict[str, Any]:
    """``given`` with everything told to the compiler that changes from call to call."""
    given = dict(given)
    perturbed = given.get("all_perturbed")
    if isinstance(perturbed, Tensor):
        given["all_perturbed"] = bool(perturbed)
        if given["all_perturbed"]:
            given["perturbation_mask"] = None
    for name, value in given.items():
        if name in _TABLES:
            given[name] = _shared(value)
        elif isinstance(value, Tensor):
            _mark(value, (0, 1) if name in _TOKENS or value.shape[1] == given["hidden_states"].shape[1] else (0,))
    return given


def _shared(tables: Tables) -> Tables:
    """Tables that all samples share with a batch of one."""
    cos, sin = ((table[0].unsqueeze(0) if table.shape[0] == 1 or table.stride(0) == 0 else table) for table in tables)
    for table in (cos, sin):
        _mark(table, (table.ndim - 2,))
    return cos, sin


def _mark(x: Tensor, axes: tuple[int, ...]) -> None:
    for axis in axes:
        torch._dynamo.maybe_mark_dynamic(x, axis)


def hindrance(transformer: Any) -> str | None:
    """Why the blocks of ``transformer`` cannot be compiled on its device; ``None`` where they can."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    reason = misfit(transformer)
    if reason:
        return reason
    if transformer.device.type != "cpu":
        from torch.utils._triton import has_triton

        return None if has_triton() else "torch compiles for this device with Triton, which cannot be used here"
    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError):
        return "torch compiles for the CPU with a C++ compiler such as g++, and there is none"
    return None
