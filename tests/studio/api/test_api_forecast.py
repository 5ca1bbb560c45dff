"""What a request will take of the memory, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

FORECAST = "/api/v1/forecast"


def test_a_request_is_weighed_and_nothing_is_made(client: httpx.Client) -> None:
    before = client.get("/api/v1/jobs").json()
    told = client.post(FORECAST, json={"prompt": "a red ball"})
    assert told.status_code == 200, told.text
    body = told.json()
    assert body["model"] == "pocket" and body["peak_bytes"] == max(each["peak_bytes"] for each in body["stages"])
    larger = client.post(FORECAST, json={"prompt": "a red ball", "height": 512, "width": 512}).json()
    assert larger["peak_bytes"] > body["peak_bytes"]
    assert client.get("/api/v1/jobs").json() == before


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"prompt": "a ball", "height": 100}, 422, "height"),
        ({"prompt": ""}, 422, "prompt"),
        ({"prompt": "a ball", "model": "poket"}, 404, "model"),
        ({"kind": "edit", "prompt": "a ball"}, 422, "kind"),
        ({"prompt": "a ball", "memory": 5}, 422, "memory"),
    ],
)
def test_bad_input_is_one_sentence(client: httpx.Client, body: dict[str, Any], status: int, field: str) -> None:
    answer = client.post(FORECAST, json=body)
    assert answer.status_code == status and answer.json()["error"]["field"] == field
