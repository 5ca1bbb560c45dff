"""The ways in which trainers name the tensors of a LoRA, each read into the model's own module names. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipelines.checkpoints.header import shown

Role = Literal["down", "up", "alpha"]
_ENDINGS: dict[str, Role] = {
    ".lora_A.weight": "down",
    ".lora_A.default.weight": "down",
    ".lora_down.weight": "down",
    ".lora.down.weight": "down",
    ".lora_B.weight": "up",
    ".lora_B.default.weight": "up",
    ".lora_up.weight": "up",
    ".lora.up.weight": "up",
    ".alpha": "alpha",
}
_FOREIGN = {
    ".dora_scale": "DoRA",
    ".lora_magnitude_vector": "DoRA",
    ".hada_w1_a": "LoHa",
    ".lokr_w1": "LoKr",
    ".lora_mid.weight": "LoCon with a middle layer",
    ".diff": "full weight differences",
    ".lora_B.bias": "a LoRA with trained biases",
}
_KOHYA_PREFIXES = ("lora_unet_", "lora_transformer_")
_PREFIXES = {
    "base_model.model.transformer.": "peft",
    "base_model.model.": "peft",
    "diffusion_model.": "ltx",
    "model.diffusion_model.": "ltx",
    "transformer.": "diffusers",
}
# Lightricks' own names for what diffusers calls otherwise (as in diffusers 0.42.1's checkpoint conversion).
_RENAMED = (
    ("patchify_proj", "proj_in"),
    ("av_ca_video_scale_shift_adaln_single", "av_cross_attn_video_scale_shift"),
    ("av_ca_a2v_gate_adaln_single", "av_cross_attn_video_a2v_gate"),
    ("av_ca_audio_scale_shift_adaln_single", "av_cross_attn_audio_scale_shift"),
    ("av_ca_v2a_gate_adaln_single", "av_cross_attn_audio_v2a_gate"),
    ("prompt_adaln_single", "prompt_adaln"),
    ("adaln_single", "time_embed"),
)


@dataclass(frozen=True)
class Name:
    """A tensor's name read: the model's module, what the tensor is to it, and whose way of naming it was."""

    module: str
    role: Role
    layout: str


class UnknownName(ValueError):
    """A tensor that is no part of a LoRA for this model; says what it looks like."""


def read_name(name: str, modules: Mapping[str, tuple[int, int]]) -> Name:
    """Read a tensor's name; ``modules`` are the model's linear layers. Raises ``UnknownName``."""
    for ending, what in _FOREIGN.items():
        if name.endswith(ending):
            raise UnknownName(f"it is {what} ({shown(name)}), which is not supported")
    known = next((known for known in _ENDINGS if name.endswith(known)), None)
    if known is None:
        raise UnknownName(f"the tensor {shown(name)} is no part of a LoRA")
    module, role = name.removesuffix(known), _ENDINGS[known]
    kohya = next((prefix for prefix in _KOHYA_PREFIXES if module.startswith(prefix)), None)
    if kohya is not None:
        flat = module.removeprefix(kohya)
        found = next((each for each in modules if each.replace(".", "_") == renamed(flat)), None)
        if found is None:
            raise UnknownName(f"the model has no layer {shown(flat)}")
        return Name(found, role, "kohya")
    prefix = next((prefix for prefix in _PREFIXES if module.startswith(prefix)), "")
    module = module.removeprefix(prefix)
    layout = _PREFIXES.get(prefix, "diffusers")
    if layout == "ltx":
        module = renamed(module)
    if module not in modules:
        raise UnknownName(f"the model has no layer {shown(module)}")
    return Name(module, role, layout)


def renamed(module: str) -> str:
    """What diffusers calls the module that Lightricks calls ``module``."""
    for old, new in _RENAMED:
        module = re.sub(rf"(^|[._]|audio_){old}(?=[._]|$)", rf"\g<1>{new}", module)
    return module
