"""Axes: what they make, what is wrong with them named by axis and value, and read back from a group."""

from __future__ import annotations

import pytest

from pipelines.contract import InvalidRequest, TooLarge
from pipelines.registry import ModelCatalogue
from studio.services.axes import Axis, axes_of, requests_of

REQUEST = {"prompt": "a red ball", "seed": 1}
ONE, TWO = f"lora:{'1' * 64}", f"lora:{'2' * 64}"
STACK = {**REQUEST, "loras": [{"lora": ONE, "weight": 0.7, "audio": 0.5}, {"lora": TWO}]}
COMPLETE = ModelCatalogue.with_folders({}).complete


def axes(*named: tuple[str, tuple]) -> tuple[Axis, ...]:
    return tuple(Axis(field=name, values=values) for name, values in named)


def made(request: dict, *named: tuple[str, tuple]) -> list:
    return requests_of(request, axes(*named), COMPLETE)


def test_weights_of_a_style_change_nothing_else():
    found = made(STACK, (ONE, (0, 0.5)), ("num_inference_steps", (4, 8)))
    assert [each.loras[0].weight for each in found] == [0, 0, 0.5, 0.5]
    assert all(each.loras[0].audio == 0.5 and each.loras[1].weight == 1.0 for each in found)


@pytest.mark.parametrize(
    "named",
    [
        (("seed", (5, 3, 4)),),
        (("prompt", ("a cat", "a dog")), ("guidance_scale", (1.0, 3.0))),
        (("guidance_scale", (3.0, 1.0)), ("prompt", ("a cat", "a dog"))),
        ((ONE, (0.0, 1.0)), ("seed", (1, 2, 3))),
        (("effort", ("quality", "fast")), (TWO, (0.5, 1.5))),
        ((ONE, (0.0, 1.0)), (TWO, (0.5, 1.5))),
        (("loras", ([], [{"lora": ONE, "weight": 1.0, "video": 1.0, "audio": 1.0, "start": 0.0, "end": 1.0}])),),
    ],
)
def test_axes_are_read_back_as_they_were_given(named):
    found = axes_of([each.model_dump(mode="json") for each in made(STACK, *named)])
    assert [(axis.field, axis.values) for axis in found] == [*named]


def test_a_setting_with_one_value_is_no_axis():
    assert axes_of([each.model_dump(mode="json") for each in made(REQUEST, ("guidance_scale", (2.0,)))]) == []


def test_another_prompt_was_not_enhanced_from_the_original():
    found = made({**REQUEST, "original_prompt": "ball"}, ("prompt", ("a cat", "a dog")))
    assert [each.original_prompt for each in found] == [None, None]


@pytest.mark.parametrize(
    ("request_", "named", "sentence"),
    [
        (REQUEST, (("guidance_scale", (1, 99)),), "axes: guidance_scale 99 cannot be made: .*use 50 or less"),
        (REQUEST, (("seed", (1, 2)), ("height", (128, 100))), "axes: height 100 cannot be made: .*use 96"),
        (REQUEST, (("seed", (1, "banana")),), 'axes: seed "banana" cannot be made: seed is .banana.; write a whole number'),
        (REQUEST, (("effort", ("fast", "sleepy")),), 'axes: effort "sleepy" cannot be made: .*use one of'),
        (REQUEST, (("prompt", ("a cat", " ")),), 'axes: prompt " " cannot be made: prompt is empty'),
        (STACK, ((ONE, (0, 9)),), "axes: lora:1+… 9 cannot be made: .*use 4 or less"),
        (REQUEST, ((ONE, (0, 1)),), "weight of lora:1+…, which is not among the loras"),
        (REQUEST, (("guidance_scale", (1, 1.0)),), "a value of guidance_scale twice"),
        ({**REQUEST, "sigmas": [1.0, 0.5]}, (("num_inference_steps", (2, 3)),), "which sigmas overrule"),
        ({**REQUEST, "loras": "all"}, ((ONE, (0, 1)),), "not among the loras"),
    ],
)
def test_what_is_wrong_is_told_with_its_axis_and_value(request_, named, sentence):
    with pytest.raises(InvalidRequest, match=sentence) as refused:
        made(request_, *named)
    assert refused.value.field == "axes"


def test_a_fault_outside_the_axes_keeps_its_field():
    with pytest.raises(InvalidRequest) as refused:
        made({"prompt": " "}, ("seed", (1, 2)))
    assert refused.value.field == "prompt"


def test_too_many_values_and_too_many_clips():
    with pytest.raises(TooLarge, match="17 values of seed; use at most 16"):
        made(REQUEST, ("seed", tuple(range(17))))
    with pytest.raises(TooLarge, match="80 clips; use at most 64"):
        made(REQUEST, ("seed", tuple(range(16))), ("guidance_scale", (1, 2, 3, 4, 5)))
