"""What the page answers when a person does something with the form. Nothing here waits: the work is in the job table."""

from __future__ import annotations

from typing import Any

import gradio as gr

from pipelines.contract import GenerationRequest, StudioError, parse_request
from pipelines.registry import ModelSpec
from studio.owners import owner_of
from studio.studio import Studio
from studio.ui.form import ADVANCED, NAMES, Values, body_of, defaults_of, duration_grid, request_of, sizes_of, values_of

MODEL_BOUND = ("modality", "loras", "first_frame", "last_frame", "references", *ADVANCED)
"""Settings that some models cannot use; the page leaves them out for those."""
LESSENED = ("size", "duration", "upscale")
"""Settings that a clip which does not fit into the memory can be made smaller by."""
_KEPT = (
    "prompt",
    "original_prompt",
    "loras",
    "negative_prompt",
    "modality",
    "seed",
    "seed_lock",
    "first_frame",
    "last_frame",
    "references",
)


class Answers:
    """The form's event listeners over one studio; they take and give values in the order of ``NAMES``."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._catalogue = studio.catalogue

    def submit(self, request: gr.Request, *given: Any) -> tuple[dict[str, Any], Any]:
        """Hand the form in: the job or what is wrong, and the seed that was taken."""
        try:
            wanted = request_of(dict(zip(NAMES, given, strict=True)), self._catalogue)
            job = self._studio.jobs.submit(owner_of(request.request), wanted)
        except StudioError as error:
            return _complaint(error), gr.update()
        return {"job": job.model_dump(mode="json")}, job.request.seed

    def weigh(self, *given: Any) -> dict[str, Any] | None:
        """What the form's clip would take of the memory; nothing for a form that cannot be handed in yet."""
        try:
            return self._studio.forecasts.of(self._wanted(given)).model_dump(mode="json")
        except StudioError:
            return None  # Generate says what is wrong; a person who is still writing need not be told

    def tell(self, event: gr.EventData, *given: Any) -> dict[str, Any]:
        """The request that the form stands for, as the page's script sends it on in a grid; ``turn`` says which asking it was."""
        try:
            body = body_of(dict(zip(NAMES, given, strict=True)), self._catalogue)
            self._studio.jobs.check_installed(self._wanted(given))
        except StudioError as error:
            return {"turn": event._data["turn"], **_complaint(error)}
        return {"turn": event._data["turn"], "body": body}

    def lessen(self, *given: Any) -> list[Any]:
        """The cheapest change that fits, made: size, duration and enlarging as it says."""
        try:
            wanted = self._wanted(given)
            change = self._studio.forecasts.of(wanted).change
        except StudioError:
            change = None
        if change is None:
            return [gr.update() for _ in LESSENED]
        values = values_of(wanted.model_copy(update=change.settings), self._catalogue)
        return [values[name] for name in LESSENED]

    def _wanted(self, given: tuple[Any, ...]) -> GenerationRequest:
        """The form's request, whether it has a prompt yet or not."""
        values = dict(zip(NAMES, given, strict=True))
        return request_of(values | {"prompt": values["prompt"] or "-"}, self._catalogue)

    def adopt(self, *given: Any) -> list[Any]:
        """Another model was chosen: its own settings, with what a person wrote kept. ``None`` is the same again."""
        values = dict(zip(NAMES, given, strict=True))
        if values["model"] is None:
            return [gr.update() for _ in range(len(NAMES) + 1)]
        spec = self._catalogue.get(values["model"])
        return _updates(defaults_of(spec) | {name: values[name] for name in _KEPT}, spec)

    def use(self, event: gr.EventData, *given: Any) -> list[Any]:
        """A model was chosen in the Models tab: as ``adopt``, and go to the form."""
        values = dict(zip(NAMES, given, strict=True)) | {"model": event._data["model"]}
        return [gr.update(selected="create"), *self.adopt(*(values[name] for name in NAMES))]

    def regrid(self, model: str, rate: float | None, duration: float | None) -> Any:
        """Another frame rate was set: the duration slider on its new grid."""
        spec = self._catalogue.get(model)
        return _duration(spec, _possible_rate(spec, rate), duration or 0)

    def refit(self, model: str, rate: float | None) -> list[Any]:
        """The browser put a draft into the form: what its model makes possible, values untouched."""
        spec = self._catalogue.get(model)
        return [*_bounds(spec, _possible_rate(spec, rate)).values(), samples_of(spec)]

    def restore(self, event: gr.EventData) -> list[Any]:
        """Fill the form with the request that the page's script sent along, and go to it."""
        try:
            wanted = parse_request(event._data["request"])
            values = values_of(wanted, self._catalogue)
        except StudioError as error:
            return [_complaint(error), *[gr.update() for _ in range(len(NAMES) + 2)]]
        return [{"restored": wanted.kind}, gr.update(selected="create"), *_updates(values, self._catalogue.get(wanted.model))]


