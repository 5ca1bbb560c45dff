"""Headers of files of weights: whole ones are read, damaged and lying ones refused before anything is allocated for them."""

from __future__ import annotations

import json
import pickle
import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from pipelines.checkpoints.header import Damaged, Header, read_header
from pipelines.checkpoints.kinds import Content, Kind, content_of
from pipelines.checkpoints.scan import scan
from tests.checkpoints import write_gguf

Q8_0 = gguf.GGMLQuantizationType.Q8_0
SMALL = {
    "transformer_blocks.0.a.weight": np.arange(128, dtype=np.float32).reshape(2, 64),
    "transformer_blocks.0.a.bias": np.ones(5, np.float32),
}


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    return write_gguf(tmp_path / "whole", Q8_0, SMALL).read_bytes()


def read(folder: Path, content: bytes) -> Header:
    (folder / "file").write_bytes(content)
    return read_header(folder / "file")


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words)) + words.encode()


def made(
    *, tensors: tuple[bytes, ...], pairs: tuple[bytes, ...] = (), version: int = 3, claimed: int | None = None, more: int = 64
) -> bytes:
    """A GGUF file of these parts, and ``more`` bytes of weights from the next multiple of 32 on."""
    count = len(tensors) if claimed is None else claimed
    head = b"GGUF" + struct.pack("<IQQ", version, count, len(pairs)) + b"".join(pairs) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + b"\0" * more


def entry(name: str = "a", sides: tuple[int, ...] = (16,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(sides)}QIQ", len(sides), *sides, kind, offset)


def test_a_gguf_file_is_read_as_its_own_writer_wrote_it(tmp_path: Path, whole: bytes) -> None:
    header = read(tmp_path, whole)
    own = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "file").tensors}
    assert header.format == "gguf" and header.metadata["general.architecture"] == "ltxv" and header.tensors.keys() == own.keys()
    for name, tensor in header.tensors.items():
        assert tensor.dtype == own[name].tensor_type.name and tensor.start == own[name].data_offset
        assert tensor.shape == SMALL[name].shape and tensor.end - tensor.start == own[name].n_bytes


def test_cut_off_files_are_refused_wherever_they_end(tmp_path: Path, whole: bytes) -> None:
    end = max(tensor.end for tensor in read(tmp_path, whole).tensors.values())  # what follows fills up to the next multiple of 32
    for count in (*range(100), *range(100, end, 7), end - 1):
        with pytest.raises(Damaged, match=r"cut off|does not begin"):
            read(tmp_path, whole[:count])
    with pytest.raises(Damaged, match="bytes behind its tensors"):
        read(tmp_path, whole + b"\0" * 64)


def test_lies_are_refused_each_with_its_reason(tmp_path: Path) -> None:
    one, length = entry(), 2**63
    assert read(tmp_path, made(tensors=(one,))).tensors["a"].shape == (16,)
    lies = {
        "version 1": made(tensors=(one,), version=1),
        "version 50331648": made(tensors=(one,), version=3 << 24),
        "claims 0 tensors": made(tensors=()),
        "claims 1152921504606846976 tensors": made(tensors=(one,), claimed=2**60),
        "cut off within its header": made(tensors=(struct.pack("<Q", length) + b"a",)),
        "9 sides": made(tensors=(entry(sides=(1,) * 9),)),
        "shape or offset": made(tensors=(entry(sides=(2**40, 2**40, 2**40, 2**40)),)),
        "shape or offset of 'a'": made(tensors=(entry(sides=(0,)),)),
        "cut off within its tensors": made(tensors=(entry(sides=(2**30,)),)),
        "type 77": made(tensors=(entry(kind=77),)),
        "cannot pack|bounds": made(tensors=(entry(sides=(33,), kind=int(Q8_0)),)),
        "has 16 numbers, which Q8_0": made(tensors=(entry(sides=(16, 2), kind=int(Q8_0)),)),
        "leave a gap": made(tensors=(entry(offset=32),)),
        "overlap": made(tensors=(entry(), entry("b"))),
        "names the same thing twice": made(tensors=(one, entry(offset=64)), more=128),
        "no trainer does": made(tensors=(entry("../a"),)),
        "alignment": made(tensors=(one,), pairs=(text("general.alignment") + struct.pack("<II", 4, 3),)),
        "unknown type 99": made(tensors=(one,), pairs=(text("k") + struct.pack("<I", 99),)),
        "list of the type 9": made(tensors=(one,), pairs=(text("k") + struct.pack("<IIQ", 9, 9, 4),)),
        "cut off within": made(tensors=(one,), pairs=(text("k") + struct.pack("<IIQ", 9, 8, 2**60),)),
        "cut off within its  *header|header": made(tensors=(one,), pairs=(text("k") + struct.pack("<IIQ", 9, 4, 2**62),)),
        "pickle": pickle.dumps({"weights": [1.0]}),
        "is a pickle": b"PK\x03\x04" + b"\0" * 100,
    }
    tracemalloc.start()
    for words, content in lies.items():
        with pytest.raises(Damaged, match=words) as refused:
            read(tmp_path, content)
        assert "\n" not in str(refused.value)
    assert tracemalloc.get_traced_memory()[1] < 8 * 1024**2
    tracemalloc.stop()


