"""Several clips denoised in the same transformer calls: each is the clip that it is alone, and one's trouble is its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from pipelines.contract import Done, GenerationRequest, InvalidRequest, Metric, Progress
from pipelines.engine import Engine
from pipelines.graph import signatures
from pipelines.registry import ModelCatalogue
from pipelines.stages import in_one_stage

FRAME = f"sha256:{'a' * 64}"
GUIDED = {"guidance_scale": 3.0, "stg_scale": 1.0, "modality_scale": 2.0}
ASKED = {
    "plain": {"prompt": "a red ball", "seed": 1},
    "guided": {"prompt": "a blue cube, and then nothing at all", "seed": 2, "guidance_method": "projected", **GUIDED},
    "foretold": {"prompt": "[0.0-0.3 s] a ball [0.3-0.7 s] a cube", "seed": 3, "effort": "fast", **GUIDED},
    "framed": {"prompt": "a green star", "seed": 4, "first_frame": FRAME, "guidance_scale": 2.0},
}


@pytest.fixture
def media(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 64), (200, 40, 30)).save(tmp_path / f"{'a' * 64}.png")
    return tmp_path


def engine(catalogue: ModelCatalogue, media: Path) -> Engine:
    return Engine(catalogue, media_dir=media, device="cpu")


def requests(catalogue: ModelCatalogue, **changes: object) -> dict[str, GenerationRequest]:
    def one(fields: dict[str, object]) -> GenerationRequest:
        return catalogue.complete(GenerationRequest(**({"model": "twin", "num_inference_steps": 8} | fields | changes)))

    return {name: one(fields) for name, fields in ASKED.items()}


def latents(engine: Engine, request: GenerationRequest) -> torch.Tensor | None:
    graph = in_one_stage(request, engine.model("twin").sha256)
    key = signatures(graph, "denoise")["denoise"]
    return engine.cache.get(key).video_BND if key in engine.cache else None


def is_last(event: object) -> bool:
    return isinstance(event, Metric) and event.name == "batch.size"


def test_together_each_is_what_it_is_alone_in_fewer_calls(catalogue, media):
    alone, joined = engine(catalogue, media), engine(catalogue, media)
    calls = dict.fromkeys((alone, joined), 0)
    for one in calls:
        one.model("twin").transformer.register_forward_hook(lambda *_, one=one: calls.__setitem__(one, calls[one] + 1))
    asked = requests(catalogue)
    for request in asked.values():
        list(alone.run(request, media / "alone.mp4"))
    told = list(joined.ahead(asked, {}, lambda _name: True))
    for name, request in asked.items():
        expected, found = latents(alone, request), latents(joined, request)
        assert expected is not None and found is not None
        assert float((found - expected).norm() / expected.norm()) < 1e-4, name
        steps = [event.step for who, event in told if who == name and isinstance(event, Progress) and event.stage == "denoise"]
        assert steps == list(range(9)), name
    assert calls[joined] < 0.6 * calls[alone]
    shares = {who: event.value for who, event in told if isinstance(event, Metric) and event.name == "seconds.denoise"}
    sizes = {event.value for _, event in told if isinstance(event, Metric) and event.name == "batch.size"}
    assert set(shares) == set(asked) and sizes == {4.0}

    events = list(joined.run(asked["guided"], media / "guided.mp4"))
    clip = events[-1].result if isinstance(events[-1], Done) else None
    assert clip is not None and clip.stage_seconds["denoise"] == pytest.approx(shares["guided"], abs=1e-3)
    assert not any(isinstance(event, Progress) and event.stage == "denoise" for event in events)


def test_one_that_is_no_longer_wanted_is_left_within_a_step_and_holds_nobody_up(catalogue, media):
    one, asked, steps = engine(catalogue, media), requests(catalogue), {"guided": 0}

    def wanted(name: str) -> bool:
        return name != "guided" or steps["guided"] < 3

    for name, event in one.ahead(asked, {}, wanted):
        if name == "guided" and isinstance(event, Progress) and event.stage == "denoise":
            steps["guided"] = event.step
    assert steps["guided"] == 3 and latents(one, asked["guided"]) is None
    assert all(latents(one, asked[name]) is not None for name in ("plain", "foretold", "framed"))


def test_what_fails_for_one_is_left_to_its_own_run(catalogue, media):
    (media / f"{'a' * 64}.png").unlink()
    one, asked = engine(catalogue, media), requests(catalogue)
    told = [name for name, event in one.ahead(asked, {}, lambda _name: True) if is_last(event)]
    assert set(told) == {"plain", "guided", "foretold"}
    assert latents(one, asked["framed"]) is None and latents(one, asked["plain"]) is not None
    with pytest.raises(InvalidRequest, match="first_frame"):
        list(one.run(asked["framed"], media / "framed.mp4"))


def test_what_is_there_already_or_twice_is_made_once(catalogue, media):
    one, asked = engine(catalogue, media), requests(catalogue)
    list(one.run(asked["plain"], media / "plain.mp4"))
    twice = {"plain": asked["plain"], "guided": asked["guided"], "again": asked["guided"], "foretold": asked["foretold"]}
    told = [name for name, event in one.ahead(twice, {}, lambda _name: True) if is_last(event)]
    assert told == ["guided", "foretold"]
    assert not list(one.ahead(twice, {}, lambda _name: True)), "nothing is left to do"


def test_a_closed_run_leaves_the_transformer_as_it_was(catalogue, media):
    one, asked = engine(catalogue, media), requests(catalogue)
    going = one.ahead(asked, {}, lambda _name: True)
    for _name, event in going:
        if isinstance(event, Progress) and event.stage == "denoise" and event.step == 2:
            break
    going.close()
    assert not any("forward" in vars(block) for block in one.model("twin").transformer.transformer_blocks)
    assert latents(one, asked["plain"]) is None
    list(one.run(asked["plain"], media / "plain.mp4"))


def test_where_memory_runs_out_they_are_made_one_by_one_and_fewer_the_next_time(catalogue, media):
    one, asked = engine(catalogue, media), requests(catalogue)

    def short(_module: object, _given: object, named: dict[str, torch.Tensor]) -> None:
        if len(named["hidden_states"]) > 2:
            torch.empty(2**60)  # more than any machine has

    handle = one.model("twin").transformer.register_forward_pre_hook(short, with_kwargs=True)
    list(one.ahead(asked, {}, lambda _name: True))
    assert latents(one, asked["plain"]) is None
    clips = [list(one.run(request, media / f"{name}.mp4"))[-1] for name, request in asked.items()]
    handle.remove()
    assert all(isinstance(clip, Done) for clip in clips)
    again = requests(catalogue, seed=9)
    sizes = {event.value for _, event in one.ahead(again, {}, lambda _name: True) if is_last(event)}
    assert sizes == {3.0}


def test_calls_that_are_large_already_are_not_made_larger(catalogue, media):
    one = engine(catalogue, media)
    asked = requests(catalogue, height=1024, width=1024, num_frames=33)
    assert not list(one.ahead(asked, {}, lambda _name: True)) and latents(one, asked["plain"]) is None
