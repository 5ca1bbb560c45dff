"""LoRAs over HTTP: in, seen, compared, stacked, used, and out again."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.pipelines.lora.test_lora_file import halves, named, write

LORAS = "/api/v1/loras"


def sent(client: httpx.Client, folder: Path, seed: int) -> dict:
    path = write(folder / f"style {seed}.safetensors", named("peft", halves(seed)), {"trigger_words": "neon glow"})
    answer = client.post(LORAS, files={"file": (path.name, path.read_bytes())}, params={"name": f"style {seed}"})
    assert answer.status_code == 201, answer.text
    found: dict = answer.json()
    return found


def test_a_lora_from_upload_to_removal(client, tmp_path, finished):
    one, two = sent(client, tmp_path, 1), sent(client, tmp_path, 2)
    assert one["name"] == "style 1" and one["layout"] == "peft" and one["trigger_words"] == ["neon glow"]
    assert one in client.get(LORAS, params={"model": "pocket"}).json()["loras"]
    pairs = client.get(f"{LORAS}/conflicts", params={"lora": [one["reference"], two["reference"]]}).json()["conflicts"]
    assert [pair["level"] for pair in pairs] == ["none"] or pairs[0]["overlap"] >= 0.2
    uses = [{"lora": one["reference"], "weight": 0.5, "end": 0.5}]
    assert client.put(f"{LORAS}/presets/night walk", json={"uses": uses}).status_code == 200
    preset = client.get(f"{LORAS}/presets").json()["presets"][0]
    assert preset["name"] == "night walk" and preset["uses"][0]["weight"] == 0.5
    job = finished(loras=uses)
    assert job["state"] == "done" and job["request"]["loras"][0]["end"] == 0.5
    assert client.delete(f"{LORAS}/presets/night walk").status_code == 204
    for each in (one, two):
        assert client.delete(f"{LORAS}/{each['reference']}").status_code == 204
        assert client.get(f"{LORAS}/{each['reference']}").status_code == 404
    assert client.post("/api/v1/jobs", json={"kind": "generate", "prompt": "a ball", "loras": uses}).status_code == 422


def test_what_is_no_lora_is_refused_with_its_reason(client):
    for content, why in ((b"\x80\x04K\x01.", "pickle"), (b"x" * 400, "safetensors"), (b"abc", "cut off")):
        answer = client.post(LORAS, content=content, headers={"content-type": "application/octet-stream"})
        assert answer.status_code == 422 and why in answer.json()["error"]["message"], answer.text
    answer = client.put(f"{LORAS}/presets/x", json={"uses": [{"lora": "../../etc"}]})
    assert answer.status_code == 422


def test_those_that_came_with_the_studio_are_listed_shown_and_kept(client):
    one = next(each for each in client.get(LORAS).json()["loras"] if each["is_shipped"])
    preview = client.get(f"{LORAS}/{one['reference']}/preview")
    assert preview.status_code == 200 and preview.headers["content-type"] == "video/mp4"
    assert client.get(f"{LORAS}/lora:{'0' * 64}/preview").status_code == 404
    refused = client.delete(f"{LORAS}/{one['reference']}")
    assert refused.status_code == 403 and refused.json()["error"]["message"].endswith("cannot be removed.")
