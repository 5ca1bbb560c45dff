"""What a model knows over HTTP, and what of a prompt is outside it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

CHECK = "/api/v1/prompts/check"


def test_a_prompt_is_checked_and_nothing_is_made(client: httpx.Client) -> None:
    before = client.get("/api/v1/jobs").json()
    answer = client.post(CHECK, json={"model": "pocket", "prompt": "🎬 a mountain bouncing at night"})
    assert answer.status_code == 200
    assert answer.json() == {
        "model": "pocket",
        "title": "Pocket",
        "has_vocabulary": True,
        "language": "en",
        "unknown": [{"word": "mountain", "nearest": "snow", "start": 4, "end": 12}],
        "known_by": [],
    }
    assert client.get("/api/v1/jobs").json() == before


def test_a_model_that_knows_it_all_is_named(client: httpx.Client) -> None:
    answer = client.post(CHECK, json={"model": "pocket", "prompt": "a cat rolling on a stage"}).json()
    assert "cat" in [each["word"] for each in answer["unknown"]]
    assert answer["known_by"] == [{"model": "pocket-world", "title": "Pocket World"}]


def test_another_language_is_told(client: httpx.Client) -> None:
    answer = client.post(CHECK, json={"model": "pocket", "prompt": "ein roter Ball springt im Gras"}).json()
    assert answer["language"] == "de" and len(answer["unknown"]) > 1


@pytest.mark.parametrize(("model", "prompt"), [("pocket", ""), ("pocket", "a red ball"), ("ltx-2", "a skyscraper")])
def test_nothing_is_unknown(client: httpx.Client, model: str, prompt: str) -> None:
    answer = client.post(CHECK, json={"model": model, "prompt": prompt}).json()
    assert answer["unknown"] == [] and answer["has_vocabulary"] == (model == "pocket")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"model": "poket", "prompt": "a ball"}, 404, "model"),
        ({"model": "pocket"}, 422, "prompt"),
        ({"model": "pocket", "prompt": 5}, 422, "prompt"),
        ({"model": "pocket", "prompt": "a" * 4001}, 422, "prompt"),
        ({"model": "pocket", "prompt": "a", "seed": 1}, 422, "seed"),
    ],
)
def test_bad_checks(client: httpx.Client, body: dict[str, Any], status: int, field: str) -> None:
    answer = client.post(CHECK, json=body)
    assert answer.status_code == status and answer.json()["error"]["field"] == field


def test_the_words_of_a_model(client: httpx.Client) -> None:
    models = {each["id"]: each["has_vocabulary"] for each in client.get("/api/v1/models").json()}
    assert models["pocket"] is True and models["ltx-2"] is False
    words = client.get("/api/v1/models/pocket/words").json()
    assert words["title"] == "Pocket" and words["near"]["mountain"] == "snow"
    assert words["knows"]["subject"]["ball"][0] == "ball"
    for model in ("ltx-2", "nobody"):
        refused = client.get(f"/api/v1/models/{model}/words")
        assert refused.status_code == 404 and refused.json()["error"]["field"] == "model"


def test_the_reference_names_both(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert "get" in paths["/api/v1/models/{model_id}/words"]
    properties = paths[CHECK]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(properties) == {"model", "prompt"}
