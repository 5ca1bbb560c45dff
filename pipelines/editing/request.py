"""A complete edit from what a person asks for and from what the source was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.contract import AnyRequest, ClipRequest, EditRequest, InvalidRequest, parse_request
from pipelines.editing.plan import EditPlan, Shape, plan_edit
from pipelines.prompting.timeline import marks_of
from pipelines.registry import ModelCatalogue

_SHAPE = ("height", "width", "num_frames", "frame_rate", "modality", "upscale", "stages", "refine_sigmas")
# What the words, the file and chance are made with goes from model to model; everything else is advice for one of them.
_OF_ANY_MODEL = ("prompt", "negative_prompt", "crf", "audio_bitrate_kbps")


def edit_request(asked: Mapping[str, Any], source: AnyRequest, catalogue: ModelCatalogue) -> EditRequest:
    """The edit that ``asked`` describes (``source``, ``edit``, and any settings), the rest set as in the source's request.

    The seed is a new one unless it is given. Raises ``InvalidRequest`` with the field, or ``ModelNotFound``.
    """
    foreign = sorted(set(asked) & set(_SHAPE))
    if foreign:
        raise InvalidRequest(
            f"{foreign[0]} is not a setting of an edit, which has its source's shape; leave it out.", field=foreign[0]
        )
    same_model = asked.get("model") in (None, source.model)
    kept = set(ClipRequest.model_fields) - set(_SHAPE) - {"seed"} if same_model else set(_OF_ANY_MODEL)
    if "prompt" in asked:  # what it was enhanced from goes with the prompt
        kept -= {"original_prompt"}
    request = parse_request({**source.model_dump(mode="json", include=kept), **asked, "kind": "edit"})
    assert isinstance(request, EditRequest)
    return catalogue.complete(request)


def planned(request: EditRequest, shapes: list[Shape], catalogue: ModelCatalogue) -> tuple[EditRequest, EditPlan]:
    """The request with the finished clip's shape, and its plan. Raises ``InvalidRequest`` where the edit cannot be done.

    ``shapes`` are those of ``request.clips()``, in that order.
    """
    spec = catalogue.get(request.model)
    plan = plan_edit(request.edit, shapes[0], spec, *shapes[1:])
    if plan.window is not None and not spec.edits:
        raise InvalidRequest(
            f"model is {spec.id}, and {spec.title} makes whole clips only: choose an LTX-2 model or Wan VACE for this edit.",
            field="model",
        )
    if plan.window is not None and spec.call is not None and marks_of(request.prompt):
        raise InvalidRequest(
            f"prompt says when things happen, which {spec.title} cannot follow: leave the times out.", field="prompt"
        )
    shape = plan.shape
    measures = {name: getattr(shape, name) for name in ("height", "width", "num_frames", "frame_rate", "modality")}
    return request.model_copy(update={**measures, "upscale": 1}), plan
