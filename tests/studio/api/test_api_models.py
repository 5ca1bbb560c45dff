"""Models over HTTP: looked at, verified, and found in other programs' folders."""

from __future__ import annotations

from pathlib import Path

import httpx

from pipelines.registry import POCKET_FOLDER
from tests.pipelines.lora.test_lora_file import halves, named, write
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


def test_another_programs_folder_is_looked_through_and_a_lora_kept(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "loras").mkdir()
    path = write(tmp_path / "loras" / "glow.safetensors", named("peft", halves(7)), {"trigger_words": "glow"})
    (tmp_path / "old.ckpt").write_bytes(b"\x80\x04K\x01.")
    told = client.get("/api/v1/models/found", params={"folder": str(tmp_path)}).json()
    assert told["folders"] == [str(tmp_path)]
    kinds = {Path(each["path"]).name: each["kind"] for each in told["found"]}
    assert kinds == {"glow.safetensors": "LoRA", "old.ckpt": "refused"}
    assert "pocket" in next(each["models"] for each in told["found"] if each["kind"] == "LoRA")
    kept = client.post("/api/v1/loras/found", json={"path": str(path)})
    assert kept.status_code == 201 and kept.json()["name"] == "glow" and path.is_file()
    assert kept.json() in client.get("/api/v1/loras").json()["loras"]
    assert client.delete(f"/api/v1/loras/{kept.json()['reference']}").status_code == 204


def test_folders_and_files_that_are_not_there_are_one_sentence(client: httpx.Client, tmp_path: Path) -> None:
    for asked in ({}, {"folder": str(tmp_path / "nowhere")}):
        answer = client.get("/api/v1/models/found", params=asked)
        assert answer.status_code == 422 and answer.json()["error"]["field"] == "folder"
    (tmp_path / "text.safetensors").write_text("words")
    for path, field in ((tmp_path / "gone.safetensors", "path"), (tmp_path / "text.safetensors", "lora")):
        answer = client.post("/api/v1/loras/found", json={"path": str(path)})
        assert answer.status_code == 422 and answer.json()["error"]["field"] == field, answer.text
    assert client.post("/api/v1/loras/found", json={}).json()["error"]["field"] == "path"
