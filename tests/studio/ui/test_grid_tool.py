"""What the form tells the grid tool: its request as it stands, and the settings that can be varied."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr

from pipelines.contract import GenerationRequest
from studio.services.axes import Axis, requests_of
from studio.studio import Studio
from studio.ui.answers import Answers
from studio.ui.fields import varied_fields
from studio.ui.form import NAMES, defaults_of


def told(studio: Studio, **changes: Any) -> dict[str, Any]:
    values = defaults_of(studio.catalogue.get("pocket")) | {"seed_lock": False} | changes
    event = gr.EventData(None, {"turn": 3})
    return Answers(studio).tell(event, *(values[name] for name in NAMES))


def test_a_form_without_a_prompt_is_told_as_it_is(idle: Studio) -> None:
    found = told(idle)
    assert found["turn"] == 3 and found["body"]["prompt"] == "" and found["body"]["seed"] is None
    axes = (Axis(field="prompt", values=("a cat", "a dog")),)
    assert [each.prompt for each in requests_of(found["body"], axes, idle.catalogue.complete)] == ["a cat", "a dog"]


def test_a_form_that_cannot_be_read_is_refused_in_a_sentence(idle: Studio) -> None:
    found = told(idle, size="very wide")
    assert found["turn"] == 3 and found["error"]["field"] == "size"


def test_a_model_that_is_not_here_is_not_fetched_by_generate(idle: Studio) -> None:
    spec = idle.catalogue.get("ltx-2.5")
    values = defaults_of(spec) | {"prompt": "a cat"}
    request = SimpleNamespace(request=SimpleNamespace(scope={"studio.owner": "local", "studio.hosted": False}))
    outcome, _ = Answers(idle).submit(request, *(values[name] for name in NAMES))
    assert outcome["error"]["field"] == "model"
    assert outcome["error"]["message"].startswith("LTX-2.5 is not on this machine yet: install it in the Models tab")
    assert idle.jobs.list("local") == []


def test_what_can_be_varied_are_settings_with_their_kinds() -> None:
    found = varied_fields()
    assert [each["field"] for each in found][:2] == ["seed", "prompt"]
    assert {each["field"] for each in found} < set(GenerationRequest.model_fields)
    kinds = {each["field"]: each["kind"] for each in found}
    assert (kinds["seed"], kinds["prompt"], kinds["effort"], kinds["guidance_scale"]) == (
        "numbers",
        "texts",
        "choices",
        "numbers",
    )
    assert not {"kind", "loras", "sigmas", "first_frame", "model"} & set(kinds)
