"""The graphs of edits: an existing clip's streams in, one clip out; the target is always ``"mux"``."""

from __future__ import annotations

from typing import Any

from pipelines.contract import EditRequest
from pipelines.editing.plan import EditPlan
from pipelines.edits import Dub, Edit, Enlarge, Keyframes, Region, Retake, Visualise
from pipelines.family import Call
from pipelines.graph import Node, Wire
from pipelines.models.manifest import Weights
from pipelines.nodes.compose import Compose
from pipelines.nodes.decode import DecodeAudio, DecodeVideo
from pipelines.nodes.denoise import Denoise
from pipelines.nodes.edit_media import EditMedia, Stream
from pipelines.nodes.encode_prompt import EncodePrompt
from pipelines.nodes.encode_timeline import encoder_of
from pipelines.nodes.give_clip import GiveClip
from pipelines.nodes.lay_out import LayOut
from pipelines.nodes.load_clip import LoadClip
from pipelines.nodes.load_latents import LoadLatents
from pipelines.nodes.upscale import Upscale
from pipelines.optimize.latent_store import Kept
from pipelines.stages import call_for


def plain_edit(request: EditRequest, plan: EditPlan) -> dict[str, Node]:
    """Streams ``frames`` and ``sound`` of an edit that no model takes part in."""
    graph = _loaded(request)
    graph["edit"] = EditMedia(edit=request.edit, plan=plan, source=Wire(node="source"), other=_other(request))
    return graph | _streams("edit", plan)


def dubbed(request: EditRequest, plan: EditPlan, call: Call, weights: str) -> dict[str, Node]:
    """Streams ``frames`` and ``sound`` of a clip whose sound a model for sound alone makes anew."""
    graph = _loaded(request) | {"call": call_for(request, call, weights)}
    graph["edit"] = EditMedia(edit=request.edit, plan=plan, source=Wire(node="source"), other=Wire(node="call"))
    return graph | _streams("edit", plan)


def filled(request: EditRequest, plan: EditPlan, call: Call, weights: str) -> dict[str, Node]:
    """The plan's window with its holes in the picture filled by the pipeline of a family, composed with what stays."""
    window = plan.window
    assert window is not None
    graph = _loaded(request)
    graph["layout"] = LayOut(edit=request.edit, plan=plan, source=Wire(node="source"), other=_other(request))
    measures = {"height": window.height, "width": window.width, "num_frames": window.num_frames}
    made = call_for(request.model_copy(update=measures), call, weights)
    graph["call"] = made.model_copy(update={"layout": Wire(node="layout"), "plan": plan})
    graph["made"] = Stream(media=Wire(node="call"), name="frames")
    graph["compose"] = Compose(layout=Wire(node="layout"), plan=plan, frames=Wire(node="made"), sound=None)
    return graph | _streams("compose", plan)


def enlarged(request: EditRequest, plan: EditPlan, upscaler: Weights, kept: LoadLatents | None = None) -> dict[str, Node]:
    """The source's picture through the model's upscaler, its sound as it is.

    With ``kept`` the picture is decoded from the source's own latents: it lacks what the file's codec did to it.
    """
    assert isinstance(request.edit, Enlarge)
    graph = _loaded(request) | _streams("source", plan)
    if kept is not None:
        shape, factor = plan.shape, request.edit.factor
        graph["kept"] = kept
        graph["frames"] = DecodeVideo(
            model=kept.model,
            weights=kept.weights,
            latents=Wire(node="kept"),
            height=shape.height // factor,
            width=shape.width // factor,
            num_frames=shape.num_frames,
            frame_rate=shape.frame_rate,
        )
    graph["upscale"] = Upscale(
        model=request.model,
        folder=str(upscaler.folder),
        weights=upscaler.sha256,
        frames=Wire(node="frames"),
        factor=request.edit.factor,
    )
    return graph


def imagined(request: EditRequest, plan: EditPlan, weights: str, kept: LoadLatents | None = None) -> dict[str, Node]:
    """The plan's window encoded, its holes denoised from the prompt, decoded and composed with what stays.

    With ``kept`` the window begins from the source's own latents.
    """
    window = plan.window
    assert window is not None
    model = {"model": request.model, "weights": weights}
    measures: dict[str, Any] = {
        "height": window.height,
        "width": window.width,
        "num_frames": window.num_frames,
        "frame_rate": plan.shape.frame_rate,
    }
    graph = _loaded(request)
    graph["encode"] = encoder_of(request.prompt, model, measures, start_s=window.start / plan.shape.frame_rate)
    settings = request.model_dump(include=set(Denoise.model_fields) & set(type(request).model_fields)) | measures
    guided = max(settings["guidance_scale"], settings["audio_guidance_scale"]) > 1
    if guided:
        graph["encode_negative"] = EncodePrompt(**model, text=request.negative_prompt)
    graph["layout"] = LayOut(edit=request.edit, plan=plan, source=Wire(node="source"), other=_other(request))
    if kept is not None:
        graph["kept"] = kept
    graph["given"] = GiveClip(**model, layout=Wire(node="layout"), plan=plan, kept=Wire(node="kept") if kept else None)
    graph["denoise"] = Denoise(
        **settings,
        weights=weights,
        positive=Wire(node="encode"),
        negative=Wire(node="encode_negative") if guided else None,
        given=Wire(node="given"),
        change=request.edit.change if isinstance(request.edit, Keyframes | Region) else 1.0,
        previews=not plan.video.is_empty,
        start_s=window.start / plan.shape.frame_rate,
    )
    wants_video, wants_audio = not plan.video.is_empty, not plan.audio.is_empty
    if wants_video:
        graph["decode_video"] = DecodeVideo(**model, **measures, latents=Wire(node="denoise"))
    if wants_audio:
        graph["decode_audio"] = DecodeAudio(**model, latents=Wire(node="denoise"))
    graph["compose"] = Compose(
        layout=Wire(node="layout"),
        plan=plan,
        frames=Wire(node="decode_video") if wants_video else None,
        sound=Wire(node="decode_audio") if wants_audio else None,
    )
    return graph | _streams("compose", plan)


def begins_with(edit: Edit, plan: EditPlan, kept: Kept) -> bool:
    """Whether what is to be enlarged, or what a model sees of the laid-out clip, is the beginning of ``kept``."""
    shape, window = plan.shape, plan.window
    if isinstance(edit, Enlarge):
        height, width = shape.height // edit.factor, shape.width // edit.factor
        whole = kept.video_BND is not None and kept.num_frames == shape.num_frames
        return whole and kept.has_size_of(height, width, shape.frame_rate)
    # The other edits lay the clip out anew, or paint on it.
    if not isinstance(edit, Retake | Region | Dub | Visualise) or window is None or window.start > 0:
        return False
    as_seen = (window.height, window.width) == (shape.height, shape.width) and window.num_frames <= kept.num_frames
    return as_seen and kept.has_size_of(shape.height, shape.width, shape.frame_rate)


def _loaded(request: EditRequest) -> dict[str, Node]:
    graph: dict[str, Node] = {"source": LoadClip(reference=request.source)}
    for reference in request.edit.sources():
        graph["other"] = LoadClip(reference=reference)
    return graph


def _other(request: EditRequest) -> Wire | None:
    return Wire(node="other") if request.edit.sources() else None


def _streams(node: str, plan: EditPlan) -> dict[str, Node]:
    graph: dict[str, Node] = {}
    if plan.shape.has_video:
        graph["frames"] = Stream(media=Wire(node=node), name="frames")
    if plan.shape.has_audio:
        graph["sound"] = Stream(media=Wire(node=node), name="sound")
    return graph
