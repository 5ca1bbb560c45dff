"""Compiled blocks: few programs, none of them again, the same words, and what is put on them later still acts."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from pipelines.contract import InvalidRequest, Quantization
from pipelines.guidance import Branch
from pipelines.models.ltx2.load import load
from pipelines.optimize.kernels.compiled import compile_blocks
from pipelines.optimize.kernels.rotary import keep_rotary
from pipelines.optimize.plan import Plan, prepare, settle
from tests.pipelines.optimize.test_kernels import CPU, POCKET, ROOT, said, same, twin, worst


@pytest.fixture(autouse=True)
def fresh(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No program of another test, and a folder for this one's."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "compiled"))
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def programs() -> int:
    return counters["stats"]["unique_graphs"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_guided_clip_has_three_programs_and_other_clips_have_no_more(caplog: pytest.LogCaptureFixture) -> None:
    model = twin("2.3")
    clips = [(17, 64), (25, 64), (9, 96), (17, 128)]
    right = [said(model, frames=frames, side=side) for frames, side in clips]
    keep_rotary(model.transformer)
    take_back = compile_blocks(model.transformer)
    assert worst(said(model), right[0]) <= 1e-5
    assert programs() == 3, "for both prompts, perturbed, isolated; the perturbed pass begins with the first of them"
    for (frames, side), expected in zip(clips, right, strict=True):
        assert worst(said(model, frames=frames, side=side), expected) <= 1e-5
    assert programs() == 3
    assert not counters["graph_break"]

    hook = model.transformer.transformer_blocks[1].attn1.to_v.register_forward_hook(lambda _layer, _given, made: 2 * made)
    with caplog.at_level(logging.INFO, "pipelines"):
        doubled = said(model)
        hook.remove()
        assert worst(said(model), right[0]) <= 1e-5
    assert worst(doubled, right[0]) > 1e-3, "what is put on a block acts, compiled or not"
    assert [record.message for record in caplog.records if "blocks run" in record.message] == [
        "blocks run uncompiled while LoRAs or other ranks act on them",
        "all blocks run compiled again",
    ]
    assert programs() == 3
    take_back()
    assert same(said(model), right[0])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_older_layout_in_8_bits_compiles() -> None:
    model, plan = twin("2.0"), Plan(Quantization.INT8, compile=True)
    prepare(model.transformer, plan)
    before = said(model, wanted={Branch.POSITIVE})
    settle(model.transformer, plan)
    assert worst(said(model, wanted={Branch.POSITIVE}), before) <= 1e-4
    assert programs() == 1


WITHOUT_COMPILER = """
import sys
from pipelines.contract import InvalidRequest
from pipelines.models.ltx2.twin import build
from pipelines.optimize.plan import Plan, settle
try:
    settle(build("2.3").transformer, Plan(compile=True))
except InvalidRequest as error:
    print(error.field, error.message)
"""


def test_a_machine_without_a_compiler_says_so(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path), "CXX": "no-such-compiler"}
    ran = subprocess.run([sys.executable, "-c", WITHOUT_COMPILER], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip().splitlines()[-1] == (
        "compile compile is on, but torch compiles for the CPU with a C++ compiler such as g++, and there is none: "
        "set STUDIO_COMPILE=false."
    )


def test_other_architectures_are_refused() -> None:
    transformer = twin("2.3").transformer
    transformer.transformer_blocks[0].norm2 = torch.nn.RMSNorm(32)
    with pytest.raises(InvalidRequest, match="compile is on, but its norms have weights of their own: set STUDIO_COMPILE=false"):
        settle(transformer, Plan(compile=True))


def test_a_plan_compiles_at_the_first_call_and_not_before() -> None:
    model = load(replace(POCKET, compile=True), CPU, plan=Plan(compile=True))
    assert all("forward" in vars(block) for block in model.transformer.transformer_blocks)
    assert programs() == 0
