"""LoRA files: every layout is read to the same layers, and nothing that is not a whole, finite, fitting LoRA gets in."""

from __future__ import annotations

import itertools
import json
import pickle
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipelines.contract import InvalidRequest
from pipelines.lora.conflict import conflict
from pipelines.lora.file import linear_layers, read_lora, tensor_of
from pipelines.registry import POCKET_FOLDER

MODULES = linear_layers(POCKET_FOLDER)
SOME = ("transformer_blocks.0.attn1.to_q", "transformer_blocks.1.audio_ff.net.0.proj", "time_embed.linear")
Tensors = dict[str, np.ndarray]


def write(path: Path, tensors: Tensors, metadata: dict | None = None, **changes) -> Path:
    """A safetensors file; ``changes`` put other entries into its header."""
    header: dict = {} if metadata is None else {"__metadata__": metadata}
    at, kinds = 0, {"float32": "F32", "float16": "F16", "float64": "F64", "int32": "I32"}
    for name, tensor in tensors.items():
        header[name] = {"dtype": kinds[str(tensor.dtype)], "shape": [*tensor.shape], "data_offsets": [at, at + tensor.nbytes]}
        at += tensor.nbytes
    text = json.dumps(header | changes).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensor.tobytes() for tensor in tensors.values()))
    return path


def halves(seed: int = 0, rank: int = 4) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {
        name: (
            rng.normal(size=(rank, MODULES[name][1])).astype(np.float32),
            rng.normal(size=(MODULES[name][0], rank)).astype(np.float32),
        )
        for name in SOME
    }


def named(layout: str, pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> Tensors:
    """The tensors as trainers of this layout name them."""
    found: Tensors = {}
    for module, (down, up) in pairs.items():
        original = module.replace("time_embed", "adaln_single")
        match layout:
            case "diffusers":
                found |= {f"transformer.{module}.lora_A.weight": down, f"transformer.{module}.lora_B.weight": up}
            case "bare":
                found |= {f"{module}.lora_A.weight": down, f"{module}.lora_B.weight": up}
            case "peft":
                found |= {f"base_model.model.{module}.lora_A.default.weight": down}
                found |= {f"base_model.model.{module}.lora_B.default.weight": up}
            case "kohya":
                flat = "lora_unet_" + original.replace(".", "_")
                found |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up, f"{flat}.alpha": np.float32([2.0])}
            case "ltx":
                found |= {f"diffusion_model.{original}.lora_A.weight": down, f"diffusion_model.{original}.lora_B.weight": up}
    return found


@pytest.mark.parametrize("layout", ["diffusers", "bare", "peft", "kohya", "ltx"])
def test_every_layout_is_read_to_the_same_layers(tmp_path, layout):
    pairs = halves()
    lora = read_lora(write(tmp_path / "x.safetensors", named(layout, pairs), {"trigger_words": "neon glow, wow"}), MODULES)
    assert set(lora.layers) == set(SOME) and lora.ranks == (4,) and lora.trigger_words == ("neon glow", "wow")
    assert lora.layout == {"bare": "diffusers"}.get(layout, layout)
    for name, (down, up) in pairs.items():
        layer = lora.layers[name]
        assert np.array_equal(tensor_of(lora.path, layer.down), down) and np.array_equal(tensor_of(lora.path, layer.up), up)
        assert layer.scale == (0.5 if layout == "kohya" else 1.0)


def test_half_precision_and_bfloat16_are_read(tmp_path):
    pairs = halves()
    half = {name: tensor.astype(np.float16) for name, tensor in named("diffusers", pairs).items()}
    lora = read_lora(write(tmp_path / "h.safetensors", half), MODULES)
    assert np.allclose(tensor_of(lora.path, lora.layers[SOME[0]].down), pairs[SOME[0]][0], atol=1e-2)
    upper = {
        name: (tensor.view(np.uint32) >> 16).astype(np.uint16).view(np.float16)
        for name, tensor in named("diffusers", pairs).items()
    }
    path = write(tmp_path / "b.safetensors", upper)
    path.write_bytes(path.read_bytes().replace(b'"F16" ', b'"F16"').replace(b'"F16"', b'"BF16"', 0))
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    text, rest = path.read_bytes()[8 : 8 + length].replace(b'"F16"', b'"BF16"'), path.read_bytes()[8 + length :]
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)
    lora = read_lora(path, MODULES)
    assert np.allclose(tensor_of(lora.path, lora.layers[SOME[0]].down), pairs[SOME[0]][0], atol=5e-2)


