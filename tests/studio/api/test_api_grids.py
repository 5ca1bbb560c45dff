"""Grids over HTTP: handed in, watched, the best kept, and refusals in a sentence."""

from __future__ import annotations

import time

import httpx

REQUEST = {"prompt": "a red square", "num_inference_steps": 3}


def test_a_grid_from_start_to_end(client: httpx.Client) -> None:
    body = {"request": REQUEST, "axes": [{"field": "seed", "values": [3, 4]}]}
    answer = client.post("/api/v1/grids", json=body)
    assert answer.status_code == 202, answer.text
    address = f"/api/v1/grids/{answer.json()['id']}"
    give_up = time.monotonic() + 60
    while not all(cell["job"]["state"] == "done" for cell in client.get(address).json()["cells"]):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    grid = client.get(address).json()
    assert [cell["settings"] for cell in grid["cells"]] == [{"seed": 3}, {"seed": 4}] and grid["best"] is None
    refused = client.post(f"{address}/best", json={"best": "picture.sharpness"})
    assert refused.status_code == 409 and "measure" in refused.json()["error"]["message"]
    assert client.get(address, params={"best": "beauty"}).json()["error"]["field"] == "best"


def test_bad_grids_are_refused_in_a_sentence(client: httpx.Client) -> None:
    for axes, status in (([], 422), ([{"field": "kind", "values": ["edit"]}], 422), ([{"field": "seed", "values": [1, 1]}], 422)):
        answer = client.post("/api/v1/grids", json={"request": REQUEST, "axes": axes})
        assert answer.status_code == status and answer.json()["error"]["field"] == "axes", answer.text
    assert client.get("/api/v1/grids/nothing").status_code == 404
