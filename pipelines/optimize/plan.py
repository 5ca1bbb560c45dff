"""What is applied to a model from outside before it runs, and how that is chosen. Loads no torch."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
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
_GROUP = re.compile(
    r"(?P<block>.*?\b(?:transformer_blocks|single_transformer_blocks|blocks|layers|block)\.\d+)\.|(?P<table>.*\bembed_tokens)\."
)
_ROOM = 0.85
"""Weights may take this share of the memory there is; activations need the rest."""


_PACKED = (Quantization.INT8, Quantization.INT8_DYNAMIC, Quantization.FP8)
"""Modes whose weights are torchao's own kind of tensor."""
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


class Offload(StrEnum):
    """Which weights come to the device only while they are used, block by block.

    They are at home in the CPU's memory. On a CPU, and with ``DISK``, they are in files.
    """

    AUTO = "auto"
    NONE = "none"
    TEXT = "text"
    BLOCKS = "blocks"
    DISK = "disk"

    @property
    def whole(self) -> bool:
        """Whether the transformer's weights do too, and not only those that read texts."""
        return self in (Offload.BLOCKS, Offload.DISK)


@dataclass(frozen=True)
class Plan:
    """How one model is prepared: the bits of its transformer's and of its text encoder's large weights, how blocks run, and where
    weights are while they are not used; ``files`` is the folder for those that are in files.
    """

    quantization: Quantization = Quantization.NONE
    text_quantization: Quantization = Quantization.NONE
    kernels: Switch = Switch.OFF
    compile: bool = False
    offload: Offload = Offload.NONE
    files: Path | None = None

    def in_files(self, device: str) -> bool:
        """Whether what is away from a kind of ``device`` is in files."""
        return self.offload is Offload.DISK or (device == "cpu" and self.offload is not Offload.NONE)

    def hindrance(self, device: str) -> str | None:
        """Why it cannot be carried out on a kind of ``device``."""
        if self.compile and self.offload.whole:
            return "compiled blocks stay where they are: set STUDIO_COMPILE=false"
        modes = [self.text_quantization, *([self.quantization] if self.offload.whole else [])]
        if self.in_files(device) and (packed := [mode.value for mode in modes if mode in _PACKED]):
            return f"weights in {packed[0]} cannot lie in files: use int4, int16 or none"
        return None


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


def group_of(name: str) -> str | None:
    """The module that the weight ``name`` comes and goes with where weights are away: its block, or a table of words."""
    found = _GROUP.match(name)
    return None if found is None else found["block"] or found["table"]


_CHOICES = (
    (Quantization.NONE, Offload.NONE),
    (Quantization.NONE, Offload.TEXT),
    (Quantization.INT8, Offload.NONE),
    (Quantization.INT8, Offload.TEXT),
    (Quantization.INT4, Offload.NONE),
    (Quantization.INT4, Offload.TEXT),
    (Quantization.INT8, Offload.BLOCKS),
    (Quantization.INT4, Offload.BLOCKS),
)
"""What is left to choose becomes the first that fits: a text is read once a clip, so waiting for its reader costs the least, and
a block that is waited for in every step the most."""


def plan_for(wanted: Plan, device: str, weights_bytes: Callable[[Plan], int], room_bytes: int | None) -> Plan:
    """``wanted`` with all that is ``auto`` in it chosen, for a kind of ``device`` where weights may take some of ``room_bytes``.

    Without a known room nothing is made smaller and nothing is away. Raises ``InvalidRequest`` for what cannot be done.
    """
    automatic = Quantization.AUTO
    plans = [
        replace(
            wanted,
            quantization=mode if wanted.quantization is automatic else wanted.quantization,
            text_quantization=mode if wanted.text_quantization is automatic else wanted.text_quantization,
            offload=offload if wanted.offload is Offload.AUTO else wanted.offload,
        )
        for mode, offload in _CHOICES
    ]
    possible = [plan for plan in dict.fromkeys(plans) if plan.hindrance(device) is None]
    if not possible:
        raise InvalidRequest(f"offload is {wanted.offload}, but {plans[0].hindrance(device)}.", field="offload")
    if room_bytes is None:
        return possible[0]
    return next((plan for plan in possible if weights_bytes(plan) <= _ROOM * room_bytes), possible[-1])
