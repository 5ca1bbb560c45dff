"""Weights that come while they are used: the same clips to the bit, the memory given back, and plans that can be carried out."""

from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from pipelines.contract import Done, GenerationRequest, InvalidRequest, LoraUse, Quantization, StorageFull
from pipelines.engine import Engine
from pipelines.lora.catalogue import shipped
from pipelines.models.ltx2.load import load
from pipelines.optimize.memory import plan_of, widths_of
from pipelines.optimize.offload import keep_away, rest_to
from pipelines.optimize.parallel.devices import Devices
from pipelines.optimize.plan import Offload, Plan, group_of, plan_for
from pipelines.registry import ModelCatalogue
from studio.settings import Settings
from studio.workers.local import run_once

CATALOGUE = ModelCatalogue.with_folders({})
POCKET = CATALOGUE.get("pocket")
CPU = torch.device("cpu")
LORA = next(name for name, lora in shipped().items() if lora.base == "pocket")


def clip(offload: Offload, folder: Path, **changes: object) -> bytes:
    catalogue = CATALOGUE.offloaded(offload)
    engine = Engine(catalogue, media_dir=folder, device=Devices("cpu", files=folder / "files"))
    small = dict(height=64, width=64, num_frames=9, num_inference_steps=4, seed=5)
    request = catalogue.complete(GenerationRequest.model_validate({"prompt": "a red ball bouncing on grass", **small, **changes}))
    path = folder / f"{offload}.mp4"
    last = list(engine.run(request, path, {name: lora.path for name, lora in shipped().items()}))[-1]
    assert isinstance(last, Done)
    return path.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"effort": "fast", "stg_scale": 1.0, "num_inference_steps": 8},
        {"quantization": "int4", "modality": "audio"},
        {"quantization": "bf16"},
        {"loras": [LoraUse(lora=LORA, weight=0.8)]},
        {"prompt": "[0.0-0.4 s] a red ball [0.4-0.75 s] a blue cube"},
    ],
    ids=["guided", "blocks shared and skipped", "quantized", "half", "with a LoRA", "over time"],
)
def test_clips_are_the_same_to_the_bit(changes, tmp_path):
    whole, text, blocks = (clip(each, tmp_path, **changes) for each in (Offload.NONE, Offload.TEXT, Offload.BLOCKS))
    assert whole == text == blocks


def held_bytes(network: nn.Module) -> int:
    storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in network.state_dict().values()}
    return sum(storages.values())


def test_nothing_of_the_blocks_is_held_between_calls(tmp_path):
    whole = load(POCKET, CPU)
    lean = load(POCKET, CPU, plan=Plan(offload=Offload.BLOCKS, files=tmp_path))
    of_blocks = sum(each.nbytes for name, each in whole.transformer.named_parameters() if group_of(name))
    assert held_bytes(lean.transformer) < held_bytes(whole.transformer) - 0.99 * of_blocks
    assert held_bytes(lean.text.text_encoder) < 0.1 * held_bytes(whole.text.text_encoder)
    files = list(tmp_path.rglob("*.bin"))
    assert {file.relative_to(tmp_path).parts[0] for file in files} == {str(os.getpid())}
    assert len(files) >= len(lean.transformer.transformer_blocks)
    shapes = {name: each.shape for name, each in lean.transformer.named_parameters()}
    assert shapes == {name: each.shape for name, each in whole.transformer.named_parameters()}
    del lean
    gc.collect()
    assert not list(tmp_path.rglob("*.bin")), "the files go with the model"


def test_what_is_held_in_16_bits_stays_so(tmp_path):
    whole = load(POCKET, CPU, plan=Plan(Quantization.BF16))
    lean = load(POCKET, CPU, plan=Plan(Quantization.BF16, offload=Offload.BLOCKS, files=tmp_path))
    types = [{name: each.dtype for name, each in model.transformer.state_dict().items()} for model in (whole, lean)]
    assert types[0] == types[1] and torch.bfloat16 in types[0].values()


def test_from_memory_is_the_same_and_comes_back_when_a_call_breaks_off():
    # On a CPU both places are the same memory, so this sees the order of the moves and not the moves themselves.
    torch.manual_seed(0)
    network = load(POCKET, CPU).text.text_encoder
    words = torch.randint(0, 50, (1, 6))
    with torch.inference_mode():
        before = network(input_ids=words).last_hidden_state
        rest_to(network, CPU, torch.float32)
        keep_away(network, CPU, torch.float32, None)
        assert torch.equal(network(input_ids=words).last_hidden_state, before)
        with pytest.raises((IndexError, RuntimeError)):
            network(input_ids=words + 10**6)
        assert torch.equal(network(input_ids=words).last_hidden_state, before)


def test_a_head_that_shares_the_table_of_words_finds_it_there(tmp_path):
    torch.manual_seed(0)
    sizes = dict(vocab_size=60, hidden_size=16, intermediate_size=32, num_hidden_layers=2, head_dim=8)
    config = Gemma3TextConfig(**sizes, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True)
    network = Gemma3ForCausalLM(config).eval()
    words = torch.arange(5)[None]
    with torch.inference_mode():
        before = network(input_ids=words).logits
        keep_away(network, CPU, torch.float32, tmp_path)
        assert network.lm_head.weight.untyped_storage().nbytes() < 8
        assert torch.equal(network(input_ids=words).logits, before)


