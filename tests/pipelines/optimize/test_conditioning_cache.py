"""Encoded texts that are kept: the right ones, in the room there is, whatever happens to the files."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines.conditioning import encode_prompt, key_of
from pipelines.contract import Done, GenerationRequest, ModelNotFound
from pipelines.engine import Engine
from pipelines.models.ltx2.load import load
from pipelines.nodes.encode_prompt import conditioning_of
from pipelines.optimize.ageing import Ageing
from pipelines.optimize.conditioning_cache import ConditioningCache, Key, Limits
from pipelines.optimize.memory import PLENTY
from pipelines.optimize.sealed import Damaged, read_sealed, write_sealed
from pipelines.registry import ModelCatalogue
from tests.disks import disk, fill, make_read_only

KEY = Key("a red ball", "weights", "torch.float32", "cpu", "torch 2")
CPU = torch.device("cpu")


class Clock:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


class Encoder:
    """Numbers that a text stands for, in a thousand bytes; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str) -> dict[str, torch.Tensor]:
        self.asked.append(text)
        generator = torch.Generator().manual_seed(int.from_bytes(text.encode()[:7], "little"))
        return {"video": torch.randn(1, 10, 20, generator=generator), "mask": torch.ones(1, 25, dtype=torch.int64)}


def ask(cache: ConditioningCache, encoder: Encoder, text: str) -> None:
    found = cache.fetch(replace(KEY, text=text), lambda: encoder(text))
    right = Encoder()(text)
    assert found.keys() == right.keys() and all(torch.equal(found[name], right[name]) for name in right)


def only_file(folder: Path) -> Path:
    (file,) = folder.glob("*")
    return file


def test_a_text_is_encoded_once_in_this_process_and_the_next(tmp_path):
    encoder = Encoder()
    first = ConditioningCache(folder=tmp_path)
    for _ in range(3):
        ask(first, encoder, "a ball")
    ask(ConditioningCache(folder=tmp_path), encoder, "a ball")
    assert encoder.asked == ["a ball"]
    assert (first.tally.misses, first.tally.memory_hits, first.tally.disk_hits) == (1, 2, 0)


@pytest.mark.parametrize("change", ["text", "model", "dtype", "device", "software"])
def test_everything_that_the_numbers_depend_on_is_in_the_name(tmp_path, change):
    cache, encoder = ConditioningCache(folder=tmp_path), Encoder()
    cache.fetch(KEY, lambda: encoder("one"))
    other = cache.fetch(replace(KEY, **{change: "another"}), lambda: encoder("two"))
    assert torch.equal(other["video"], Encoder()("two")["video"]) and len(encoder.asked) == 2


def test_half_precision_comes_back_as_it_was(tmp_path):
    numbers = {"video": torch.randn(3, 5).bfloat16(), "audio": torch.randn(2).half(), "mask": torch.tensor([1, 0])}
    ConditioningCache(folder=tmp_path).fetch(KEY, lambda: numbers)
    found = ConditioningCache(folder=tmp_path).fetch(KEY, dict)
    assert all(torch.equal(found[name], numbers[name]) and found[name].dtype == numbers[name].dtype for name in numbers)


