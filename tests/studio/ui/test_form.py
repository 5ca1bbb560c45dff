"""The form and the request, each made from the other."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.contract import GenerationRequest, InvalidRequest, ModelNotFound
from pipelines.registry import ModelCatalogue, published_models
from studio.ui.answers import MODEL_BOUND, visibility
from studio.ui.fields import advanced_fields, choices_of, component_for, explanation_of, title_of
from studio.ui.form import ADVANCED, NAMES, defaults_of, duration_grid, request_of, sizes_of, values_of

MODELS = [spec.id for spec in published_models()]


def _needed(catalogue: ModelCatalogue, model: str) -> dict[str, Any]:
    """A first frame, or what to work from, for the models that cannot begin without it."""
    image = "sha256:" + "0a" * 32
    spec = catalogue.get(model)
    begin, acted = spec.begins_with, ["clip:" + "0d" * 16] if spec.references.roles else []
    return {} if "words" in begin else {"references": [image, *acted]} if "references" in begin else {"first_frame": image}


@pytest.fixture(scope="module")
def catalogue() -> ModelCatalogue:
    return ModelCatalogue.with_folders({})


@pytest.mark.parametrize("model", MODELS)
def test_an_untouched_form_asks_for_what_the_model_recommends(catalogue: ModelCatalogue, model: str) -> None:
    first = _needed(catalogue, model)
    values = defaults_of(catalogue.get(model)) | {"prompt": "a bell", "seed": 5, "seed_lock": True} | first
    assert set(values) == set(NAMES)
    asked = catalogue.complete(request_of(values, catalogue))
    assert asked == catalogue.complete(GenerationRequest(prompt="a bell", model=model, seed=5, **first))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_request_comes_back_unchanged_through_the_form(catalogue: ModelCatalogue, model: str, steps: int) -> None:
    spec = catalogue.get(model)
    changes: dict[str, Any] = {
        "num_frames": spec.nearest_num_frames(spec.frame_multiple * steps + 1),
        "width": spec.nearest_side(10_000),
        "crf": 30,
    }
    changes |= dict(zip(("height", "width"), spec.sizes[0], strict=True)) if spec.sizes else {}
    changes |= {
        "negative_prompt": "rain",
        "modality": "audio" if spec.is_for_sound else "video",
        "sigmas": (1.0, 0.5, 0.25),
        "guidance_scale": 1.5,
        "seed": 2**32 - 1,
    }
    changes |= {"first_frame": "sha256:" + "0a" * 32, "frame_rate": min(max(23.976, spec.frame_rates[0]), spec.frame_rates[1])}
    changes |= {"loras": [{"lora": "lora:" + "0b" * 32, "weight": -0.5, "audio": 0.0, "start": 0.25}]}
    shown = spec.references
    changes |= {"references": [*["sha256:" + "0c" * 32] * min(1, shown.images), *["clip:" + "0d" * 16] * min(1, shown.clips)]}
    changes = {name: value for name, value in changes.items() if spec.takes(name) or name == "modality"}
    request = catalogue.complete(GenerationRequest(prompt="a bell\nand a drum", model=model, **changes))
    assert catalogue.complete(request_of(values_of(request, catalogue), catalogue)) == request


def test_what_a_model_has_no_use_for_stays_in_the_form_and_out_of_the_request(catalogue: ModelCatalogue) -> None:
    written = {"loras": [{"lora": "lora:" + "0b" * 32}], "first_frame": "sha256:" + "0a" * 32, "stg_scale": 2.0, "effort": "fast"}
    written |= {"references": ["clip:" + "0d" * 16]}
    values = defaults_of(catalogue.get("wan-2.1-1.3b")) | {"prompt": "a bell", "modality": "video_and_audio"} | written
    request = catalogue.complete(request_of(values, catalogue))
    assert request.modality == "video" and not request.loras and request.first_frame is None and request.stg_scale == 0
    assert request.references == ()
    hidden = {name for name in MODEL_BOUND if visibility(name, catalogue.get("wan-2.1-1.3b")) is not True}
    assert {"loras", "modality", "first_frame", "references", "effort", "sigmas", "modality_scale", "audio_bitrate_kbps"} < hidden
    assert not {"guidance_scale", "num_inference_steps", "negative_prompt", "frame_rate", "crf", "quantization"} & hidden
    assert visibility("first_frame", catalogue.get("wan-2.2-5b")) is True
    assert visibility("references", catalogue.get("wan-2.1-vace-1.3b")) is True


def test_without_the_lock_the_seed_is_left_to_chance(catalogue: ModelCatalogue) -> None:
    values = defaults_of(catalogue.get("pocket")) | {"prompt": "a bell", "seed": 5}
    assert request_of(values, catalogue).seed is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "x" * 100_000}, "prompt"),
        ({"size": "big"}, "size"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"guidance_scale": float("inf")}, "guidance_scale"),
        ({"seed": -1, "seed_lock": True}, "seed"),
        ({"sigmas": "1, soft"}, "sigmas"),
        ({"sigmas": "0.5, 1"}, "sigmas"),
        ({"first_frame": "../../etc"}, "first_frame"),
        ({"modality": "smell"}, "modality"),
        ({"references": ["../../etc"], "model": "ltx-2"}, "references"),
        ({"loras": [{"lora": "neon"}]}, "loras.0.lora"),
        ({"loras": [{"lora": "lora:" + "0b" * 32, "weight": 9}]}, "loras.0.weight"),
    ],
)
def test_bad_input_names_its_field(catalogue: ModelCatalogue, changes: dict[str, Any], field: str) -> None:
    values = defaults_of(catalogue.get("pocket")) | {"prompt": "a bell"} | changes
    with pytest.raises(InvalidRequest) as refused:
        request_of(values, catalogue)
    assert refused.value.field == field
    assert refused.value.message.endswith(".")


def test_an_unknown_model_is_named_with_the_nearest(catalogue: ModelCatalogue) -> None:
    with pytest.raises(ModelNotFound, match="did you mean"):
        request_of(defaults_of(catalogue.get("pocket")) | {"model": "poket"}, catalogue)


@pytest.mark.parametrize("text", ["192 x 128", "192x128", "192 × 128", "192, 128", "192 by 128", "192*128"])
def test_a_size_is_read_as_people_write_it(catalogue: ModelCatalogue, text: str) -> None:
    request = request_of(defaults_of(catalogue.get("pocket")) | {"prompt": "a bell", "size": text}, catalogue)
    assert (request.width, request.height) == (192, 128)


@pytest.mark.parametrize("model", MODELS)
def test_every_offered_size_and_duration_can_be_made(catalogue: ModelCatalogue, model: str) -> None:
    spec = catalogue.get(model)
    own = defaults_of(spec) | {"prompt": "a bell"} | _needed(catalogue, model)
    assert len(sizes_of(spec)) >= 3 or spec.is_for_sound
    for _, size in sizes_of(spec):
        catalogue.complete(request_of(own | {"size": size}, catalogue))
    shortest, longest, step = duration_grid(spec, spec.defaults.frame_rate)
    made = set()
    for k in range(int((longest - shortest) / step + 1e-6) + 1):
        made.add(catalogue.complete(request_of(own | {"duration": shortest + k * step}, catalogue)).num_frames)
    assert made == {spec.frame_multiple * k + spec.nearest_num_frames(1) for k in range(len(made))}
    assert max(number for number in made if number) == spec.nearest_num_frames(spec.max_frames)


def test_every_advanced_setting_has_a_title_and_an_explanation() -> None:
    assert advanced_fields() == ADVANCED
    for name in ADVANCED:
        assert title_of(name)
        assert len(explanation_of(name)) > 10, name
        assert "`" not in explanation_of(name)


def test_a_setting_of_few_values_is_chosen_by_words() -> None:
    assert title_of("upscale") == "Enlarge"
    assert choices_of("upscale") == [("off", 1), ("2x", 2), ("4x", 4)]
    assert [value for _, value in choices_of("effort")] == ["quality", "balanced", "fast", "motion", "speech"]
    assert choices_of("crf") == choices_of("seed") == []
    chosen = component_for("upscale", value=1)
    assert chosen.preprocess(4) == 4 and chosen.get_config()["label"] == "Enlarge"
