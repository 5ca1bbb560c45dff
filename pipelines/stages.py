"""The part of a clip's graph that a model makes: denoised in one stage or in two, or by a call of a family's pipeline."""

from __future__ import annotations

from typing import Any

from pipelines.contract import MAX_SEED, ClipRequest, GenerationRequest, Modality
from pipelines.family import Call
from pipelines.graph import Node, Wire
from pipelines.nodes.denoise import Denoise
from pipelines.nodes.diffusers_call import DiffusersCall
from pipelines.nodes.edit_media import Stream
from pipelines.nodes.encode_ends import EncodeEnds
from pipelines.nodes.encode_prompt import EncodePrompt
from pipelines.nodes.encode_timeline import EncodeTimeline, encoder_of
from pipelines.nodes.give_references import GiveReferences
from pipelines.nodes.upsample_latents import UpsampleLatents

_READING = (EncodePrompt, EncodeTimeline)


def shape_in(request: ClipRequest) -> dict[str, Any]:
    """Height, width, number of frames and frame rate of a complete request."""
    return request.model_dump(include={"height", "width", "num_frames", "frame_rate"})


def call_for(request: ClipRequest, call: Call, weights: str) -> DiffusersCall:
    """The pipeline of a family, called as a complete request says."""
    return DiffusersCall(
        model=request.model,
        weights=weights,
        arguments=call.arguments_of(request),
        passes=call.passes_of(request),
        seed=request.seed,
        first_frame=getattr(request, "first_frame", None),
        last_frame=getattr(request, "last_frame", None),
        fills=call.fills,
        references=getattr(request, "references", ()),
        roles=call.references.roles,
        **shape_in(request),
    )


def called(request: GenerationRequest, call: Call, weights: str) -> dict[str, Node]:
    """A whole clip by the pipeline of a family; its streams are ``"frames"`` and ``"sound"``, where it has them."""
    graph: dict[str, Node] = {"call": call_for(request, call, weights)}
    if request.modality != Modality.AUDIO:
        graph["frames"] = Stream(media=Wire(node="call"), name="frames")
    if request.modality != Modality.VIDEO:
        graph["sound"] = Stream(media=Wire(node="call"), name="sound")
    return graph


def in_one_stage(request: GenerationRequest, weights: str) -> dict[str, Node]:
    """From noise to a clip of the request's size; its target is ``"denoise"``. ``weights`` is the model's hash."""
    return _stage(request, weights, shape_in(request))


def in_two_stages(request: GenerationRequest, weights: str) -> dict[str, Node]:
    """From noise to half the height and width; those latents enlarged, noised a part of the way, and refined in a few steps.

    Its target is ``"denoise"``. As LTX-2 is released (Lightricks' two-stage pipelines). The second stage draws noise of its own:
    that of the first is in what it begins from.
    """
    assert request.height and request.width and request.seed is not None
    assert request.refine_sigmas and request.num_inference_steps
    full = shape_in(request)
    half = full | {"height": request.height // 2, "width": request.width // 2}
    refining = len(request.refine_sigmas)
    graph = _stage(request, weights, half, "_half", steps_after=refining)
    graph["upsample"] = UpsampleLatents(model=request.model, weights=weights, **half, latents=Wire(node="denoise_half"))
    return graph | _stage(
        request,
        weights,
        full
        | {
            "seed": (request.seed + 1) % (MAX_SEED + 1),
            "sigmas": request.refine_sigmas,
            "num_inference_steps": refining,
            "change": request.refine_sigmas[0],
        },
        start=Wire(node="upsample"),
        steps_before=request.num_inference_steps,
    )


def texts_of(request: GenerationRequest, weights: str) -> list[str]:
    """All that is read for a complete ``request``: its prompt, or the texts of its times, and what it is to stay away from."""
    nodes = in_one_stage(request, weights).values()
    read = [(node.text,) if isinstance(node, EncodePrompt) else node.texts for node in nodes if isinstance(node, _READING)]
    return [text for texts in read for text in texts]


def _stage(request: GenerationRequest, weights: str, settings: dict[str, Any], name: str = "", **changes: Any) -> dict[str, Node]:
    """The texts, first and last frame where there are any, and ``"denoise" + name``."""
    shape = shape_in(request.model_copy(update={key: settings[key] for key in ("height", "width")}))
    model = {"model": request.model, "weights": weights}
    asked = request.model_dump(include=set(Denoise.model_fields) & set(type(request).model_fields))
    guided = max(asked["guidance_scale"], asked["audio_guidance_scale"]) > 1
    graph: dict[str, Node] = {f"encode{name}": encoder_of(request.prompt, model, shape)}
    if guided:
        graph["encode_negative"] = EncodePrompt(**model, text=request.negative_prompt)
    given = None
    if request.first_frame or request.last_frame:
        graph[f"encode_ends{name}"] = EncodeEnds(**model, **shape, first=request.first_frame, last=request.last_frame)
        given = Wire(node=f"encode_ends{name}")
    if request.references and "start" not in changes:  # a second stage has it all from the first
        graph[f"show{name}"] = GiveReferences(
            **model, **shape, references=request.references, loras=tuple(use.lora for use in request.loras), given=given
        )
        given = Wire(node=f"show{name}")
    graph[f"denoise{name}"] = Denoise(
        **asked | settings | changes,
        weights=weights,
        positive=Wire(node=f"encode{name}"),
        negative=Wire(node="encode_negative") if guided else None,
        given=given,
        previews=request.modality != Modality.AUDIO,
    )
    return graph
