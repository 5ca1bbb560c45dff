"""LoRAs trained on small folders with the real weights of pocket: what comes of them, resumed exactly, refused with reasons."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from pipelines.clip_io import Origin, Sound, write_clip
from pipelines.contract import Done, GenerationRequest, InvalidRequest, LoraUse
from pipelines.engine import Engine
from pipelines.lora.file import linear_layers, read_lora
from pipelines.lora.stack import is_of_sound
from pipelines.registry import POCKET_FOLDER, ModelCatalogue, advice_in, pocket_in
from pipelines.training.lora_data import TrainingShape, encode, read_folder, read_samples, shape_for
from pipelines.training.lora_recipes import LORA_RECIPES, STUDENT_RECIPE, render_samples
from pipelines.training.lora_release import publish_student, task_of, train_recipe
from pipelines.training.lora_stage import LoraSettings
from pipelines.training.lora_training import LoraTask, base_of, source_of, train_lora
from pipelines.training.trainer import Budget

CATALOGUE = ModelCatalogue.with_folders({})
QUICK = LoraSettings(rank=4, trigger="wobble", batch_size=2)


def clip(path: Path, *, size: int = 64, frames: int = 13, rate: float = 12.0, sound: bool = True) -> None:
    """A moving gradient, with a tone or without sound."""
    rows = np.linspace(0, 255, size)[None, :, None, None] * np.ones((frames, 1, size, 3))
    pixels = ((rows + 8 * np.arange(frames)[:, None, None, None]) % 256).astype(np.uint8)
    at = np.arange(round(16_000 * frames / rate)) / 16_000
    tone = Sound(0.3 * np.sin(2 * np.pi * 440 * at)[None].astype(np.float32), 16_000) if sound else None
    request = GenerationRequest(prompt="made", height=size, width=size, num_frames=frames, frame_rate=rate)
    write_clip(path, pixels, tone, Origin(request, "", ""))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three clips of different kinds: one of the model's size, one larger and quicker, one without sound."""
    data = tmp_path / "data"
    data.mkdir()
    clip(data / "a.mp4", size=128)
    clip(data / "b.mp4", size=160, frames=30, rate=24.0)
    clip(data / "c.mp4", sound=False)
    for name, text in (("a", "a red ball"), ("b", "a blue cube on grass"), ("c", "a star at night")):
        (data / f"{name}.txt").write_text(text)
    return data


def trained(task: LoraTask, data: Path, stop_after: int | None = None) -> list[int]:
    """The steps that were logged; a run is stopped as Ctrl-C stops it."""
    model = base_of(task, CATALOGUE)
    with closing(train_lora(task, model, source_of(task, model, read_folder(data), lambda text: None))) as lines:
        steps = []
        for line in lines:
            steps.append(line.steps)
            if len(steps) == stop_after:
                break
    return steps


def task_for(out: Path, steps: int = 4, **changes: object) -> LoraTask:
    return replace(LoraTask(out, "pocket", QUICK, Budget(steps=steps, log_s=0, save_s=0), device="cpu"), **changes)


def test_a_folder_becomes_a_lora_that_can_be_imported_and_used(folder, tmp_path):
    out = tmp_path / "wobble.safetensors"
    assert trained(task_for(out), folder) == [1, 2, 3, 4]
    lora = read_lora(out, linear_layers(POCKET_FOLDER))
    assert lora.trigger_words == ("wobble",) and lora.ranks == (4,) and lora.size_bytes <= 2_000_000
    with safe_open(str(out), "pt") as file:
        said = file.metadata()
    record = json.loads(said["training"])
    assert said["base"] == "pocket" and said["base_sha256"] == base_of(task_for(out), CATALOGUE).sha256
    assert record["steps"] == 4 and record["clips"] == 3 and record["clips_with_sound"] == 2 and record["losses"]["loss"] > 0
    assert any(value.abs().max() > 0 for name, value in load_file(out).items() if "lora_B" in name), "it learned nothing"
    reference = f"lora:{lora.sha256}"
    shape = {"height": 64, "width": 64, "num_frames": 5, "num_inference_steps": 2, "seed": 1}
    request = CATALOGUE.complete(GenerationRequest(prompt="wobble, a red ball", loras=(LoraUse(lora=reference),), **shape))
    events = [*Engine(CATALOGUE, media_dir=tmp_path, device="cpu").run(request, tmp_path / "clip.mp4", {reference: out})]
    assert isinstance(events[-1], Done)


