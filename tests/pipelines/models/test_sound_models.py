"""Models for sound alone on tiny twins of their real classes: clips of sound, and new sound for a picture."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from pipelines.clip_io import Origin, Sound, read_media, read_origin, write_clip
from pipelines.contract import Done, EditRequest, GenerationRequest, InvalidRequest, Progress, Quantization
from pipelines.editing.layout import heard
from pipelines.editing.plan import Shape
from pipelines.editing.request import edit_request, planned
from pipelines.engine import Engine, called_clip
from pipelines.graph import NodeCache, execute
from pipelines.models.called import dtypes_of
from pipelines.optimize.quantize import weights_bytes
from pipelines.registry import ModelCatalogue, spec_from_folder
from studio.ui.form import body_of, defaults_of

CLOCK = {"num_frames": 10, "frame_rate": 10.0, "num_inference_steps": 3}
SOURCE = "clip:" + "a" * 32


@dataclass(frozen=True)
class Case:
    """One released kind: the class that runs it, and what its plain call takes beside prompt and steps."""

    family: str
    kind: str
    pipeline: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.family}-{self.kind}"


CASES = (
    Case("stableaudio3", "distilled", "StableAudio3Pipeline", {"duration": 1.0}),
    Case("stableaudio3", "base", "StableAudio3Pipeline", {"duration": 1.0, "guidance_scale": 7.0, "negative_prompt": "rain"}),
    Case("acestep", "turbo", "AceStepPipeline", {"audio_duration": 10.0, "lyrics": "[Instrumental]", "guidance_scale": 1.0}),
    Case("acestep", "base", "AceStepPipeline", {"audio_duration": 10.0, "lyrics": "[Instrumental]", "guidance_scale": 7.0}),
)


@dataclass(frozen=True)
class Stand:
    """A twin on disk and a catalogue with it."""

    case: Case
    folder: Path
    catalogue: ModelCatalogue

    def engine(self) -> Engine:
        return Engine(self.catalogue, media_dir=self.folder, device="cpu")

    def request(self, **fields: Any) -> GenerationRequest:
        negative = {"negative_prompt": "rain"} if "negative_prompt" in self.case.extra else {}
        return self.catalogue.complete(
            GenerationRequest(**{"prompt": "soft drums", "model": "twin", "seed": 1, **negative, **fields})
        )

    def called(self, dtype: Any = torch.float32) -> np.ndarray:
        """What diffusers makes of that request by itself: ``[channels, n]``."""
        pipeline = getattr(diffusers, self.case.pipeline).from_pretrained(self.folder, dtype=dtype)
        pipeline.set_progress_bar_config(disable=True)
        generator = torch.Generator("cpu").manual_seed(1)
        return pipeline("soft drums", num_inference_steps=3, generator=generator, output_type="np", **self.case.extra).audios[0]


def stand_for(case: Case, folder: Path) -> Stand:
    importlib.import_module(f"pipelines.models.{case.family}.twin").build(case.kind).save_pretrained(folder)
    spec = spec_from_folder("twin", folder)
    return Stand(case, folder, ModelCatalogue([replace(spec, defaults=replace(spec.defaults, **CLOCK))]))


@pytest.fixture(scope="module", params=CASES, ids=str)
def stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return stand_for(request.param, tmp_path_factory.mktemp("sound") / "twin")


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return stand_for(CASES[0], tmp_path_factory.mktemp("sound") / "twin")


def value(stand: Stand, request: GenerationRequest) -> Any:
    """What the call makes, before it is encoded."""
    engine = stand.engine()
    steps = execute(called_clip(request, engine.model("twin"), Path("x.mp4")), "call", engine, NodeCache())
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def filmed(path: Path, seconds: float = 1.5, rate: float = 12.0, colour: tuple[int, int, int] = (220, 40, 40)) -> Path:
    """A clip of a moving square, with a hum."""
    count = round(seconds * rate)
    frames = np.full((count, 64, 96, 3), 90, np.uint8)
    for index in range(count):
        frames[index, 16:48, 2 * index : 2 * index + 24] = colour
    hum = Sound(0.2 * np.sin(np.arange(round(16000 * seconds))[None] * 0.05), 16000)
    shape = {"height": 64, "width": 96, "num_frames": count, "frame_rate": rate}
    write_clip(path, frames, hum, Origin(GenerationRequest(prompt="a square", seed=1, **shape), "0" * 64, "test"))
    return path


def test_a_request_becomes_a_clip_of_sound(stand: Stand, tmp_path: Path) -> None:
    request = stand.request()
    events = list(stand.engine().run(request, tmp_path / "clip.mp4"))
    assert isinstance(events[-1], Done)
    clip = events[-1].result
    seen = list(dict.fromkeys(e.stage for e in events if isinstance(e, Progress)))
    assert seen == ["encode", "denoise", "decode sound", "write"]
    media = read_media(clip.path)
    assert media.frames is None and media.sound is not None and len(media.sound.samples) == 2
    assert media.sound.samples.shape[1] / media.sound.sample_rate == pytest.approx(1.0, abs=0.05)
    assert clip.has_audio and not clip.has_video and read_origin(clip.path).request == request
    assert request.modality == "audio" and np.abs(media.sound.samples).max() > 0.01


def test_it_is_what_diffusers_makes_of_it(stand: Stand) -> None:
    ours = value(stand, stand.request())
    assert ours.frames is None and ours.sound.sample_rate == 8000
    assert np.array_equal(ours.sound.samples, stand.called())
    other = value(stand, stand.request(seed=2))
    assert not np.array_equal(ours.sound.samples, other.sound.samples)


SONG = "[verse]\nDer Ball springt leise in die Nacht\n[chorus]\nund niemand hat es gedacht"


@pytest.mark.parametrize("case", [case for case in CASES if case.family == "acestep"], ids=str)
def test_a_song_is_sung_in_its_own_language(case: Case, tmp_path: Path) -> None:
    stand = stand_for(case, tmp_path / "twin")
    assert stand.catalogue.get("twin").takes("lyrics")
    ours = value(stand, stand.request(lyrics=SONG))
    sung = replace(stand, case=replace(case, extra={**case.extra, "lyrics": SONG, "vocal_language": "de"}))
    assert np.array_equal(ours.sound.samples, sung.called())
    assert not np.array_equal(ours.sound.samples, value(stand, stand.request()).sound.samples)
    with pytest.raises(InvalidRequest, match="lyrics is too long for twin") as refused:
        list(stand.engine().run(stand.request(lyrics="la di " * 660), tmp_path / "x.mp4"))
    assert refused.value.field == "lyrics"


def test_models_that_do_not_sing_refuse_a_song(stable: Stand) -> None:
    with pytest.raises(InvalidRequest, match="lyrics is set, but twin has no use for it"):
        stable.request(lyrics=SONG)


def test_closing_cancels_within_a_step(stand: Stand, tmp_path: Path) -> None:
    engine = stand.engine()
    calls: list[int] = []
    engine.model("twin").pipeline.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    events = engine.run(stand.request(num_inference_steps=40), tmp_path / "clip.mp4")
    for _ in itertools.takewhile(lambda e: e != Progress("denoise", 1, 40), events):
        pass
    events.close()
    stopped = len(calls)
    assert 0 < stopped < 2 * 40 - 2 and not list(tmp_path.iterdir())
    list(engine.run(stand.request(), tmp_path / "clip.mp4"))
    assert (tmp_path / "clip.mp4").exists() and len(calls) > stopped


def test_it_runs_in_the_dtypes_of_a_gpu_and_in_fewer_bits(stand: Stand, tmp_path: Path) -> None:
    spec = stand.catalogue.get("twin")
    assert spec.call is not None
    assert np.isfinite(stand.called(dtypes_of(spec.call, torch.bfloat16))).all()
    engine, plain = stand.engine(), stand.engine()
    list(engine.run(stand.request(quantization=Quantization.INT8), tmp_path / "clip.mp4"))
    held = [weights_bytes(each.model("twin").pipeline.transformer) for each in (engine, plain)]
    assert held[0] < held[1]


def test_it_dubs_a_picture(stand: Stand, tmp_path: Path) -> None:
    source = filmed(tmp_path / "source.mp4")
    asked = {
        "source": SOURCE,
        "edit": {"kind": "dub"},
        "model": "twin",
        "prompt": "soft drums",
        "seed": 1,
        "num_inference_steps": 3,
    }
    request = edit_request(asked, read_origin(source).request, stand.catalogue)
    shape = Shape(64, 96, 18, 12.0)
    request, plan = planned(request, [shape], stand.catalogue)
    assert plan.window is None and plan.shape == shape and "does not see the picture" in plan.notices[-1]
    events = list(stand.engine().run(request, tmp_path / "dubbed.mp4", {SOURCE: source}))
    assert isinstance(events[-1], Done)
    clip = events[-1].result
    before, after = read_media(source), read_media(clip.path)
    assert before.frames is not None and after.frames is not None
    assert np.abs(before.frames.astype(int) - after.frames).mean() < 1.0
    alone = value(stand, stand.request(num_frames=15)).sound
    wanted, got = heard(alone, 0.0, 1.5), after.sound
    assert got is not None and clip.duration_s == 1.5 and clip.model_sha256 == stand.engine().model("twin").sha256
    assert got.samples.shape[1] / got.sample_rate == pytest.approx(1.5, abs=0.05)
    assert _alike(wanted, got) > 0.8 > 0.3 > abs(_alike(wanted, before.sound))


def _alike(one: Sound, other: Sound | None) -> float:
    """The correlation of their loudness over time, 50 ms at a time."""
    assert other is not None
    loud = [
        np.sqrt([np.mean(part**2) for part in np.array_split(each.samples.mean(0)[: round(1.4 * each.sample_rate)], 28)])
        for each in (one, other)
    ]
    return float(np.corrcoef(*loud)[0, 1])


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (lambda: {"modality": "video"}, "modality", "makes no picture: use audio"),
        (lambda: {"modality": "video_and_audio"}, "modality", "makes no picture: use audio"),
        (lambda: {"crf": 30}, "crf", "has no use for it"),
        (lambda: {"frame_rate": 24.0}, "frame_rate", "has no use for it"),
        (lambda: {"height": 128}, "height", "has no use for it"),
        (lambda: {"effort": "fast"}, "effort", "has no use for it"),
        (lambda: {"num_frames": 200}, "num_frames", "use 120"),
        (lambda: {"prompt": "[0.0-0.5 s] drums [0.5-1.0 s] rain"}, "prompt", "leave the times out"),
    ],
)
def test_what_it_cannot_do_is_refused_in_one_sentence(stable: Stand, change: Callable[[], dict], name: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        stable.request(**change())
    assert refused.value.field == name and refused.value.message.count(". ") == 0 and refused.value.message.endswith(".")


@pytest.mark.parametrize("edit", [{"kind": "retake", "part": "audio"}, {"kind": "extend", "seconds": 0.5}, {"kind": "visualise"}])
def test_of_edits_it_makes_dubs_only(stable: Stand, edit: dict) -> None:
    request = stable.catalogue.complete(EditRequest(prompt="drums", model="twin", source=SOURCE, edit=edit))
    with pytest.raises(InvalidRequest, match="makes sound alone: use it to dub") as refused:
        planned(request, [Shape(64, 96, 18, 12.0)], stable.catalogue)
    assert refused.value.field == "model"


def test_a_clip_longer_than_its_longest_sound_is_refused(stable: Stand) -> None:
    request = stable.catalogue.complete(EditRequest(prompt="drums", model="twin", source=SOURCE, edit={"kind": "dub"}))
    with pytest.raises(InvalidRequest, match=r"lasts 12\.5 s; twin makes at most 12 s"):
        planned(request, [Shape(64, 96, 150, 12.0)], stable.catalogue)


def test_the_form_asks_it_for_sound(stable: Stand) -> None:
    spec = stable.catalogue.get("twin")
    assert not any(spec.takes(name) for name in ("height", "modality", "frame_rate", "crf", "first_frame", "loras"))
    assert all(spec.takes(name) for name in ("num_frames", "num_inference_steps", "negative_prompt", "audio_bitrate_kbps"))
    body = body_of(defaults_of(spec) | {"prompt": "drums", "duration": 2.0}, stable.catalogue)
    assert (body["modality"], body["num_frames"]) == ("audio", 20)
    assert stable.catalogue.complete(GenerationRequest(**body)).duration_s == 2.0
