"""Which requests share their transformer calls, and how many at a time: by tokens, by memory, and by what was learned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.contract import EditRequest, GenerationRequest, LoraUse
from pipelines.optimize.batching import BatchSizes, kind_of, most_by_memory, most_by_tokens
from pipelines.optimize.memory import MemoryModel, Widths, Work
from pipelines.registry import ModelCatalogue

LORA = f"lora:{'b' * 64}"


@pytest.fixture(scope="module")
def models() -> ModelCatalogue:
    return ModelCatalogue.with_folders({})


def asked(models: ModelCatalogue, **fields: object) -> GenerationRequest:
    return models.complete(GenerationRequest(**({"prompt": "a red ball", "seed": 1} | fields)))


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a cat", "negative_prompt": "rain", "seed": 7},
        {"guidance_scale": 1.0, "stg_scale": 0.0, "guidance_low": 0.5},
        {"effort": "fast", "guidance_method": "projected"},
        {"modality": "audio", "upscale": 1},
        {"first_frame": f"sha256:{'a' * 64}"},
    ],
)
def test_what_may_differ(models, changes):
    assert kind_of(asked(models, **changes)) == kind_of(asked(models)) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "pocket-fast"},
        {"num_frames": 33},
        {"height": 160},
        {"num_inference_steps": 5},
        {"frame_rate": 10.0},
        {"quantization": "int8"},
        {"loras": (LoraUse(lora=LORA),)},
    ],
)
def test_what_must_not(models, changes):
    assert kind_of(asked(models, **changes)) not in (None, kind_of(asked(models)))


def test_what_shares_with_nobody(models):
    assert kind_of(asked(models, loras=(LoraUse(lora=LORA, end=0.5),))) is None
    assert kind_of(asked(models).model_copy(update={"stages": 2})) is None
    edit = {"kind": "loop"}
    assert kind_of(EditRequest(prompt="a ball", source=f"clip:{'c' * 32}", edit=edit)) is None


def test_large_clips_are_made_alone(models):
    assert most_by_tokens(models.get("pocket"), asked(models)) > 8
    assert most_by_tokens(models.get("ltx-2.3"), asked(models, model="ltx-2.3")) == 1


def test_what_diffusers_runs_is_made_alone(models):
    spec = models.get("wan-2.1-1.3b")
    small = asked(models, model=spec.id, height=spec.min_side, width=spec.min_side, num_frames=spec.frame_multiple + 1)
    assert most_by_tokens(spec, small) == 1


def test_as_many_as_there_is_memory_for():
    model = MemoryModel(Widths(10_000_000, 4), "cpu")
    works = [Work(256, 256, 25, 2.0, branches=1 + index % 2) for index in range(4)]

    def beyond(count: int) -> int:
        found = model.predict(replace(works[0], branches=sum(work.branches for work in works[:count])))
        return found.peaks["denoise"] - found.rest_bytes

    assert beyond(1) < beyond(2) < beyond(3) < beyond(4)
    for count in (1, 2, 3, 4):
        assert most_by_memory(model, works, beyond(count)) == count
    assert most_by_memory(model, works, 0) == 1


def test_a_size_is_kept_where_it_pays():
    sizes = BatchSizes()
    assert sizes.best("clips", 4) == 4, "what is not known is tried"
    for _ in range(3):
        sizes.learn("clips", 1, 2.0)
        sizes.learn("clips", 4, 1.2)
    assert sizes.best("clips", 4) == 4
    assert sizes.best("clips", 3) == 3 and sizes.best("others", 2) == 2


def test_a_size_is_given_up_where_it_does_not_and_tried_again_much_later():
    sizes = BatchSizes()
    for _ in range(3):
        sizes.learn("clips", 1, 2.0)
        sizes.learn("clips", 4, 1.95)
    assert sizes.best("clips", 4) == 1
    for _ in range(13):
        sizes.learn("clips", 1, 2.0)
    assert sizes.best("clips", 4) == 1
    sizes.learn("clips", 1, 2.0)
    assert sizes.best("clips", 4) == 4


def test_one_slow_moment_decides_nothing():
    sizes = BatchSizes()
    for seconds in (1.0, 9.0, 1.1):
        sizes.learn("clips", 4, seconds)
    sizes.learn("clips", 1, 2.0)
    assert sizes.best("clips", 4) == 4