def test_a_stopped_run_ends_as_one_that_was_not(folder, tmp_path):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    trained(task_for(whole), folder)
    assert trained(task_for(parts), folder, stop_after=2) == [1, 2] and not parts.exists()
    torch.manual_seed(99)
    assert trained(task_for(parts, resume=True), folder) == [3, 4]
    one, two = load_file(whole), load_file(parts)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    with pytest.raises(InvalidRequest, match="rank is not what"):
        trained(task_for(parts, resume=True, settings=replace(QUICK, rank=2)), folder)


def test_it_learns_its_clips(folder, tmp_path):
    out = tmp_path / "learned.safetensors"
    task = task_for(out, steps=24, settings=replace(QUICK, streams="picture"))
    model = base_of(task, CATALOGUE)
    losses = [
        line.losses["video"] for line in train_lora(task, model, source_of(task, model, read_folder(folder), lambda text: None))
    ]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])
    assert not any(is_of_sound(name) for name in read_lora(out, linear_layers(POCKET_FOLDER)).layers)


def test_a_student_learns_its_teachers_guided_steps_and_is_released_as_a_model(tmp_path):
    """Its error against the guided teacher falls, the base stays what it was, and the release makes clips in its few steps."""
    recipe = replace(STUDENT_RECIPE, clips=8, rank=8)
    task = task_of(recipe, task_for(tmp_path / "fast.safetensors", 40, settings=LoraSettings(learning_rate=4e-3)))
    base = base_of(task, CATALOGUE)
    before = {name: value.clone() for name, value in base.transformer.state_dict().items()}
    lines = [line.losses["loss"] for line in train_recipe(recipe, task, base)]
    assert np.mean(lines[-8:]) < 0.8 * np.mean(lines[:4])
    kept = {name.replace(".base_layer", ""): value for name, value in base.transformer.state_dict().items() if "lora" not in name}
    assert all(torch.equal(kept[name], value) for name, value in before.items())

    manifest = publish_student(recipe, task.out, tmp_path / "pocket-fast")
    assert set(manifest) == {"pytorch_lora_weights.safetensors", "studio.json"}
    own = pocket_in(POCKET_FOLDER)
    student = replace(own, id="fast", adapter=str(tmp_path / "pocket-fast"), **advice_in(tmp_path / "pocket-fast"))
    catalogue = ModelCatalogue([own, student])
    request = catalogue.complete(GenerationRequest(prompt="a red ball bouncing on grass", model="fast", seed=1))
    assert request.num_inference_steps == 6 and request.guidance_scale == request.audio_guidance_scale == 1
    last = list(Engine(catalogue, media_dir=tmp_path, device="cpu").run(request, tmp_path / "clip.mp4"))[-1]
    assert isinstance(last, Done) and last.result.model_sha256 != base.sha256


def test_clips_of_other_sizes_are_resampled_and_said_so(folder):
    spec, told = CATALOGUE.get("pocket"), []
    shape = shape_for(read_folder(folder), spec, told.append)
    assert shape == TrainingShape(128, 128, 13, 12.0)
    assert [line[:6] for line in told] == ["2 of 3", "1 of 3", "1 of 3"] and "128x128" in told[0] and "longer" in told[1]
    samples = [*read_samples(read_folder(folder), shape)]
    assert all(sample.frames.shape == (13, 128, 128, 3) for sample in samples)
    assert [sample.sound is not None for sample in samples] == [True, True, False]