def test_files_of_a_process_that_is_gone_are_removed(tmp_path):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    (tmp_path / gone.stdout.strip()).mkdir()
    (tmp_path / gone.stdout.strip() / "0.bin").write_bytes(b"left")
    (tmp_path / str(os.getppid())).mkdir()
    network = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(2, 2)])})
    keep_away(network, CPU, torch.float32, tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {str(os.getpid()), str(os.getppid())}


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path):
    network = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(1 << 21, 1 << 21, device="meta")])})
    with pytest.raises(StorageFull, match=r"need 17592\.\d GB in .*: make room, or set STUDIO_OFFLOAD=none"):
        keep_away(network, CPU, torch.float32, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    network = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(64, 64)])})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as a disk that is full after so many bytes
    try:
        with pytest.raises(StorageFull, match=r"could not be written to .*: free some space, or set STUDIO_OFFLOAD=none"):
            keep_away(network, CPU, torch.float32, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


SIZES = {Quantization.NONE: 60, Quantization.INT8: 30, Quantization.INT4: 20}


def reckoned(plan: Plan) -> int:
    """A transformer of 60 and a reader of 40 as they are."""
    text = 0 if plan.offload is not Offload.NONE else SIZES[plan.text_quantization] * 2 // 3
    return text + (0 if plan.offload.whole else SIZES[plan.quantization]) + 4


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (None, (Quantization.NONE, Offload.NONE)),
        (130, (Quantization.NONE, Offload.NONE)),
        (80, (Quantization.NONE, Offload.TEXT)),
        (65, (Quantization.INT8, Offload.NONE)),
        (45, (Quantization.INT8, Offload.TEXT)),
        (29, (Quantization.INT4, Offload.TEXT)),
        (6, (Quantization.INT8, Offload.BLOCKS)),
        (1, (Quantization.INT4, Offload.BLOCKS)),
    ],
)
def test_what_costs_least_is_chosen_on_a_gpu(room, expected):
    wanted = Plan(Quantization.AUTO, Quantization.AUTO, offload=Offload.AUTO)
    plan = plan_for(wanted, "cuda", reckoned, room)
    assert (plan.quantization, plan.offload) == expected and plan.text_quantization is plan.quantization


def test_what_cannot_be_done_is_not_chosen_and_refused_where_it_is_asked_for():
    wanted = Plan(Quantization.AUTO, Quantization.AUTO, offload=Offload.AUTO)
    lean = plan_for(wanted, "cpu", reckoned, 45)
    assert (lean.quantization, lean.offload) == (Quantization.INT4, Offload.NONE)
    assert plan_for(replace(wanted, compile=True), "cuda", reckoned, 1).offload is Offload.TEXT
    with pytest.raises(
        InvalidRequest, match="offload is blocks, but weights in int8 cannot lie in files: use int4, int16 or none"
    ):
        plan_for(Plan(Quantization.INT8, offload=Offload.BLOCKS), "cpu", reckoned, None)
    with pytest.raises(
        InvalidRequest, match="offload is blocks, but compiled blocks stay where they are: set STUDIO_COMPILE=false"
    ):
        plan_for(Plan(compile=True, offload=Offload.BLOCKS), "cuda", reckoned, None)


def test_a_model_that_is_not_here_is_reckoned_for_small_gpus():
    spec = replace(CATALOGUE.get("ltx-2"), offload=Offload.AUTO)
    held = widths_of(spec, "cuda").held_bytes
    plans = {room: plan_of(spec, Quantization.AUTO, "cuda", room * 10**9) for room in (96, 60, 32, 24, 12)}
    assert plans[96] == Plan() and plans[60] == Plan(offload=Offload.TEXT)
    assert all(held(plan) < 0.85 * room * 10**9 for room, plan in plans.items())
    assert plans[12].offload is Offload.BLOCKS and plans[32].offload is Offload.TEXT


def test_a_worker_process_keeps_its_blocks_in_the_data_folder(tmp_path):
    settings = Settings(data_dir=tmp_path, device="cpu", offload=Offload.BLOCKS)
    small = dict(height=64, width=64, num_frames=9, num_inference_steps=2, seed=5)
    request = settings.catalogue.complete(GenerationRequest.model_validate({"prompt": "a red ball", **small}))
    seen: set[str] = set()

    def look(_event: object) -> None:
        seen.update(each.name for each in settings.offload_dir.rglob("*.bin"))

    gone = settings.offload_dir / "4194305"  # above the most that Linux counts processes to
    gone.mkdir(parents=True)
    run_once(settings, request, look, path=tmp_path / "clip.mp4")
    assert "0.bin" in seen and (tmp_path / "clip.mp4").stat().st_size > 1000
    assert not gone.exists()
    assert not list(settings.offload_dir.iterdir()), "a worker's files go with it"
    refused = settings.model_copy(update={"quantization": Quantization.INT8})
    request = refused.catalogue.complete(GenerationRequest.model_validate({"prompt": "a red ball", **small}))
    with pytest.raises(InvalidRequest, match="weights in int8 cannot lie in files"):
        run_once(refused, request, look, path=tmp_path / "other.mp4")
