"""What is applied to a model from outside before it runs, and how that is chosen. Loads no torch."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import gcd, prod
from pathlib import Path
from typing import Any

from pipelines.contract import InvalidRequest, Quantization

_log = logging.getLogger(__name__)
GROUP = 16
"""Neighbouring weights that share scale and offset in 4 bits; fewer where a row does not divide by it."""
_RECIPE = 2
"""Counts up when the same mode would give other numbers."""
_LAYERS = re.compile(
    r"(^|\.)(((video|audio)_text_|visual_)?transformer_blocks|blocks|layers|block)\.\d+\.(.+\.)?"
    r"(to_[qkv]|to_out\.0|net\.0\.proj|net\.2|[qkvo]_proj|gate_proj|up_proj|down_proj"
    r"|add_[qkv]_proj|to_add_out|to_query|to_key|to_value|attention\.out_layer|SelfAttention\.[qkvo]|wi_[01])\.weight$"
)
_ROOM = 0.85
"""Weights may take this share of the memory there is; activations need the rest."""


RECORD_FILE, QUANTIZED_FILE = "quantization.json", "quantized.safetensors"
"""In a model's folder: how its files were made smaller; and in a part's, the weights that were."""


@dataclass(frozen=True)
class Record:
    """How the weights in a folder were quantized; ``sha256`` names the same model where it is quantized as it is loaded."""

    quantization: Quantization
    text_quantization: Quantization
    sha256: str

    def write(self, folder: Path) -> None:
        """Into ``folder``."""
        (folder / RECORD_FILE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def of(cls, folder: Path) -> Record | None:
        """That of ``folder``; ``None`` where its weights are as they were trained. Raises ``ValueError`` for a damaged one."""
        if not (folder / RECORD_FILE).is_file():
            return None
        told = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        try:
            return cls(Quantization(told["quantization"]), Quantization(told["text_quantization"]), str(told["sha256"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{RECORD_FILE} is damaged") from error


class Switch(StrEnum):
    """Whether something is done: where it is known to help, always, or never."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


@dataclass(frozen=True)
class Plan:
    """How one model is prepared: the bits of its transformer's and of its text encoder's large weights, and how blocks run."""

    quantization: Quantization = Quantization.NONE
    text_quantization: Quantization = Quantization.NONE
    kernels: Switch = Switch.OFF
    compile: bool = False


def name_of_quantized(sha256: str, quantization: Quantization) -> str:
    """The hash of weights that were ``sha256`` before they were quantized so."""
    if quantization is Quantization.NONE:
        return sha256
    return hashlib.sha256(f"{sha256} {quantization.value} {_RECIPE}".encode()).hexdigest()


def name_of_plan(sha256: str, plan: Plan) -> str:
    """The hash of a model that was ``sha256`` before it was prepared so: other weights make another clip.

    Kernels and compiled blocks compute the same from the same weights; like another machine, they round elsewhere.
    """
    return name_of_quantized(name_of_quantized(sha256, plan.quantization), plan.text_quantization)


def prepare(transformer: Any, plan: Plan) -> None:
    """Everything that a plan does to a transformer whose LoRAs were fused, in this order: quantize, keep rotary tables."""
    from pipelines.optimize.kernels.rotary import keep_rotary
    from pipelines.optimize.quantize import quantize

    quantize(transformer, plan.quantization)
    keep_rotary(transformer)


def settle(transformer: Any, plan: Plan) -> None:
    """What a plan does to a transformer that is on its device: compile its blocks, or else put fused kernels on them.

    Raises ``InvalidRequest`` for what is asked and cannot be done here.
    """
    if plan.compile:
        from pipelines.optimize.kernels.compiled import compile_blocks, hindrance

        reason = hindrance(transformer)
        if reason:
            raise InvalidRequest(f"compile is on, but {reason}: set STUDIO_COMPILE=false.", field="compile")
        compile_blocks(transformer)
    elif plan.kernels is not Switch.OFF:
        from pipelines.optimize.kernels.choice import put_kernels_on

        reason = put_kernels_on(transformer)
        if reason and plan.kernels is Switch.ON:
            raise InvalidRequest(f"kernels is on, but {reason}: set STUDIO_KERNELS=auto.", field="kernels")
        if reason and transformer.device.type == "cuda":
            _log.warning("fused kernels are not used: %s", reason)


def prepare_text(text_encoder: Any, connectors: Any, plan: Plan) -> None:
    """Everything that a plan does to the parts that read texts."""
    from pipelines.optimize.quantize import quantize

    for part in (text_encoder, connectors):
        quantize(part, plan.text_quantization)


def is_quantized(name: str, shape: tuple[int, ...]) -> bool:
    """Whether the weight ``name`` is one of those that modes change: the projections within the blocks.

    Embeddings, norms, adaptive norms, gates, biases, and the first and last layers are few, and small errors there go far.
    """
    return len(shape) == 2 and shape[1] % 2 == 0 and _LAYERS.search(name) is not None


def held_bytes(name: str, shape: tuple[int, ...], element: int, quantization: Quantization) -> int:
    """Bytes that the weight ``name`` takes beside an unquantized ``element`` of so many bytes."""
    count = prod(shape)
    if quantization in (Quantization.NONE, Quantization.AUTO) or not is_quantized(name, shape):
        return count * element
    out, into = shape
    match quantization:
        case Quantization.BF16:
            return 2 * count
        case Quantization.INT16:
            return 2 * count + 4 * out
        case Quantization.FP8:
            return count + 4 * out
        case Quantization.INT4:
            return count // 2 + 2 * count // gcd(into, GROUP) + 4 * out
        case _:
            return count + 5 * out


def plan_for(asked: Quantization, text: Quantization, weights_bytes: Callable[[Plan], int], room_bytes: int | None) -> Plan:
    """The plan of a model for which ``asked`` and ``text`` are wanted, where its weights may take some of ``room_bytes``.

    What is left to choose becomes the first of: as it is, 8 bits, 4 bits, that fits; without a known room, as it is.
    """
    automatic = Quantization.AUTO
    choices = (Quantization.NONE, Quantization.INT8, Quantization.INT4)
    plans = [
        Plan(each if asked is automatic else asked, each if text is automatic else text)
        for each in choices
        if each is Quantization.NONE or automatic in (asked, text)
    ]
    if room_bytes is None:
        return plans[0]
    return next((plan for plan in plans if weights_bytes(plan) <= _ROOM * room_bytes), plans[-1])