def first_model(studio: Studio) -> ModelSpec:
    """The model that a new page starts with: the studio's default."""
    return studio.catalogue.get(studio.models.default().model)


def visibility(name: str, spec: ModelSpec) -> bool | str:
    """Whether the form shows ``name`` for a model; what a script draws is hidden and not taken away."""
    absent = "hidden" if name in ("loras", "first_frame", "last_frame", "references") else False
    return True if spec.takes(name) else absent


def _updates(values: Values, spec: ModelSpec) -> list[Any]:
    """New contents for every component of the form, then for the example prompts."""
    rate = _possible_rate(spec, values["frame_rate"])
    special = _bounds(spec, rate)
    special |= {name: {**special[name], "value": values[name]} for name in special}
    special["duration"] = _duration(spec, rate, values["duration"])
    return [*(special.get(name, values[name]) for name in NAMES), samples_of(spec)]


def _duration(spec: ModelSpec, frame_rate: float, seconds: float) -> Any:
    """The duration slider on the model's frame grid, at the place nearest to ``seconds``."""
    shortest, longest, _ = duration_grid(spec, frame_rate)
    frames = spec.nearest_num_frames(round(seconds * frame_rate))
    value = min(max(round(frames / frame_rate, 4), shortest), longest)
    return {**_bounds(spec, frame_rate)["duration"], "value": value}


def _bounds(spec: ModelSpec, frame_rate: float) -> dict[str, Any]:
    """What the model makes possible, for the components that depend on it; their values stay."""
    shortest, longest, step = duration_grid(spec, frame_rate)
    grid = gr.update(minimum=shortest, maximum=longest, step=step, info=duration_note(spec, frame_rate))
    shown = {name: gr.update(visible=visibility(name, spec)) for name in MODEL_BOUND}
    model = gr.update(info=spec.description)
    size = gr.update(choices=sizes_of(spec), visible=spec.takes("height"))
    return {"model": model, "size": size, "duration": grid, **shown}


def _possible_rate(spec: ModelSpec, rate: float | None) -> float:
    low, high = spec.frame_rates
    return min(max(rate or spec.defaults.frame_rate, low), high)


def duration_note(spec: ModelSpec, frame_rate: float) -> str:
    """Says the slider's grid; the page's script puts seconds and frames beside the label while it moves."""
    if spec.is_for_sound:
        return "In tenths of a second."
    return f"In steps of {spec.frame_multiple} frames at {frame_rate:g} frames a second."


def model_label(spec: ModelSpec) -> str:
    """The model's title, and what it costs to have it where it is not on this machine yet."""
    if spec.is_local:
        return spec.title
    size = f"{spec.download_bytes / 1e9:.0f} GB" if spec.download_bytes else "a large"
    return f"{spec.title}  ·  {size} download"


def samples_of(spec: ModelSpec) -> dict[str, Any]:
    """The example prompts that fit beside the form."""
    return {"prompts": list(spec.examples[:4])}


def _complaint(error: StudioError) -> dict[str, Any]:
    return {"error": {"message": error.message, "field": error.field}}
