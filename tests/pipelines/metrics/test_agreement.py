"""Frames against words by CLIP and SigLIP: the number is the model's own, taken at the right moments, and kept with a clip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pipelines.clip_io import Media
from pipelines.contract import GenerationRequest, ModelNotFound
from pipelines.engine import Engine
from pipelines.metrics.agreement import FRAMES, TextImageModel
from pipelines.metrics.card import quality_card
from pipelines.metrics.catalogue import BY_NAME
from pipelines.metrics.measuring import app
from pipelines.registry import ModelCatalogue
from tests.twins import clip_twin, instruction_twin, siglip_twin

RATE = 12.0
FRAMES_FHWC = np.random.default_rng(0).integers(0, 255, (25, 48, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    built = {"clip": clip_twin, "siglip": siglip_twin}
    return {kind: build(tmp_path_factory.mktemp(kind)) for kind, build in built.items()}


def by_transformers(folder: Path, frames: np.ndarray, words: str) -> float:
    """The same through the whole model's own comparison, frame by frame."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.models.auto.image_processing_auto import AutoImageProcessor

    network = AutoModel.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)([words], return_tensors="pt", **padding(folder))["input_ids"]
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=list(frames), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        told = network(input_ids=tokens, pixel_values=pixels)
        bias = getattr(network, "logit_bias", torch.zeros(1))
        return float(((told.logits_per_image - bias) / network.logit_scale.exp()).mean())


def padding(folder: Path) -> dict[str, object]:
    is_clip = json.loads((folder / "config.json").read_text())["model_type"] == "clip"
    return {} if is_clip else {"padding": "max_length", "max_length": 64}


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_the_number_is_the_models_own(folders: dict[str, Path], kind: str) -> None:
    model = TextImageModel.load(str(folders[kind]))
    at = np.linspace(0, 24, FRAMES).round().astype(int)
    found = model.agreement(FRAMES_FHWC, "a red ball", RATE)
    assert found == {f"semantic.{kind}": pytest.approx(by_transformers(folders[kind], FRAMES_FHWC[at], "a red ball"), abs=1e-5)}
    assert found == model.agreement(FRAMES_FHWC, "a red ball", RATE)
    metric = BY_NAME[f"semantic.{kind}"]
    assert metric.unit == "cosine" and metric.verdict(0.2) is None and metric.badness(0.3) < metric.badness(0.2)


def test_speech_is_not_seen_and_long_prompts_are_cut(folders: dict[str, Path]) -> None:
    model = TextImageModel.load(str(folders["clip"]))
    said = model.agreement(FRAMES_FHWC, 'a red ball says "hello"', RATE)
    assert said == model.agreement(FRAMES_FHWC, "a red ball says", RATE)
    assert model.agreement(FRAMES_FHWC, '"hello"', RATE) == {}
    long = "a red ball bouncing on grass " * 40
    assert model.agreement(FRAMES_FHWC, long, RATE) == model.agreement(FRAMES_FHWC, long + "at night", RATE)
    assert model.agreement(FRAMES_FHWC[:1], "a red ball", RATE)


def test_each_frame_is_asked_for_what_its_moment_shows(folders: dict[str, Path]) -> None:
    model = TextImageModel.load(str(folders["clip"]))
    frames = FRAMES_FHWC[:24]  # two seconds
    timed = model.agreement(frames, "[0-1 s] a red ball [1-2 s] a blue star", RATE)["semantic.clip"]
    at = np.linspace(0, 23, FRAMES).round().astype(int)
    halves = [
        by_transformers(folders["clip"], frames[at[at < 12]], "a red ball"),
        by_transformers(folders["clip"], frames[at[at >= 12]], "a blue star"),
    ]
    assert timed == pytest.approx(np.average(halves, weights=[sum(at < 12), sum(at >= 12)]), abs=1e-5)


def test_a_card_has_it_only_where_there_is_a_model(folders: dict[str, Path]) -> None:
    media, request = Media(FRAMES_FHWC, None, RATE), GenerationRequest(prompt="a red ball")
    judge = TextImageModel.load(str(folders["clip"]))
    assert "semantic.clip" in quality_card(media, request, None, judge).measurements
    assert not [name for name in quality_card(media, request, None).measurements if name.startswith("semantic.")]
    assert "semantic.clip" not in quality_card(media, None, None, judge).measurements


def test_an_engine_measures_what_it_makes(folders: dict[str, Path], catalogue: ModelCatalogue, tmp_path: Path) -> None:
    request = catalogue.complete(GenerationRequest(prompt="a red ball", model="twin", seed=1))
    judging = Engine(catalogue, media_dir=tmp_path, device="cpu", text_image_model=str(folders["siglip"]))
    made = [*judging.run(request, tmp_path / "a.mp4")][-1].result
    assert -1 <= made.measurements["semantic.siglip"] <= 1
    missing = Engine(catalogue, media_dir=tmp_path, device="cpu", text_image_model=str(tmp_path / "none"))
    other = [*missing.run(request, tmp_path / "b.mp4")][-1].result  # the clip is made all the same
    assert "semantic.siglip" not in other.measurements and "picture.sharpness" in other.measurements

    command = ["measure", str(tmp_path / "a.mp4"), "--json", "--text-image-model"]
    told = CliRunner().invoke(app, [*command, str(folders["siglip"])])
    assert json.loads(told.stdout)["measurements"]["semantic.siglip"] == made.measurements["semantic.siglip"]
    refused = CliRunner().invoke(app, [*command, str(tmp_path / "none")])
    assert refused.exit_code == 2 and json.loads(refused.stdout)["error"]["field"] == "text_image_model"


def test_other_kinds_of_models_are_refused(tmp_path: Path) -> None:
    folder = instruction_twin(tmp_path / "chat", [("a", "b", "c")])
    with pytest.raises(ModelNotFound, match="text_image_model chat is of the kind 'llama': choose a CLIP or SigLIP model"):
        TextImageModel.load(str(folder))