@dataclass
class Mill:
    """Makes files that are not LoRAs for this model, each with what its refusal must say."""

    folder: Path

    def __post_init__(self) -> None:
        self.good = named("diffusers", halves())
        self.whole = write(self.folder / "good", self.good).read_bytes()
        (self.length,) = struct.unpack("<Q", self.whole[:8])
        self.header = json.loads(self.whole[8 : 8 + self.length])
        self.first, self.second, *_ = self.header

    def file(self, tensors: Tensors, metadata: dict | None = None, **changes) -> bytes:
        return write(self.folder / "made", tensors, metadata, **changes).read_bytes()

    def bytes(self) -> Iterator[tuple[str, bytes]]:
        whole, length = self.whole, self.length
        yield "pickle", pickle.dumps({"weights": [1.0]})
        yield "pickle", b"PK\x03\x04" + whole
        for count in range(8):
            yield "cut off before its header", whole[:count]
        for cut in np.linspace(8, 8 + length - 1, 75).astype(int):
            yield "cut off within its header", whole[:cut]
        for cut in np.linspace(8 + length, len(whole) - 1, 75).astype(int):
            yield "cut off within its tensors", whole[:cut]
        for more in (1, 7, 1000):
            yield "bytes behind its tensors", whole + b"\0" * more
        for huge in (2**24, 2**40, 2**63, 2**64 - 1):
            yield "header is too large", struct.pack("<Q", huge) + whole[8:]
        strange = (b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe", b"{'a': 1}", b"[" * 5000, b'{"a": NaN}')
        for text in (*strange, b'{"__metadata__": {}}', b"{}"):
            yield "header|holds 0 tensors", struct.pack("<Q", len(text)) + text
        again = f", {json.dumps(self.first)}: {json.dumps(self.header[self.first])}}}"
        doubled = json.dumps(self.header)[:-1] + again
        yield "names the same thing twice", struct.pack("<Q", len(doubled)) + doubled.encode() + whole[8 + length :]

    def names(self) -> Iterator[tuple[str, bytes]]:
        good, tensor = self.good, self.good[self.first]
        for name in ("../../evil", "a/b", "a\\b", "x\0y", "new\nline", "\u202eflip", "n" * 400, ".."):
            yield "which no trainer does", self.file({name: tensor})
        for name in ("weight", "transformer.lora_A.weight.bak", "encoder.layer.0", "model.safetensors", "lora", "x"):
            yield "no part of a LoRA", self.file({name: tensor})
        elsewhere = ("unet.down.lora_A.weight", "transformer.transformer_blocks.99.attn1.to_q.lora_A.weight")
        for name in (*elsewhere, "lora_unet_input_blocks_1.lora_down.weight"):
            yield "has no layer", self.file({name: tensor})
        for ending in (
            ".dora_scale",
            ".lora_magnitude_vector",
            ".hada_w1_a",
            ".lokr_w1",
            ".lora_mid.weight",
            ".diff",
            ".lora_B.bias",
        ):
            yield "not supported", self.file({**good, f"transformer.{SOME[0]}{ending}": np.zeros(3, np.float32)})
        for name in good:
            yield "only one half", self.file({other: tensor for other, tensor in good.items() if other != name})
        yield "there twice", self.file({**good, f"base_model.model.{SOME[0]}.lora_A.weight": good[self.first]})

    def numbers(self) -> Iterator[tuple[str, bytes]]:
        good = self.good
        for bad in (np.nan, np.inf, -np.inf):
            for name, tensor in good.items():
                for at in (0, tensor.size // 2, tensor.size - 1):
                    broken = tensor.copy()
                    broken.reshape(-1)[at] = bad
                    yield "not finite", self.file({**good, name: broken})
        for name, tensor in good.items():
            for wrong in (tensor[:, :-1], tensor[:-1], tensor.T, tensor[None], tensor.reshape(-1), tensor[:0]):
                yield "fit each other|made for|no low rank", self.file({**good, name: np.ascontiguousarray(wrong)})
        down, up = f"transformer.{SOME[0]}.lora_A.weight", f"transformer.{SOME[0]}.lora_B.weight"
        out, into = MODULES[SOME[0]]
        for rank in (193, 500, 2000):
            yield "no low rank", self.file({down: np.zeros((rank, into), np.float32), up: np.zeros((out, rank), np.float32)})
        for alpha in ([np.nan], [np.inf], [1.0, 2.0], []):
            yield "alpha", self.file({**good, f"transformer.{SOME[0]}.alpha": np.float32(alpha)})
        yield "is of the type", self.file({down: np.zeros((4, into), np.int32), up: good[up]})

    def entries(self) -> Iterator[tuple[str, bytes]]:
        good, first, entry = self.good, self.first, self.header[self.first]
        for metadata in ({"a": 1}, {"a": None}, {"a": ["b"]}, {"a": {"b": "c"}}):
            yield "not plain text", self.file(good, metadata)
        for change in ({"dtype": "F32"}, {**entry, "more": 1}, [], None, 7, "x"):
            yield "entry of", self.file(good, **{first: change})
        for dtype in ("I64", "pickle", 4, None, [], "F8_E4M3"):
            yield "is of the type", self.file(good, **{first: {**entry, "dtype": dtype}})
        start, end = entry["data_offsets"]
        places = ([-1, end], [start, end + 4], [end, start], [start], [], "x", None, [0.0, 1.5], [start, 2**60], [True, end])
        for offsets in (*places, [start, end, end], {}):
            yield "bytes|whole numbers", self.file(good, **{first: {**entry, "data_offsets": offsets}})
        for shape in ([-4, 192], [4.0, 192], ["4", 192], [2**40, 2**40], None, {}, [4, 192, 0], [1] * 9, [4, 191], [True, 768]):
            yield "bytes|whole numbers", self.file(good, **{first: {**entry, "shape": shape}})
        for shift in (4, 8, 64):
            offsets = [offset - shift for offset in self.header[self.second]["data_offsets"]]
            moved = {**self.header[self.second], "data_offsets": offsets}
            yield "overlap", self.file(good, **{self.second: moved})

    def noise(self) -> Iterator[tuple[str, bytes]]:
        rng = np.random.default_rng(0)
        for _ in range(100):
            yield "", rng.integers(0, 255, int(rng.integers(8, 400)), np.uint8).tobytes()
        for _ in range(60):
            damaged = bytearray(self.whole)
            damaged[int(rng.integers(8, 8 + self.length))] ^= 0xFF
            yield "", bytes(damaged)


def test_malformed_files_are_refused_each_with_its_reason(tmp_path):
    mill, count = Mill(tmp_path), 0
    for reason, content in itertools.chain(mill.bytes(), mill.names(), mill.numbers(), mill.entries(), mill.noise()):
        path = tmp_path / "bad.safetensors"
        path.write_bytes(content)
        with pytest.raises(InvalidRequest) as refused:
            read_lora(path, MODULES)
        message = refused.value.message
        assert re.search(reason, message), (reason, message)
        assert message.isprintable() and len(message) < 400 and refused.value.field == "lora"
        count += 1
    assert count >= 500


def test_another_models_lora_is_refused_by_its_shapes(tmp_path):
    path = write(tmp_path / "x.safetensors", named("diffusers", halves()))
    other = {name: (2 * out, 2 * into) for name, (out, into) in MODULES.items()}
    with pytest.raises(InvalidRequest, match="made for 192x192; this model has 384x384"):
        read_lora(path, other)


def test_the_conflict_meter(tmp_path):
    pairs = halves(1)
    one = read_lora(write(tmp_path / "1.safetensors", named("diffusers", pairs)), MODULES)
    opposite = {name: (down, -up) for name, (down, up) in pairs.items()}
    against = read_lora(write(tmp_path / "2.safetensors", named("kohya", opposite)), MODULES)
    other = read_lora(write(tmp_path / "3.safetensors", named("diffusers", halves(2))), MODULES)
    assert conflict(one, one).cosine == pytest.approx(1) and conflict(one, one).overlap == pytest.approx(1)
    assert conflict(one, against).cosine == pytest.approx(-1) and conflict(one, against).level == "strong"
    found = conflict(one, other)
    assert abs(found.cosine) < 0.1 and found.overlap < 0.1 and found.level == "none"
    full = [sum(float(np.sum((a[1] @ a[0]) * (b[1] @ b[0]))) for a, b in zip(x.values(), y.values(), strict=True)) for x, y in (
        (pairs, halves(2)), (pairs, pairs), (halves(2), halves(2)),
    )]  # fmt: skip
    assert found.cosine == pytest.approx(full[0] / np.sqrt(full[1] * full[2]), rel=1e-4)
    assert conflict(one, other) == conflict(one, other) and conflict(other, one).cosine == pytest.approx(found.cosine)
