"""The forecast of memory: from the layout alone, from evidence, and the settings that take less."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.contract import GenerationRequest, ModelNotFound
from pipelines.engine import Engine
from pipelines.graph import NodeCache
from pipelines.models.ltx2 import twin
from pipelines.optimize.lessening import changes_of, cheapest_change
from pipelines.optimize.memory import (
    MIB,
    PLENTY,
    SPARING,
    STAGES,
    Evidence,
    Measured,
    MemoryModel,
    Prediction,
    Work,
    is_shortage,
    thrift_for,
    widths_of,
)
from pipelines.registry import POCKET_FOLDER, ModelCatalogue, spec_from_folder

ROOT = Path(__file__).parents[3]
CATALOGUE = ModelCatalogue.with_folders({})
POCKET = CATALOGUE.get("pocket")
MODEL = MemoryModel(widths_of(POCKET, "cpu"), "cpu")


def work(height: int = 128, width: int = 128, num_frames: int = 25, **more: object) -> Work:
    return Work(height, width, num_frames, num_frames / 12, **more)


def test_widths_are_read_from_the_files_and_weights_counted_in_the_dtype_they_run_in() -> None:
    widths = widths_of(POCKET, "cpu")
    assert (widths.video_width, widths.audio_width, widths.spatial, widths.temporal) == (192, 96, 32, 4)
    stored = sum(file.stat().st_size for file in Path(POCKET.source).rglob("*.safetensors"))
    assert widths.weights_bytes == pytest.approx(2 * stored, rel=0.02)  # float16 in the files, float32 on a CPU


@pytest.mark.parametrize(
    "header", [b"", b"12", b"garbage that no header is", (2**60).to_bytes(8, "little"), b"\x02" + 7 * b"\0" + b"{["]
)
def test_a_damaged_file_is_named_and_takes_no_memory(tmp_path: Path, header: bytes) -> None:
    folder = tmp_path / "twin"
    shutil.copytree(POCKET_FOLDER, folder)
    (damaged,) = (folder / "vae").glob("*.safetensors")
    damaged.write_bytes(header)
    with pytest.raises(ModelNotFound, match=r"vae.*is damaged"):
        widths_of(spec_from_folder("twin", folder), "cpu")


def test_a_model_that_is_not_here_is_reckoned_with_its_layout() -> None:
    found = MemoryModel(widths_of(CATALOGUE.get("ltx-2"), "cuda"), "cuda").predict(work(512, 768, 121))
    assert 68e9 < found.peak_bytes < 85e9 and found.runs == 0


@pytest.mark.parametrize("larger", [work(256, 128), work(128, 256), work(num_frames=49), work(upscale=4)])
def test_more_takes_more(larger: Work) -> None:
    assert MODEL.predict(larger).peak_bytes > MODEL.predict(work()).peak_bytes


def test_only_stages_that_run_are_foretold() -> None:
    assert tuple(MODEL.predict(work(upscale=2, denoisings=2)).peaks) == STAGES
    assert tuple(MODEL.predict(work(upscale=2)).peaks) == tuple(stage for stage in STAGES if stage != "upsample latents")
    assert tuple(MODEL.predict(work(has_video=False)).peaks) == ("encode", "denoise", "decode sound", "write")
    assert "decode sound" not in MODEL.predict(work(has_audio=False)).peaks


def test_evidence_corrects_the_layout() -> None:
    """A machine where everything takes three times as much beside 900 MiB at rest, seen at eight sizes, foretold at a ninth."""
    rest, sizes = 900 * MIB, [(64, 64), (64, 128), (96, 96), (128, 128), (160, 96), (192, 192), (256, 128), (256, 256)]

    def real(each: Work) -> Measured:
        alone = MODEL.predict(each)
        peaks = {stage: rest + 3 * (peak - alone.rest_bytes) for stage, peak in alone.peaks.items()}
        return Measured(each, rest, rest, peaks)

    runs = tuple(real(work(height, width, 9 + 8 * (number % 4))) for number, (height, width) in enumerate(sizes))
    unseen = work(192, 128, 41)
    found, truth = MemoryModel(MODEL.widths, "cpu", runs).predict(unseen), real(unseen)
    assert found.rest_bytes == rest and found.runs == 8
    assert found.peak_bytes == pytest.approx(max(truth.peaks.values()), rel=0.03)
    assert MODEL.predict(unseen).peak_bytes < 0.8 * found.peak_bytes


def test_a_run_that_warmed_the_worker_up_counts_for_the_rest_only() -> None:
    first = Measured(work(), 500 * MIB, 700 * MIB, dict.fromkeys(MODEL.predict(work()).peaks, 750 * MIB))
    found, alone = MemoryModel(MODEL.widths, "cpu", (first,)).predict(work()), MODEL.predict(work())
    assert found.rest_bytes == 700 * MIB
    assert found.peak_bytes - found.rest_bytes == pytest.approx(alone.peak_bytes - alone.rest_bytes, abs=2)


def test_what_diffusers_runs_is_foretold_from_runs_alone() -> None:
    """A pipeline whose denoising takes 40 bytes a pixel beside 300 MiB, seen at three sizes, foretold at a fourth."""
    widths = widths_of(CATALOGUE.get("wan-2.1-1.3b"), "cpu")
    nothing = MemoryModel(widths, "cpu")
    assert not nothing.can_tell(work()) and nothing.predict(work()).peaks == {}
    rest = 2000 * MIB
    assert not MemoryModel(widths, "cpu", (Measured(work(), rest, rest, {"write": rest + 9}),)).can_tell(work()), (
        "of a clip made again"
    )

    def real(each: Work) -> Measured:
        return Measured(each, rest, rest, {"denoise": rest + 300 * MIB + 40 * each.pixels, "write": rest + 10 * MIB})

    once = MemoryModel(widths, "cpu", (real(work(256, 256, 33)),))
    assert (
        once.can_tell(work(256, 256, 129))
        and not once.can_tell(work(512, 512, 65))
        and once.predict(work(256, 256, 33)).peak_bytes == pytest.approx(rest + 382 * MIB, rel=0.03)
    )
    assert once.predict(work(256, 256, 65)).peak_bytes > once.predict(work(256, 256, 33)).peak_bytes + 100 * MIB
    seen = MemoryModel(widths, "cpu", tuple(map(real, (work(256, 256, 33), work(256, 256, 81), work(480, 480, 49)))))
    unseen = work(480, 832, 81)
    found = seen.predict(unseen)
    assert found.stage == "denoise" and found.peak_bytes == pytest.approx(real(unseen).peaks["denoise"], rel=0.1)


def test_changes_give_up_little_first_and_stay_on_the_grid() -> None:
    full = CATALOGUE.complete(GenerationRequest(prompt="a ball", height=256, width=256, num_frames=97))
    shapes = [full.model_copy(update=dict(change.settings)) for change in changes_of(full, POCKET)]
    assert [CATALOGUE.complete(each) for each in shapes] == shapes
    assert shapes[0].num_frames == 73 and shapes[0].height == 256
    peaks = [MODEL.predict(Work.of(each)).peak_bytes for each in shapes]
    assert peaks[-1] == min(peaks)


def test_the_first_change_that_fits_is_chosen_and_none_where_nothing_does() -> None:
    full = CATALOGUE.complete(GenerationRequest(prompt="a ball", height=512, width=512, num_frames=121))
    need = MODEL.predict(Work.of(full)).peak_bytes
    change = cheapest_change(full, POCKET, MODEL, need - 50 * MIB)
    assert change is not None and dict(change.settings) == {"num_frames": 89} and change.words == "7.4 s long"
    lessened = MODEL.predict(Work.of(full.model_copy(update=dict(change.settings))))
    assert lessened.peak_bytes <= need - 50 * MIB
    assert cheapest_change(full, POCKET, MODEL, 100 * MIB) is None


def test_a_run_that_would_take_nearly_everything_is_made_sparingly() -> None:
    expected = Prediction(500 * MIB, {"denoise": 900 * MIB}, 3)
    assert thrift_for(expected, 4000 * MIB) is PLENTY and thrift_for(expected, None) is PLENTY
    assert thrift_for(expected, 420 * MIB) is SPARING
    assert SPARING.step_bytes < PLENTY.step_bytes and SPARING.enlarge_pixels < PLENTY.enlarge_pixels


def test_an_engine_reckons_with_what_is_remembered_of_its_kind_of_device(tmp_path: Path) -> None:
    engine = Engine(CATALOGUE, media_dir=tmp_path, device="cpu")
    request = CATALOGUE.complete(GenerationRequest(prompt="a ball", num_frames=25, height=128, width=128))
    assert engine.foresight.thrift(request) is PLENTY
    peaks = dict.fromkeys(MODEL.predict(work()).peaks, 900 * MIB)
    short = Measured(Work.of(request), 600 * MIB, 600 * MIB, peaks, ran_short=True)
    engine.remember("pocket", Evidence("cuda", (short,)))
    assert engine.foresight.thrift(request) is PLENTY, "another device's memory is not this one's"
    engine.remember("pocket", Evidence("cpu", (short,)))
    assert engine.foresight.thrift(request) is SPARING
    smaller = request.model_copy(update={"num_frames": 9})
    assert engine.foresight.thrift(smaller) is PLENTY
    alone = MODEL.predict(Work.of(request))
    thrice = {stage: 3 * peak - 2 * alone.rest_bytes for stage, peak in alone.peaks.items()}
    runs = (Measured(Work.of(request), alone.rest_bytes, alone.rest_bytes, thrice),) * 3
    engine.remember("pocket", Evidence("cpu", runs))
    found = engine.foresight.predict(request)
    assert found.runs == 3 and found.peak_bytes - found.rest_bytes > 2 * (alone.peak_bytes - alone.rest_bytes)


def test_torchs_own_words_for_main_memory_running_out_are_understood() -> None:
    import torch

    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**50)
    assert is_shortage(failed.value) and is_shortage(MemoryError()) and is_shortage(torch.OutOfMemoryError("full"))
    assert is_shortage(RuntimeError("could not create a primitive")) and not is_shortage(RuntimeError("sizes do not match"))


def test_a_cache_keeps_only_what_it_is_told_to() -> None:
    cache = NodeCache()
    for name in "abc":
        cache.put(name, name)
    cache.keep({"b", "z"})
    assert [name in cache for name in "abc"] == [False, True, False]


def starved(more_mib: int, kept_mib: int, frames: int) -> dict[str, object]:
    """What ``starved.py`` prints, run in a process of its own."""
    command = [sys.executable, "-m", "tests.pipelines.optimize.starved", *map(str, (more_mib, kept_mib, frames))]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=True)
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.fault
def test_a_run_out_of_memory_goes_on_from_its_last_finished_stage() -> None:
    told = starved(500, 400, 61)
    assert told["fault"] is None
    assert told["stages"] == ["encode", "denoise", "decode picture", "make room", "decode picture", "decode sound", "write"]
    assert told["metrics"].count("seconds.denoise") == 1 and "memory.cpu.short" in told["metrics"]
    assert told["previews_next_time"] is False  # remembered


@pytest.mark.fault
def test_weights_leave_where_they_are_what_is_in_the_way(tmp_path: Path) -> None:
    """Denoising runs out beside a network of 170 MB: it comes block by block from then on, and the run goes on."""
    import torch

    wide = twin.build("2.3", twin.TwinSize(video_width=512, audio_width=256, heads=4, layers=6))
    with torch.no_grad():
        for parameter in (*wide.transformer.parameters(), *wide.connectors.parameters()):
            parameter.normal_(0, 0.02)  # so wide a random network would overflow
    wide.save_pretrained(tmp_path / "wide")
    command = [sys.executable, "-m", "tests.pipelines.optimize.crowded", str(tmp_path / "wide"), "12"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=True)
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["fault"] is None and told["offload"] == "blocks" and told["freed_mib"] > 80
    assert told["stages"] == ["encode", "denoise", "make room", "encode", "denoise", "decode sound", "write"]


@pytest.mark.fault
def test_a_run_that_nothing_helps_says_so_in_one_sentence() -> None:
    told = starved(110, 0, 61)
    assert told["stages"].count("make room") == 1
    assert told["fault"].startswith("num_frames is 61; at 256x256 that takes more memory than is free on cpu")
