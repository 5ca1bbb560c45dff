"""What the page is told of the memory while the form changes, and the change that makes a clip fit."""

from __future__ import annotations

from typing import Any

from pipelines.contract import GenerationRequest
from studio.storage import memory
from studio.storage.memory import MemoryRow
from studio.studio import Studio
from studio.ui.answers import LESSENED, Answers
from studio.ui.form import NAMES, defaults_of, request_of


def form(studio: Studio, **changes: Any) -> list[Any]:
    values = defaults_of(studio.catalogue.get("pocket")) | {"seed_lock": False} | changes
    return [values.get(name) for name in NAMES]


def test_the_form_is_weighed_before_there_is_a_prompt(idle: Studio) -> None:
    answers = Answers(idle)
    told, larger = answers.weigh(*form(idle)), answers.weigh(*form(idle, size="256 × 256"))
    assert told is not None and larger is not None and told["fits"] is True
    assert larger["peak_bytes"] > told["peak_bytes"]


def test_a_form_that_cannot_be_handed_in_is_not_weighed(idle: Studio) -> None:
    assert Answers(idle).weigh(*form(idle, size="very wide")) is None


def test_making_it_fit_sets_the_form(idle: Studio) -> None:
    large = form(idle, size="512 × 512", duration=10.0)
    request = request_of(dict(zip(NAMES, large, strict=True)) | {"prompt": "a ball"}, idle.catalogue)
    need = idle.forecasts.of(request)
    held = idle.forecasts.of(GenerationRequest(prompt="a ball")).free_bytes - (need.peak_bytes - need.rest_bytes) // 2
    with idle._database.write() as connection:  # a worker at rest that leaves half of what the clip needs
        memory.insert(connection, MemoryRow("cpu", "pocket", _WORK, held, held, 0, "{}", False, "2026-01-01T00:00:00Z"))
    answers = Answers(idle)
    assert answers.weigh(*large)["fits"] is False
    values = dict(zip(NAMES, large, strict=True)) | dict(zip(LESSENED, answers.lessen(*large), strict=True))
    assert answers.weigh(*(values[name] for name in NAMES))["peak_bytes"] < answers.weigh(*large)["peak_bytes"]
    assert (values["size"], values["duration"]) != ("512 × 512", 10.0)


_WORK = '{"height": 64, "width": 64, "num_frames": 5, "duration_s": 0.4}'
