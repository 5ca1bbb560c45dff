"""A transformer in a single file: its tensors by diffusers' names, and whether they fit a model's architecture."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.checkpoints.header import Damaged, Header, Tensor, read_header, shown
from pipelines.lora.layouts import renamed

_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "")
"""Of Lightricks' checkpoints, of ComfyUI's and GGUF's files, of diffusers'."""
_NORMS = re.compile(r"\.([qk])_norm\.")
_TABLES = (
    ("scale_shift_table_a2v_ca_video", "video_a2v_cross_attn_scale_shift_table"),
    ("scale_shift_table_a2v_ca_audio", "audio_a2v_cross_attn_scale_shift_table"),
)
# As in diffusers 0.42.1's ``convert_wan_transformer_to_diffusers``, one after the other.
_WAN_NAMES = (
    ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
    ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
    ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
    ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
    ("time_projection.1", "condition_embedder.time_proj"),
    ("cross_attn", "attn2"), ("self_attn", "attn1"), (".o.", ".to_out.0."), (".q.", ".to_q."), (".k.", ".to_k."),
    (".v.", ".to_v."), (".k_img.", ".add_k_proj."), (".v_img.", ".add_v_proj."), (".norm_k_img.", ".norm_added_k."),
    ("modulation", "scale_shift_table"), ("head.scale_shift_table", "scale_shift_table"), ("head.head", "proj_out"),
    ("ffn.0", "ffn.net.0.proj"), ("ffn.2", "ffn.net.2"), ("norm2", "norm_"), ("norm3", "norm2"), ("norm_.", "norm3."),
    ("img_emb.proj.0", "condition_embedder.image_embedder.norm1"),
    ("img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj"),
    ("img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2"),
    ("img_emb.proj.4", "condition_embedder.image_embedder.norm2"),
    ("before_proj", "proj_in"), ("after_proj", "proj_out"),
)  # fmt: skip
_PACKED_4, _NOT_PACKED = 5.6, ("F64", "F32", "F16", "BF16")
_NUMBERS = ("F8_E4M3", "F8_E5M2", *_NOT_PACKED)
GGUF_TYPES = (
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0", "Q3_K", "Q2_K", "IQ4_NL", "IQ4_XS",
)  # fmt: skip
"""Those that diffusers 0.42.1 unpacks."""


@dataclass(frozen=True)
class Layout:
    """How single files name the tensors of one family's transformers.

    ``named`` gives diffusers' names by a file's own, the prefix taken off; ``marks`` are diffusers' names that only this family
    has. Tensors that begin with ``others`` belong to other parts of the model.
    """

    family: str
    marks: tuple[str, ...]
    named: Callable[[Iterable[str]], Mapping[str, str]]
    others: tuple[str, ...] = ()


def _ltx2_names(names: Iterable[str]) -> dict[str, str]:
    return {name: _ltx2_name(name) for name in names}


def _wan_names(names: Iterable[str]) -> dict[str, str]:
    """What diffusers names already keeps its names: its ``norm2`` and ``norm3`` are the other way round."""
    found = list(names)
    if not any(".self_attn." in name for name in found):
        return {name: name for name in found}
    return {name: _replaced(name, _WAN_NAMES) for name in found}


LTX2 = Layout(
    "LTX-2",
    ("audio_proj_in.weight", "av_cross_attn_video_a2v_gate.linear.weight", "proj_in.weight"),
    _ltx2_names,
    ("video_embeddings_connector.", "audio_embeddings_connector."),
)
"""Lightricks keeps parts of the text's connectors with the transformer; the model that lends the others has its own."""
WAN = Layout("Wan", ("patch_embedding.weight", "blocks.0.attn1.to_q.weight"), _wan_names)
"""Also SkyReels V2, whose transformers are Wan's."""
LAYOUTS = (LTX2, WAN)


@dataclass(frozen=True)
class SingleFile:
    """A transformer in one file: ``tensors`` by diffusers' names, ``sources`` what the file itself calls them."""

    path: Path
    family: str
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


def layout_of(header: Header) -> tuple[Layout, str] | None:
    """Whose transformer is in a file, and the prefix of its tensors there; ``None`` for none that could be loaded."""
    for layout in LAYOUTS:
        for prefix in _PREFIXES:
            names = layout.named(name.removeprefix(prefix) for name in header.tensors if name.startswith(prefix))
            if {*names.values()}.issuperset(layout.marks):
                return layout, prefix
    return None


def read_transformer(path: Path) -> SingleFile:
    """The transformer in ``path``, from its header alone. Raises ``Damaged`` where it is no whole one of ``LAYOUTS``."""
    header = read_header(path)
    found = layout_of(header)
    if found is None:
        from pipelines.checkpoints.kinds import content_of

        content = content_of(header)
        what = f"{content.kind.value} of {content.family}" if content.family else content.kind.value
        families = " or ".join(layout.family for layout in LAYOUTS)
        raise Damaged(f"it holds no transformer of {families} (by its tensors: {what})")
    layout, prefix = found
    own = [name.removeprefix(prefix) for name in header.tensors if name.startswith(prefix)]
    named = layout.named(name for name in own if not name.startswith(layout.others))
    sources = {name: prefix + bare for bare, name in named.items()}
    known = _NUMBERS if header.format == "safetensors" else GGUF_TYPES
    strange = next((name for name in sources.values() if header.tensors[name].dtype not in known), None)
    if strange is not None:
        raise Damaged(f"{shown(strange)} is of the type {header.tensors[strange].dtype}; {', '.join(known)} can be used")
    tensors = {name: header.tensors[source] for name, source in sources.items()}
    return SingleFile(path, layout.family, header.format, tensors, sources)


def shapes_in(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of the transformer in a diffusers folder, from its files' headers. Raises ``Damaged``."""
    files = sorted((folder / "transformer").glob("*.safetensors"))
    return {name: tensor.shape for file in files for name, tensor in read_header(file).tensors.items()}


def _ltx2_name(name: str) -> str:
    return _NORMS.sub(r".norm_\1.", renamed(_replaced(name, _TABLES)))


def _replaced(name: str, table: Iterable[tuple[str, str]]) -> str:
    for old, new in table:
        name = name.replace(old, new)
    return name


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
