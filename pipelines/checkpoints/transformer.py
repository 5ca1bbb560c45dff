"""An LTX-2-class transformer in a single file: its tensors by diffusers' names, and whether they fit a model's architecture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.checkpoints.header import Damaged, Header, Tensor, read_header, shown
from pipelines.lora.layouts import renamed

_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "")
"""Of Lightricks' checkpoints, of ComfyUI's and GGUF's files, of diffusers'."""
LTX2_MARKS = ("audio_proj_in.weight", "av_cross_attn_video_a2v_gate.linear.weight", "proj_in.weight")
_CONNECTORS = ("video_embeddings_connector.", "audio_embeddings_connector.")
"""Parts of the text's connectors that Lightricks keeps with the transformer; the other model has its own."""
_NORMS = re.compile(r"\.([qk])_norm\.")
_TABLES = (
    ("scale_shift_table_a2v_ca_video", "video_a2v_cross_attn_scale_shift_table"),
    ("scale_shift_table_a2v_ca_audio", "audio_a2v_cross_attn_scale_shift_table"),
)
_PACKED_4, _NOT_PACKED = 5.6, ("F64", "F32", "F16", "BF16")
_NUMBERS = ("F8_E4M3", "F8_E5M2", *_NOT_PACKED)
GGUF_TYPES = (
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0", "Q3_K", "Q2_K", "IQ4_NL", "IQ4_XS",
)  # fmt: skip
"""Those that diffusers 0.42.1 unpacks."""


@dataclass(frozen=True)
class SingleFile:
    """A transformer in one file: ``tensors`` by diffusers' names, ``sources`` what the file itself calls them."""

    path: Path
    format: str
    tensors: Mapping[str, Tensor]
    sources: Mapping[str, str]

    @property
    def bits(self) -> int | None:
        """In about how many bits GGUF holds a weight, 4 or 8; ``None`` where weights are not packed."""
        packed = [each for name, each in self.tensors.items() if self.is_packed(name)]
        if not packed:
            return None
        numbers, held = sum(_count(each.shape) for each in packed), sum(each.end - each.start for each in packed)
        return 4 if 8 * held / numbers <= _PACKED_4 else 8

    def is_packed(self, name: str) -> bool:
        """Whether a weight stays as GGUF packs it: a linear layer's, in blocks of neighbours."""
        tensor = self.tensors[name]
        return name.endswith(".weight") and len(tensor.shape) == 2 and tensor.dtype not in _NUMBERS

    def check(self, shapes: Mapping[str, tuple[int, ...]], title: str) -> None:
        """Raises ``Damaged`` naming the first tensor that does not fit ``shapes``, those of the model ``title``."""
        for name, shape in shapes.items():
            if name not in self.tensors:
                raise Damaged(f"it lacks {shown(name)}, which the transformer of {title} has")
            found = self.tensors[name].shape
            if found != shape:
                raise Damaged(f"{shown(self.sources[name])} is {_sides(found)}; the transformer of {title} has {_sides(shape)}")
        for name in self.tensors:
            if name not in shapes:
                raise Damaged(f"it holds {shown(self.sources[name])}, which the transformer of {title} has not")


def layout_of(header: Header) -> str | None:
    """The prefix that an LTX-2-class transformer's tensors have in a file; ``None`` where it holds no such transformer."""
    for prefix in _PREFIXES:
        names = {_diffusers_name(name.removeprefix(prefix)) for name in header.tensors if name.startswith(prefix)}
        if names.issuperset(LTX2_MARKS):
            return prefix
    return None


def read_transformer(path: Path) -> SingleFile:
    """The transformer in ``path``, from its header alone. Raises ``Damaged`` where it is no whole LTX-2-class transformer."""
    header = read_header(path)
    prefix = layout_of(header)
    if prefix is None:
        from pipelines.checkpoints.kinds import content_of

        found = content_of(header)
        what = f"{found.kind.value} of {found.family}" if found.family else found.kind.value
        raise Damaged(f"it holds no transformer of LTX-2's class (by its tensors: {what})")
    own = [name for name in header.tensors if name.startswith(prefix)]
    sources = {_diffusers_name(bare): name for name in own if not (bare := name.removeprefix(prefix)).startswith(_CONNECTORS)}
    known = _NUMBERS if header.format == "safetensors" else GGUF_TYPES
    strange = next((name for name in sources.values() if header.tensors[name].dtype not in known), None)
    if strange is not None:
        raise Damaged(f"{shown(strange)} is of the type {header.tensors[strange].dtype}; {', '.join(known)} can be used")
    return SingleFile(path, header.format, {name: header.tensors[source] for name, source in sources.items()}, sources)


def shapes_in(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of the transformer in a diffusers folder, from its files' headers. Raises ``Damaged``."""
    files = sorted((folder / "transformer").glob("*.safetensors"))
    return {name: tensor.shape for file in files for name, tensor in read_header(file).tensors.items()}


def _diffusers_name(name: str) -> str:
    for old, new in _TABLES:
        name = name.replace(old, new)
    return _NORMS.sub(r".norm_\1.", renamed(name))


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
