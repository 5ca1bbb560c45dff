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
    refused = client.post(f"{address}/best", json={"best": "sound.lufs"})
    assert refused.status_code == 409 and "measure" in refused.json()["error"]["message"]
    kept = client.post(f"{address}/best", json={"best": "picture.sharpness"})  # which the painter's clips have as their seed
    assert kept.status_code == 200 and kept.json()["best"] == grid["cells"][1]["job"]["result"]["id"]
    assert client.get(address, params={"best": "beauty"}).json()["error"]["field"] == "best"


def test_a_plan_a_list_a_sheet_and_a_cancelled_grid(client: httpx.Client) -> None:
    body = {"request": {**REQUEST, "num_inference_steps": 150}, "axes": [{"field": "seed", "values": [3, 4, 5]}]}
    plan = client.post("/api/v1/grids/plan", json=body)
    assert plan.status_code == 200 and plan.json()["clips"] == 3
    made = client.post("/api/v1/grids", json=body).json()
    listed = client.get("/api/v1/grids").json()["grids"]
    assert listed[0]["id"] == made["id"] and listed[0]["clips"] == 3 and listed[0]["prompt"] == REQUEST["prompt"]
    stopped = client.post(f"/api/v1/grids/{made['id']}/cancel").json()
    assert all(cell["job"]["cancel_requested"] for cell in stopped["cells"])
    give_up = time.monotonic() + 30
    while not all(cell["job"]["state"] == "cancelled" for cell in client.get(f"/api/v1/grids/{made['id']}").json()["cells"]):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    sheet = client.get(f"/api/v1/grids/{made['id']}/sheet")
    assert sheet.headers["content-type"] == "image/png" and sheet.content.startswith(b"\x89PNG")
    assert f"grid-{made['id'][:8]}.png" in sheet.headers["content-disposition"]
    for address in (f"/grids/{made['id']}/sheet?best=beauty", "/grids?limit=0"):
        assert client.get(f"/api/v1{address}").status_code == 422
    again = client.post(f"/api/v1/grids/{made['id']}/retry")
    assert again.status_code == 202 and {cell["job"]["state"] for cell in again.json()["cells"]} <= {"queued", "running"}
    client.post(f"/api/v1/grids/{made['id']}/cancel")
    for deed in ("cancel", "retry"):
        assert client.post(f"/api/v1/grids/nothing/{deed}").status_code == 404


def test_bad_grids_are_refused_in_a_sentence(client: httpx.Client) -> None:
    for axes, status in (([], 422), ([{"field": "kind", "values": ["edit"]}], 422), ([{"field": "seed", "values": [1, 1]}], 422)):
        answer = client.post("/api/v1/grids", json={"request": REQUEST, "axes": axes})
        assert answer.status_code == status and answer.json()["error"]["field"] == "axes", answer.text
    assert client.get("/api/v1/grids/nothing").status_code == 404