def test_records_are_read_as_the_dataset_command_writes_them(folder):
    lines = [{"file_name": "a.mp4", "text": "one", "captions": ["one", "two"]}, {"file_name": "b.mp4", "caption": "three"}]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert [(each.path.name, each.captions) for each in read_folder(folder)] == [("a.mp4", ("one", "two")), ("b.mp4", ("three",))]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "holds no clips"),
        ({"metadata.jsonl": ""}, "holds no clips"),
        ({"x.mp4": "clip"}, "x.mp4 has no caption"),
        ({"x.mp4": "clip", "x.txt": "  "}, "x.mp4 has no caption"),
        ({"x.mp4": "text", "x.txt": "a ball"}, "cannot be read as a clip"),
        ({"x.mp4": "still", "x.txt": "a ball"}, "is a still"),
        ({"x.mp4": "clip", "x.txt": "a" * 5000}, "longer than"),
        ({"metadata.jsonl": "{}"}, "line 1"),
        ({"metadata.jsonl": "not json"}, "line 1"),
        ({"metadata.jsonl": '{"file_name": "gone.mp4", "text": "a"}'}, "gone.mp4"),
        ({"x.mp4": "clip", "metadata.jsonl": '{"file_name": "x.mp4"}'}, "has no caption"),
    ],
)
def test_a_bad_folder_is_refused_with_its_reason(tmp_path, files, why):
    for name, content in files.items():
        if name.endswith(".mp4") and content != "text":
            clip(tmp_path / name, frames=1 if content == "still" else 5)
        else:
            (tmp_path / name).write_text(content)
    with pytest.raises(InvalidRequest, match=why) as refused:
        shape_for(read_folder(tmp_path), CATALOGUE.get("pocket"), lambda text: None)
    assert refused.value.message.endswith(".")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: LoraSettings(rank=0), "rank"),
        (lambda: LoraSettings(trigger="a,b"), "trigger"),
        (lambda: LoraTask(Path("x.pt"), "pocket", QUICK, Budget(steps=1)), "out"),
        (lambda: LoraTask(Path("x.safetensors"), "pocket", QUICK, Budget()), "minutes"),
        (lambda: base_of(task_for(Path("x.safetensors"), base="ltx-2"), CATALOGUE), "base"),
        (lambda: read_folder(Path("nowhere")), "data"),
    ],
)
def test_bad_settings_name_their_field(make, field):
    with pytest.raises(InvalidRequest) as refused:
        make()
    assert refused.value.field == field


@pytest.mark.parametrize("name", LORA_RECIPES)
def test_a_recipe_says_only_what_the_base_knows(name):
    recipe = replace(LORA_RECIPES[name], clips=2)
    spec = CATALOGUE.get(recipe.base)
    samples = [*render_samples(recipe, spec, TrainingShape.of(spec))]
    again = [*render_samples(recipe, spec, TrainingShape.of(spec))]
    assert all(np.array_equal(one.frames, two.frames) for one, two in zip(samples, again, strict=True))
    strange = {each.word for sample in samples for text in sample.captions for each in spec.unknown_words(text)}
    assert strange <= set(recipe.trigger.split()) and all(sample.captions for sample in samples)
    assert {each.word for each in spec.unknown_words(recipe.trigger)} == set(recipe.trigger.split()), "the base knows it already"


def test_a_boomerang_ends_as_it_begins():
    spec = CATALOGUE.get("pocket")
    sample = next(render_samples(LORA_RECIPES["boomerang"], spec, TrainingShape.of(spec)))
    first, middle, last = (sample.frames[index].astype(int) for index in (1, 12, -1))
    assert np.abs(first - last).mean() < 0.3 * np.abs(first - middle).mean()


def test_a_clip_without_sound_counts_for_no_sound(folder):
    model = base_of(task_for(folder / "x.safetensors"), CATALOGUE)
    shape = TrainingShape(128, 128, 13, 12.0)
    clips = encode(model, read_samples(read_folder(folder), shape), shape)
    assert clips.heard_K.tolist() == [1, 1, 0] and clips.video_KND.shape[0] == 3 and len(clips.sha256) == 64
