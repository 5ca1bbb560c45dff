"""The preview of the embedded model's successor: whole, small, at home in all of its world, and where training goes on from."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from pipelines.clip_io import read_media
from pipelines.contract import Done, GenerationRequest
from pipelines.engine import Engine
from pipelines.models.manifest import verify
from pipelines.registry import POCKET_FOLDER, POCKET_WORLD_FOLDER, ModelCatalogue
from pipelines.training.card import EARLIER, RECORD, training_record
from pipelines.training.recipes import pocket
from pipelines.training.release import adopt_all, released_weights
from pipelines.world.words import words

CATALOGUE = ModelCatalogue.with_folders({})
SPEC = CATALOGUE.get("pocket-world")


def test_it_is_whole_and_small():
    verify(SPEC.title, POCKET_WORLD_FOLDER, SPEC.sha256)
    assert sum(file.stat().st_size for file in POCKET_WORLD_FOLDER.rglob("*") if file.is_file()) < 40e6
    card, figures = ((POCKET_WORLD_FOLDER / name).read_text() for name in ("README.md", "evaluation.json"))
    assert "# pocket-world" in card and '"assets/models/pocket-world"' in card
    for stage, spent in json.loads((POCKET_WORLD_FOLDER / RECORD).read_text()).items():
        assert f"| `{stage}` | {spent['minutes']:g} |" in card
    assert {"subject", "impact sync"} <= {figure["name"] for figure in json.loads(figures)["figures"]}


def test_it_knows_every_word_of_the_world_and_is_offered_for_what_pocket_does_not_know():
    assert SPEC.vocabulary is not None and json.loads((POCKET_WORLD_FOLDER / "words.json").read_text()) == json.loads(
        json.dumps(words())
    )
    assert [each.id for each in CATALOGUE.knowing("a cat rolling on a stage")] == ["pocket-world"]
    assert [each.id for each in CATALOGUE.knowing("a red ball at night")] == ["pocket", "pocket-fast", "pocket-world"]
    assert not CATALOGUE.knowing("a skyscraper")
    assert len(SPEC.examples) >= 8 and not any(SPEC.unknown_words(each) for each in SPEC.examples)


def test_it_makes_clips_with_sound(tmp_path: Path):
    request = CATALOGUE.complete(
        GenerationRequest(prompt="a cat rolling on a stage", model="pocket-world", seed=1, num_inference_steps=2)
    )
    events = list(Engine(CATALOGUE, media_dir=tmp_path, device="cpu").run(request, tmp_path / "clip.mp4"))
    assert isinstance(events[-1], Done)
    media = read_media(tmp_path / "clip.mp4")
    assert media.frames.shape == (25, 128, 128, 3) and media.sound.samples.shape[1] > 90_000


def test_training_goes_on_from_it(tmp_path: Path):
    (tmp_path / "vocoder.json").write_text(json.dumps({"steps": 5, "minutes": 1.0}))
    adopt_all(pocket(), POCKET_FOLDER.parent, tmp_path)
    held = torch.load(tmp_path / "transformer.pt", weights_only=True)["average"]
    for name, weight in released_weights(POCKET_WORLD_FOLDER, "transformer").items():
        assert torch.equal(held[f"transformer.{name}"], weight.float()), name
    assert {"video_vae.pt", "audio_vae.pt", "vocoder.pt", EARLIER} <= {file.name for file in tmp_path.iterdir()}
    before = json.loads((POCKET_WORLD_FOLDER / RECORD).read_text())
    (tmp_path / "transformer.json").write_text(json.dumps({"steps": 7, "minutes": 1.5}))
    after = training_record(tmp_path)
    assert after["transformer"]["steps"] == before["transformer"]["steps"] + 7 and after["vocoder"] == before["vocoder"]
