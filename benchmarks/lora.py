"""LoRA stacks on the embedded model: how fast they go on and off, that nothing is left, and what a step costs with them.

    python benchmarks/lora.py [--quick] [--json]

Prints each figure with its gate; exits 1 below one.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.lora.file import LoraFile, read_lora
from pipelines.lora.stack import LoraStack, Strength, linear_layers_of
from pipelines.models.ltx2.load import load
from pipelines.registry import ModelCatalogue

LARGEST_SWAP_S = 0.2
RANK = 4
COUNT = 3


def main() -> None:
    """Measure, print, and exit 1 where a gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    transformer = load(ModelCatalogue.with_folders({}).get("pocket"), torch.device("cpu")).transformer
    with tempfile.TemporaryDirectory() as folder:
        loras = [_drawn(transformer, Path(folder) / f"{seed}.safetensors", seed) for seed in range(COUNT)]
        found = measured(transformer, loras, repeats=5 if arguments.quick else 30)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    passes = {
        "swap_s": found["swap_s"] <= LARGEST_SWAP_S,
        "left_behind": found["left_behind"] == 0,
        "order_difference": found["order_difference"] == 0,
    }
    shape = f"{COUNT} LoRAs of rank {RANK} on {len(loras[0].layers)} layers of pocket"
    if arguments.json:
        gates = {"swap_s": LARGEST_SWAP_S, "left_behind": 0, "order_difference": 0}
        report = {
            "figure": found,
            "gate": gates,
            "pass": all(passes.values()),
            "passes": passes,
            "machine": machine,
            "shape": shape,
        }
        print(json.dumps(report))
    else:
        print(f"{shape}; {machine}")
        print(f"swap       {1000 * found['swap_s']:8.1f} ms  gate {1000 * LARGEST_SWAP_S:.0f} ms (read, checked, built, on)")
        print(f"left       {found['left_behind']:8.1g}     gate 0 (largest difference of the base's outputs afterwards)")
        print(f"order      {found['order_difference']:8.1g}     gate 0 (largest difference between all orders)")
        print(f"layer cost {found['layers_cost']:8.2f} x   no gate (all changed layers with the stack, against without)")
    sys.exit(0 if all(passes.values()) else 1)


def measured(transformer: torch.nn.Module, loras: list[LoraFile], repeats: int) -> dict[str, Any]:
    """The figures: medians of seconds, and largest absolute differences."""
    stack = [(lora, Strength(0.7 - 0.3 * index, 0.5)) for index, lora in enumerate(loras)]
    modules = linear_layers_of(transformer)
    before = _answers(transformer, loras[0])
    swaps = []
    for _ in range(repeats):
        begin = time.perf_counter()
        read = [(read_lora(lora.path, modules), strength) for lora, strength in stack]
        with LoraStack(transformer, read).on():
            swaps.append(time.perf_counter() - begin)
    orders = []
    for order in permutations(stack):
        with LoraStack(transformer, order).on():
            orders.append(_answers(transformer, loras[0]))
    plain = _seconds(transformer, loras[0], repeats)
    with LoraStack(transformer, stack).on():
        stacked = _seconds(transformer, loras[0], repeats)
    return {
        "swap_s": float(np.median(swaps)),
        "left_behind": _difference(before, _answers(transformer, loras[0])),
        "order_difference": max(_difference(orders[0], other) for other in orders),
        "changes": _difference(before, orders[0]),
        "layers_cost": stacked / plain,
    }


def _drawn(transformer: torch.nn.Module, path: Path, seed: int) -> LoraFile:
    """A LoRA of random numbers on every attention projection."""
    rng = np.random.default_rng(seed)
    modules = linear_layers_of(transformer)
    tensors = {}
    for name, (out, into) in modules.items():
        if name.startswith("transformer_blocks.") and name.endswith(("to_q", "to_k", "to_v", "to_out.0")):
            tensors[f"transformer.{name}.lora_A.weight"] = rng.normal(size=(RANK, into)).astype(np.float32)
            tensors[f"transformer.{name}.lora_B.weight"] = rng.normal(size=(out, RANK)).astype(np.float32)
    save_file(tensors, str(path))
    return read_lora(path, modules)


@torch.no_grad()
def _answers(transformer: torch.nn.Module, lora: LoraFile) -> list[torch.Tensor]:
    """What every changed layer says to the same 64 tokens."""
    layers = dict(transformer.named_modules())
    draw = torch.Generator().manual_seed(0)
    dtype = next(transformer.parameters()).dtype
    given = [torch.randn(64, layers[name].in_features, generator=draw).to(dtype) for name in lora.layers]
    return [layers[name](tokens).float() for name, tokens in zip(lora.layers, given, strict=True)]


def _difference(one: list[torch.Tensor], two: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, two, strict=True))


def _seconds(transformer: torch.nn.Module, lora: LoraFile, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        _answers(transformer, lora)
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


if __name__ == "__main__":
    main()