def test_damage_anywhere_is_read_or_refused_and_nothing_else(tmp_path: Path, whole: bytes) -> None:
    random = np.random.default_rng(0)
    begin = len(whole) - 32 * 8
    for _ in range(400):
        broken = bytearray(whole)
        broken[int(random.integers(4, begin))] ^= int(random.integers(1, 256))
        try:
            read(tmp_path, bytes(broken))
        except Damaged as error:
            assert str(error)
    for size in range(0, 300, 7):
        with pytest.raises(Damaged):
            read(tmp_path, b"GGUF" + random.bytes(size))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("model.diffusion_model.patch_embedding.weight", "model.diffusion_model.blocks.0.self_attn.q.weight"), "Wan"),
        (("double_blocks.0.img_attn.qkv.weight", "img_in.weight"), "FLUX"),
        (("patchify_proj.weight", "adaln_single.linear.weight"), "LTX-Video"),
        (("model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.x"), "Stable Diffusion"),
    ],
)
def test_other_families_are_named(tmp_path: Path, names: tuple[str, ...], expected: str) -> None:
    save_file({name: np.zeros(4, np.float32) for name in names}, tmp_path / "file")
    assert content_of(read_header(tmp_path / "file")) == Content(Kind.TRANSFORMER, expected)


def test_parts_of_our_own_model_are_what_they_are() -> None:
    from pipelines.registry import POCKET_FOLDER

    expected = {
        "transformer": Content(Kind.TRANSFORMER, "LTX-2"),
        "vae": Content(Kind.VAE, "LTX-2"),
        "audio_vae": Content(Kind.VAE, "LTX-2 sound"),
        "text_encoder": Content(Kind.TEXT_ENCODER, "Gemma"),
        "vocoder": Content(Kind.UNKNOWN),
    }
    for part, content in expected.items():
        file = next((POCKET_FOLDER / part).glob("*.safetensors"))
        assert content_of(read_header(file)) == content, part


def test_a_header_of_numbers_too_large_for_json_is_refused(tmp_path: Path) -> None:
    words = json.dumps({"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).replace("[0]", f"[{'9' * 5000}]").encode()
    with pytest.raises(Damaged, match=r"JSON|bounds"):
        read(tmp_path, struct.pack("<Q", len(words)) + words)


@pytest.mark.parametrize("first", [b"\x80", b"PK"])
def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path, first: bytes) -> None:
    length = int.from_bytes(first.ljust(2, b"\1"), "little")
    words = json.dumps({"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}).ljust(length).encode()
    content = struct.pack("<Q", length) + words + b"abc"
    assert content.startswith(first) and read(tmp_path, content).tensors["a"].shape == (3,)
    assert scan(tmp_path, [])[0].kind == "unknown"