def test_any_damage_is_noticed_dropped_and_mended(tmp_path, caplog):
    encoder = Encoder()
    ask(ConditioningCache(folder=tmp_path), encoder, "a ball")
    file = only_file(tmp_path)
    whole = file.read_bytes()
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 37)]
    wrong = [*flipped, b"", whole[:4], whole[: len(whole) // 2], whole[:-1], whole + b"x", b"\xff" * len(whole)]
    for body in wrong:
        file.write_bytes(body)
        caplog.clear()
        cache = ConditioningCache(folder=tmp_path)
        with caplog.at_level(logging.WARNING):
            ask(cache, encoder, "a ball")
        assert cache.tally.damaged == 1 and "dropped, and made again" in caplog.text
        assert read_sealed(file)[1] == {"name": file.stem} and len(file.read_bytes()) == len(whole)


def test_a_file_under_another_name_is_not_taken_for_that(tmp_path):
    encoder, cache = Encoder(), ConditioningCache(folder=tmp_path)
    ask(cache, encoder, "a ball")
    only_file(tmp_path).rename(tmp_path / f"{replace(KEY, text='a dog').digest}.safetensors")
    fresh = ConditioningCache(folder=tmp_path)
    ask(fresh, encoder, "a dog")
    assert encoder.asked == ["a ball", "a dog"] and fresh.tally.damaged == 1


def test_memory_and_disk_stay_within_their_limits(tmp_path):
    encoder, chance = Encoder(), random.Random(0)
    cache = ConditioningCache(Limits(memory_bytes=4_000, disk_bytes=10_000), tmp_path)
    for _ in range(200):
        ask(cache, encoder, f"{chance.randrange(30)} balls")
        assert cache.memory_bytes <= 4_000
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) == cache.disk_bytes <= 10_000
    assert cache.tally.memory_hits > 10 and cache.tally.disk_hits > 10


@pytest.mark.parametrize("limits", [Limits(0, 0), Limits(0, 100), Limits(100, 0)])
def test_no_room_keeps_nothing_and_works(tmp_path, limits):
    cache, encoder = ConditioningCache(limits, tmp_path), Encoder()
    for _ in range(2):
        ask(cache, encoder, "a ball")
    assert len(encoder.asked) == 2 and not list(tmp_path.iterdir()) and cache.memory_bytes == 0


def test_what_is_often_used_outlives_a_crowd_and_fame_fades():
    ageing = Ageing(3)
    for _ in range(5):
        ageing.use("famous", 1)
    for number in range(5):
        ageing.use(f"crowd {number}", 1)
        assert len(ageing.overflow()) <= 1
    assert "famous" in ageing
    for number in range(20):
        for _ in range(2):
            ageing.use(f"later {number}", 1)
            ageing.overflow()
    assert "famous" not in ageing and ageing.size_bytes == 3


def test_what_nobody_uses_goes_after_its_time(tmp_path):
    clock, encoder = Clock(), Encoder()
    cache = ConditioningCache(Limits(ttl_s=100), tmp_path, clock)
    ask(cache, encoder, "a ball")
    ask(cache, encoder, "a dog")
    clock.time += 90
    ask(cache, encoder, "a ball")
    clock.time += 90
    ask(cache, encoder, "a ball")
    assert encoder.asked == ["a ball", "a dog"]
    ask(cache, encoder, "a dog")
    assert encoder.asked == ["a ball", "a dog", "a dog"]
    clock.time += 101
    assert not list(tmp_path.iterdir()) or ConditioningCache(Limits(ttl_s=100), tmp_path, clock).disk_bytes == 0
    assert not list(tmp_path.iterdir())


def test_the_longest_unused_go_first_after_a_restart(tmp_path):
    clock, encoder = Clock(), Encoder()
    cache = ConditioningCache(Limits(memory_bytes=0), tmp_path, clock)
    for text in ("one", "two", "three"):
        clock.time += 1
        ask(cache, encoder, text)
    clock.time += 1
    ask(cache, encoder, "one")
    size = only_size(tmp_path)
    again = ConditioningCache(Limits(memory_bytes=0, disk_bytes=2 * size), tmp_path, clock)
    assert {file.name.partition(".")[0] for file in tmp_path.iterdir()} == {
        replace(KEY, text=text).digest for text in ("one", "three")
    }
    assert again.disk_bytes == 2 * size


def only_size(folder: Path) -> int:
    (size,) = {file.stat().st_size for file in folder.iterdir()}
    return size


def test_two_caches_of_one_folder_share_it(tmp_path):
    encoder = Encoder()
    one, two = (ConditioningCache(Limits(memory_bytes=0, disk_bytes=4_500), tmp_path) for _ in range(2))
    for text in ("a", "b", "c", "d"):
        ask(one, encoder, text)
        ask(two, encoder, text)
    assert encoder.asked == ["a", "b", "c", "d"]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 4_500
    for text in ("a", "b", "c", "d"):
        ask(one, encoder, text)  # what the other dropped is made again


def test_parts_that_broke_off_are_cleared_away(tmp_path):
    old, new = tmp_path / ".x.safetensors.1.part", tmp_path / ".y.safetensors.2.part"
    for part in (old, new):
        part.write_bytes(b"x")
    os.utime(old, (0, 0))
    ConditioningCache(folder=tmp_path)
    assert not old.exists() and new.exists()


def test_a_full_or_read_only_disk_costs_a_line_in_the_log(tmp_path, caplog):
    encoder = Encoder()
    with disk(tmp_path / "full", "1m") as folder:
        fill(folder)
        cache = ConditioningCache(folder=folder)
        for _ in range(2):
            ask(cache, encoder, "a ball")
        assert "could not be kept" in caplog.text and encoder.asked == ["a ball"]
    with disk(tmp_path / "fixed", "1m") as folder:
        ask(ConditioningCache(folder=folder), encoder, "a dog")
        make_read_only(folder)
        cache = ConditioningCache(folder=folder)
        ask(cache, encoder, "a dog")
        ask(cache, encoder, "a cat")
        assert encoder.asked == ["a ball", "a dog", "a cat"] and cache.tally.disk_hits == 1


def test_a_sealed_file_says_what_it_was_told(tmp_path):
    tensors = {"x": torch.arange(6).reshape(2, 3).T}
    size = write_sealed(tmp_path / "x", tensors, {"name": "é"})
    assert (tmp_path / "x").stat().st_size == size
    found, says = read_sealed(tmp_path / "x")
    assert torch.equal(found["x"], tensors["x"]) and says == {"name": "é"}
    from safetensors.torch import save_file

    save_file({"x": torch.ones(2)}, tmp_path / "unsealed")
    with pytest.raises(Damaged):
        read_sealed(tmp_path / "unsealed")


class Running:
    """What a node sees of the engine."""

    thrift = PLENTY

    def __init__(self, model, conditionings: ConditioningCache) -> None:
        self.loaded, self.conditionings = model, conditionings

    def encoded(self, model, text: str):
        return encode_prompt(model, text)

    def model(self, model_id: str):
        return self.loaded


def test_a_kept_prompt_needs_no_text_encoder(catalogue, tmp_path):
    spec = catalogue.get("twin")
    first = load(spec, CPU, text_at_once_bytes=0)
    assert "text" not in vars(first)
    right = conditioning_of(Running(first, ConditioningCache(folder=tmp_path)), "twin", " a red ball ")
    assert "text" in vars(first)
    later = load(spec, CPU, text_at_once_bytes=0)
    found = conditioning_of(Running(later, ConditioningCache(folder=tmp_path)), "twin", "a red ball")
    assert "text" not in vars(later)
    computed = encode_prompt(later, "a red ball")
    assert all(
        torch.equal(found.tensors()[name], tensor) and torch.equal(right.tensors()[name], tensor)
        for name, tensor in computed.tensors().items()
    )


def test_the_fingerprint_is_of_what_reads_the_text(catalogue, twin_folder, tmp_path):
    import shutil

    def fingerprint(changed: str | None) -> tuple[str, str]:
        folder = tmp_path / str(changed).replace("/", "-")
        shutil.copytree(twin_folder, folder)
        if changed:
            with (folder / changed).open("ab") as stream:
                stream.write(b" ")
        spec = replace(catalogue.get("twin"), source=str(folder))
        model = load(spec, CPU)
        return model.text_sha256, key_of(model, "a ball").digest

    plain = fingerprint(None)
    assert fingerprint("vae/config.json") == plain
    for part in ("tokenizer/tokenizer.json", "text_encoder/config.json", "connectors/config.json"):
        assert fingerprint(part)[1] != plain[1], part


def test_a_text_encoder_that_is_missing_later_is_a_clear_error(catalogue, twin_folder, tmp_path):
    import shutil

    shutil.copytree(twin_folder, tmp_path / "model")
    model = load(replace(catalogue.get("twin"), source=str(tmp_path / "model")), CPU, text_at_once_bytes=0)
    shutil.rmtree(tmp_path / "model" / "text_encoder")
    with pytest.raises(ModelNotFound):
        encode_prompt(model, "a ball")


def test_a_clip_from_kept_texts_is_the_same_clip(catalogue: ModelCatalogue, tmp_path):
    """Also in parts: the texts of a time-stamped prompt are found whatever their times, and beside a LoRA-free prompt."""

    def clip(prompt: str, name: str) -> tuple[bytes, ConditioningCache]:
        kept = ConditioningCache(folder=tmp_path / "kept")
        engine = Engine(catalogue, media_dir=tmp_path, device="cpu", conditionings=kept)
        request = catalogue.complete(GenerationRequest(prompt=prompt, model="twin", seed=1))
        (done,) = [event for event in engine.run(request, tmp_path / name) if isinstance(event, Done)]
        return done.result.path.read_bytes(), kept

    once, cold = clip("[0-0.3s] a bee [0.3-0.75s] a cat", "a.mp4")
    again, warm = clip("[0-0.3s] a bee [0.3-0.75s] a cat", "b.mp4")
    assert once == again and (cold.tally.misses, warm.tally.misses, warm.tally.disk_hits) == (3, 0, 3)
    assert clip("[0-0.5s] a cat [0.5-0.75s] a bee", "c.mp4")[1].tally.misses == 0
    assert clip("a cat", "d.mp4")[1].tally.misses == 0


def test_the_cache_loads_no_torch_before_it_keeps_something(tmp_path):
    code = "import sys; from pathlib import Path; from pipelines.optimize.conditioning_cache import ConditioningCache as C; "
    code += f"C(folder=Path({str(tmp_path)!r})); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert run.stdout.strip() == "False"
