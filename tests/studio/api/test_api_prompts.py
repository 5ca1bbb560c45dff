"""Prompts read and enhanced over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

READ, ENHANCE = "/api/v1/prompts/analyse", "/api/v1/prompts/enhance"


def test_a_prompt_is_read(client: httpx.Client) -> None:
    answer = client.post(READ, json={"prompt": "🎬 a red fox runs [hm]"})
    assert answer.status_code == 200
    assert answer.json() == {
        "language": "en",
        "intents": ["action"],
        "entities": [
            {"kind": "colour", "text": "red", "start": 4, "end": 7},
            {"kind": "subject", "text": "fox", "start": 8, "end": 11},
            {"kind": "action", "text": "runs", "start": 12, "end": 16},
        ],
        "segments": [],
    }
    stamped = client.post(READ, json={"prompt": "[0-1 s] a ball [1-2 s] a star"}).json()
    assert stamped["segments"][1] == {"start_s": 1.0, "end_s": 2.0, "text": "a star"}


def test_a_prompt_is_enhanced_and_nothing_is_made(client: httpx.Client) -> None:
    before = client.get("/api/v1/jobs").json()
    answer = client.post(ENHANCE, json={"prompt": "a red fox", "strategy": "cinematic", "model": "ltx-2"}).json()
    assert answer["original"] == "a red fox" and answer["prompt"].startswith("a red fox, ") and answer["note"] is None
    assert [piece["change"] for piece in answer["difference"]] == ["kept", "added"]
    pocket = client.post(ENHANCE, json={"prompt": "une balle rouge", "strategy": "sound"}).json()
    assert pocket["prompt"].startswith("a red ball") and pocket["language"] == "fr"
    assert client.get("/api/v1/jobs").json() == before


def test_shots_share_the_length_that_was_named(client: httpx.Client) -> None:
    body = {"prompt": "a fox runs", "strategy": "structure", "model": "ltx-2", "duration_s": 2.0}
    assert client.post(ENHANCE, json=body).json()["prompt"].startswith("[0.0-1.0 s] a fox runs [1.0-2.0 s] ")


def test_something_else_of_the_same_kind(client: httpx.Client) -> None:
    prompt = "a red ball on grass"
    told = client.post(f"{READ.rpartition('/')[0]}/swaps", json={"prompt": prompt, "start": 2, "end": 5}).json()
    assert {"phrase": "orange", "prompt": "an orange ball on grass"} in told["swaps"] and told["without"] == "a ball on grass"
    any_words = client.post(f"{READ.rpartition('/')[0]}/swaps", json={"prompt": prompt, "start": 6, "end": 10, "model": "ltx-2"})
    assert len(any_words.json()["swaps"]) > 60 and any_words.json()["without"] is None


@pytest.mark.parametrize(
    ("address", "body", "status", "field"),
    [
        (READ, {"prompt": 5}, 422, "prompt"),
        (READ, {"prompt": "a" * 4001}, 422, "prompt"),
        (READ, {"prompt": "[1-0 s] a ball"}, 422, "prompt"),
        (f"{READ.rpartition('/')[0]}/swaps", {"prompt": "a red ball", "start": 3, "end": 5}, 422, "start"),
        (ENHANCE, {"prompt": "", "strategy": "detail"}, 422, "prompt"),
        (ENHANCE, {"prompt": "  ", "strategy": "detail"}, 422, "prompt"),
        (ENHANCE, {"prompt": "a", "strategy": "poetry"}, 422, "strategy"),
        (ENHANCE, {"prompt": "a", "strategy": "detail", "model": "poket"}, 404, "model"),
        (ENHANCE, {"prompt": "a", "strategy": "detail", "duration_s": 0}, 422, "duration_s"),
        (ENHANCE, {"prompt": "a", "strategy": "detail", "seed": 1}, 422, "seed"),
    ],
)
def test_what_is_refused(client: httpx.Client, address: str, body: dict[str, Any], status: int, field: str) -> None:
    answer = client.post(address, json=body)
    assert answer.status_code == status and answer.json()["error"]["field"] == field
