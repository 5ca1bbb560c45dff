"""Edits over HTTP: completed from the source, judged at once, and a job like any other."""

from __future__ import annotations

import httpx
import pytest


@pytest.fixture(scope="module")
def made() -> dict:
    return {}


@pytest.fixture
def source(made, finished) -> dict:
    """One finished clip for all tests of this file."""
    if not made:
        made.update(finished(seed=7, prompt="a green square")["result"])
    return made


def asked(source: dict, kind: str, fields: dict | None = None, **settings) -> dict:
    return {"source": f"clip:{source['id']}", "edit": {"kind": kind, **(fields or {})}, **settings}


def test_a_plan_says_what_becomes_of_an_edit(client: httpx.Client, source: dict) -> None:
    plan = client.post("/api/v1/edits/plan", json=asked(source, "extend", {"seconds": 1.0})).json()
    request = plan["request"]
    assert request["prompt"] == "a green square" and request["guidance_scale"] == source["request"]["guidance_scale"]
    assert request["num_frames"] == source["num_frames"] + round(source["frame_rate"])
    assert plan["imagined_video_s"] == [source["duration_s"], request["num_frames"] / request["frame_rate"]]
    assert request["seed"] != 7, "a new take has chance of its own"
    given = client.post("/api/v1/edits/plan", json=asked(source, "retake", {"start_s": 1}, prompt="a dog", seed=3)).json()[
        "request"
    ]
    assert (given["prompt"], given["seed"], given["num_frames"]) == ("a dog", 3, source["num_frames"])


def test_an_edit_becomes_a_clip_that_names_its_source(client: httpx.Client, source: dict) -> None:
    job = client.post("/api/v1/edits", json=asked(source, "trim", {"start_s": 0.5, "end_s": 1.0})).json()
    events = client.get(f"/api/v1/jobs/{job['id']}/events").text
    assert "event: done" in events
    clip = client.get(f"/api/v1/jobs/{job['id']}").json()["result"]
    assert clip["request"]["kind"] == "edit" and clip["request"]["source"] == f"clip:{source['id']}"
    assert clip["request"]["edit"] == {"kind": "trim", "start_s": 0.5, "end_s": 1.0}
    again = client.post(f"/api/v1/jobs/{job['id']}/retry")
    assert again.status_code == 202 and again.json()["request"]["edit"]["kind"] == "trim"
    listed = client.get("/api/v1/clips").json()["clips"]
    assert clip["id"] in [each["id"] for each in listed]


@pytest.mark.parametrize(
    ("kind", "fields", "settings", "field", "says"),
    [
        ("retake", {"start_s": 99}, {}, "start_s", "the clip lasts"),
        ("retake", {"start_s": 2, "end_s": 1}, {}, "edit.retake", "end must come after"),
        ("retake", {"start_s": 0}, {"num_frames": 9}, "num_frames", "source's shape"),
        ("retake", {"start_s": 0}, {"guidance_scale": 999}, "guidance_scale", "50 or less"),
        ("retake", {"start_s": 0}, {"model": "nothing"}, "model", "is not known"),
        ("explode", {}, {}, "edit", "edit"),
        ("join", {"other": "clip:" + "0" * 32}, {}, "other", "not a clip of your library"),
        ("region", {"mask": "sha256:" + "0" * 64}, {}, "edit", "not among your images"),
        ("region", {"mask": "/etc/passwd"}, {}, "edit.region.mask", ""),
    ],
)
def test_nonsense_is_one_sentence(client: httpx.Client, source: dict, kind, fields, settings, field, says) -> None:
    answer = client.post("/api/v1/edits", json=asked(source, kind, fields, **settings))
    error = answer.json()["error"]
    assert answer.status_code in (404, 422) and error["field"] == field and says in error["message"]
    assert error["message"].count("\n") == 0 and len(error["message"]) < 400


def test_a_source_that_is_not_there_or_not_ones_own(client: httpx.Client, source: dict) -> None:
    for reference in ("clip:" + "0" * 32, "", "clip:../../x", 7):
        answer = client.post("/api/v1/edits", json={"source": reference, "edit": {"kind": "mute"}})
        assert answer.status_code == 422 and answer.json()["error"]["field"] == "source"
    body = {**source["request"], "kind": "edit", "source": "clip:" + "0" * 32, "edit": {"kind": "mute"}}
    del body["first_frame"], body["last_frame"], body["references"]
    assert client.post("/api/v1/jobs", json=body).json()["error"]["field"] == "source"
