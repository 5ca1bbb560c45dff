"""Models over HTTP: looked at, and verified."""

from __future__ import annotations

import httpx

from pipelines.registry import POCKET_FOLDER

STATE, VERIFY = "/api/v1/models/pocket/state", "/api/v1/models/pocket/verify"


def test_a_model_is_looked_at_and_verified(client: httpx.Client) -> None:
    told = client.get(STATE)
    assert told.status_code == 200, told.text
    body = told.json()
    assert body["state"] == "here" and body["fits"] is True and body["may_verify"] and body["folder"] == str(POCKET_FOLDER)
    found = client.post(VERIFY)
    assert found.status_code == 200 and "have their published sha256" in found.json()["sentence"]


def test_an_unknown_and_an_absent_model_are_one_sentence(client: httpx.Client) -> None:
    for answer in (client.get("/api/v1/models/poket/state"), client.post("/api/v1/models/poket/verify")):
        assert answer.status_code == 404 and answer.json()["error"]["field"] == "model"
    absent = client.post("/api/v1/models/ltx-2.3-distilled/verify")
    assert absent.status_code == 404 and "is not on this machine" in absent.json()["error"]["message"]


def test_installing_needs_the_licence_and_a_model_of_the_hub(client: httpx.Client) -> None:
    assert client.get("/api/v1/models/ltx-2/install").json() is None
    unread = client.post("/api/v1/models/ltx-2/install", json={"accept_licence": False})
    assert unread.status_code == 422 and "LTX-2 Community License" in unread.json()["error"]["message"]
    assert client.post("/api/v1/models/ltx-2/install", json={}).json()["error"]["field"] == "accept_licence"
    local = client.post("/api/v1/models/pocket/install", json={"accept_licence": True})
    assert local.status_code == 409 and "nothing to install" in local.json()["error"]["message"]
    assert client.post("/api/v1/models/ltx-2/install/cancel").status_code == 409
    assert client.get("/api/v1/models/poket/install").status_code == 404
