"""Models over HTTP: looked at, and verified."""

from __future__ import annotations

import httpx

from pipelines.registry import POCKET_FOLDER
from tests.studio.rooms import wait_for

STATE, VERIFY = "/api/v1/models/pocket/state", "/api/v1/models/pocket/verify"


def test_a_model_is_looked_at_and_verified(client: httpx.Client) -> None:
    told = client.get(STATE)
    assert told.status_code == 200, told.text
    body = told.json()
    assert body["state"] == "here" and body["fits"] is True and body["may_verify"] and body["folder"] == str(POCKET_FOLDER)
    assert client.get(VERIFY).json() is None
    begun = client.post(VERIFY)
    assert begun.status_code == 202 and begun.json()["state"] == "running", begun.text
    wait_for(lambda: client.get(VERIFY).json()["state"] != "running")
    found = client.get(VERIFY).json()
    assert found["state"] == "done" and found["done_bytes"] == found["total_bytes"] > 0
    assert "have their published sha256" in found["sentence"]
    assert client.post(f"{VERIFY}/cancel").status_code == 409


def test_the_default_is_told_and_chosen(client: httpx.Client) -> None:
    assert client.get("/api/v1/models/default").json() == {"model": "pocket", "sentence": None}
    assert client.put("/api/v1/models/default", json={"model": "pocket-fast"}).json()["model"] == "pocket-fast"
    assert client.get("/api/v1/models/default").json()["model"] == "pocket-fast"
    absent = client.put("/api/v1/models/default", json={"model": "ltx-2.3-distilled"})
    assert absent.status_code == 409 and "install it" in absent.json()["error"]["message"]
    assert client.put("/api/v1/models/default", json={}).json()["error"]["field"] == "model"


def test_what_is_not_the_studios_cannot_be_removed(client: httpx.Client) -> None:
    embedded = client.delete("/api/v1/models/pocket", params={"sure": True})
    assert embedded.status_code == 409 and "comes with the studio" in embedded.json()["error"]["message"]
    absent = client.delete("/api/v1/models/ltx-2.3-distilled", params={"sure": True})
    assert absent.status_code == 404 and "nothing to remove" in absent.json()["error"]["message"]


def test_an_unknown_and_an_absent_model_are_one_sentence(client: httpx.Client) -> None:
    for answer in (client.get("/api/v1/models/poket/state"), client.post("/api/v1/models/poket/verify")):
        assert answer.status_code == 404 and answer.json()["error"]["field"] == "model"
    assert client.post("/api/v1/models/ltx-2.3-distilled/verify").status_code == 202
    wait_for(lambda: client.get("/api/v1/models/ltx-2.3-distilled/verify").json()["state"] == "failed")
    assert "is not on this machine" in client.get("/api/v1/models/ltx-2.3-distilled/verify").json()["sentence"]


def test_installing_needs_the_licence_and_a_model_of_the_hub(client: httpx.Client) -> None:
    assert client.get("/api/v1/models/ltx-2/install").json() is None
    unread = client.post("/api/v1/models/ltx-2/install", json={"accept_licence": False})
    assert unread.status_code == 422 and "LTX-2 Community License" in unread.json()["error"]["message"]
    assert client.post("/api/v1/models/ltx-2/install", json={}).json()["error"]["field"] == "accept_licence"
    local = client.post("/api/v1/models/pocket/install", json={"accept_licence": True})
    assert local.status_code == 409 and "nothing to install" in local.json()["error"]["message"]
    assert client.post("/api/v1/models/ltx-2/install/cancel").status_code == 409
    assert client.get("/api/v1/models/poket/install").status_code == 404
