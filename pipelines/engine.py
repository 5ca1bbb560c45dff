"""The engine: owns a device and the models loaded on it, and turns a complete request into a stream of events."""

from __future__ import annotations

import gc
import importlib
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pipelines.ahead import ByName, denoise_ahead
from pipelines.clip_io import FILE_SAMPLE_RATE
from pipelines.conditioning import TextConditioning, encode_prompt, key_of
from pipelines.contract import (
    AnyRequest,
    Clip,
    Done,
    EditRequest,
    Event,
    GenerationRequest,
    InvalidRequest,
    Metric,
    Modality,
    OutOfMemory,
    Progress,
    Quantization,
    StudioError,
)
from pipelines.edit_graphs import begins_with, dubbed, enlarged, filled, imagined, plain_edit
from pipelines.editing.plan import EditPlan, imagined_frames
from pipelines.editing.request import planned
from pipelines.editing.shape import shape_of
from pipelines.edits import Dub, Enlarge
from pipelines.graph import Graph, Node, NodeCache, Wire, execute, needed, signatures
from pipelines.lora.stack import LoraStack
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.manifest import Weights, checked
from pipelines.nodes.decode import DecodeAudio, DecodeVideo
from pipelines.nodes.denoise import Denoise
from pipelines.nodes.load_latents import LoadLatents
from pipelines.nodes.mux import Mux
from pipelines.nodes.upscale import Upscale
from pipelines.optimize.conditioning_cache import ConditioningCache
from pipelines.optimize.foresight import Foresight
from pipelines.optimize.gauge import gauge_of, weighed
from pipelines.optimize.latent_store import LatentStore, beside
from pipelines.optimize.memory import MIB, PLENTY, SPARING, Evidence, is_shortage, plan_of, widths_of
from pipelines.optimize.parallel.devices import Devices
from pipelines.optimize.parallel.group import Group
from pipelines.optimize.plan import Offload, Plan
from pipelines.optimize.tiling import Decoding, Part, decode_tile
from pipelines.passes import Passes, Steering
from pipelines.registry import ModelCatalogue, ModelSpec
from pipelines.stages import called, in_one_stage, in_two_stages, shape_in, texts_of
from pipelines.version import code_version as code_version

if TYPE_CHECKING:
    from pipelines.metrics.card import Card

_log = logging.getLogger(__name__)
_OF_WEIGHTS = ("encode", "denoise", "upsample latents", "decode sound")
"""Stages that take no less in smaller steps, where the weights are what could be elsewhere."""
_WORTH_SENDING = 32 * MIB


def text_to_clip(request: GenerationRequest, weights: str, path: Path, upscaler: Weights | None = None) -> dict[str, Node]:
    """The graph of one clip from words, and from a first frame and a last one where there are any; its target is ``"mux"``.

    ``request`` is complete (``ModelCatalogue.complete``); ``weights`` is the model's hash, part of every signature. With an
    ``upscaler`` the picture is enlarged as the request says.
    """
    model = {"model": request.model, "weights": weights}
    shape = shape_in(request)
    wants_video, wants_audio = request.modality != Modality.AUDIO, request.modality != Modality.VIDEO
    graph = in_one_stage(request, weights) if request.stages == 1 else in_two_stages(request, weights)
    if wants_video:
        graph["decode_video"] = DecodeVideo(**model, **shape, latents=Wire(node="denoise"))
        if upscaler is not None:
            graph["upscale"] = _upscale(request, upscaler)
    if wants_audio:
        graph["decode_audio"] = DecodeAudio(**model, latents=Wire(node="denoise"))
    graph["mux"] = Mux(
        frames=Wire(node="upscale" if "upscale" in graph else "decode_video") if wants_video else None,
        sound=Wire(node="decode_audio") if wants_audio else None,
        request=request,
        weights=weights,
        code_version=code_version(),
        path=path,
    )
    return graph


def called_clip(request: GenerationRequest, model: Any, path: Path) -> dict[str, Node]:
    """The graph of one clip by the pipeline of a family (``models.called.CalledModel``); its target is ``"mux"``."""
    graph = called(request, model.spec.call, model.sha256)
    streams = {name: Wire(node=name) if name in graph else None for name in ("frames", "sound")}
    mux = Mux(**streams, request=request, weights=model.sha256, code_version=code_version(), path=path)
    return graph | {"mux": mux}


def _upscale(request: GenerationRequest, upscaler: Weights) -> Upscale:
    folder, frames = str(upscaler.folder), Wire(node="decode_video")
    return Upscale(model=request.model, folder=folder, weights=upscaler.sha256, frames=frames, factor=request.upscale or 1)


class Engine:
    """Runs requests on one device, keeping the model and recent results at hand."""

    def __init__(
        self,
        catalogue: ModelCatalogue,
        *,
        media_dir: Path,
        device: str | Devices = "auto",
        conditionings: ConditioningCache | None = None,
        text_image_model: str = "",
        latents: LatentStore | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._media_dir = media_dir
        self._text_image_model = text_image_model
        self._devices = Devices(device) if isinstance(device, str) else device
        self.device = torch.device(_best_device() if self._devices.first == "auto" else self._devices.first)
        self._group: Group | None = None
        self.cache = NodeCache()
        self.conditionings = conditionings or ConditioningCache()
        self.latents = latents
        self._loaded: dict[tuple[str, Plan], Any] = {}
        self._plans: dict[tuple[str, Quantization], Plan] = {}
        self._asked: Quantization | None = None
        self._sources: Mapping[str, Path] = {}
        self._shown: frozenset[str] = frozenset()
        self._keys: frozenset[str] = frozenset()
        self._coming: tuple[GenerationRequest, ...] = ()
        self._ahead_s: dict[str, float] = {}
        self._gauge = gauge_of(self.device)
        self.foresight = Foresight(self.device.type, self._gauge, self.spec, self.plan)
        self.thrift = PLENTY

    def model(self, model_id: str) -> Any:
        """The model, prepared as the running request wants it; another that was loaded is let go first.

        Where several devices share a clip, it is loaded on all of them. Raises ``ModelNotFound``, or ``InvalidRequest`` for a
        plan that cannot work here.
        """
        key = model_id, self.plan(model_id)
        if key not in self._loaded or (self._group and self._group.is_closed):
            spec = self._catalogue.get(model_id)
            self._loaded.clear()
            if self._group:
                self._group.close()
            devices, layout, reader = self._devices.names(), self._devices.layout(), self._devices.reader()
            # A family's pipeline runs on the first device alone.
            alone = (len(devices) == 1 and reader is None) or spec.call is not None
            # The others load while this one does.
            parts = layout.tensor if layout else 1
            self._group = None if alone else Group(spec, devices, parts, reader, key[1])
            module, function = spec.loader.split(":")
            load = getattr(importlib.import_module(module), function)
            try:
                model = load(spec, self.device, plan=key[1])
            except BaseException:
                if self._group:
                    self._group.close()
                raise
            if self._group:
                self._group.meet(model)
            self._loaded[key] = model
        return self._loaded[key]

    def plan(self, model_id: str) -> Plan:
        """How the model is prepared for the running request; chosen once, so that nothing is loaded anew as memory fills up."""
        spec = self._catalogue.get(model_id)
        asked = self._asked or spec.defaults.quantization
        if (model_id, asked) not in self._plans:
            room = self._gauge.free() if self._gauge else None
            if len(self._devices.names()) > 1 or self._devices.reader():  # together they have room, so all of it stays there
                spec = replace(spec, offload=Offload.NONE)
            plan = plan_of(spec, asked, self.device.type, room)
            files = self._devices.files if plan.in_files(self.device.type) else None
            self._plans[model_id, asked] = replace(plan, files=files)
        return self._plans[model_id, asked]

    @contextmanager
    def passes(self, model: Any, canvas: Canvas, steering: Steering, stack: LoraStack) -> Iterator[Passes]:
        """The transformer calls of one clip, on this device or shared out to all of them."""
        alone = Passes(model, canvas, steering)
        if self._group is None:
            yield alone
            return
        self._group.read_ahead(self._coming_texts(model))
        with self._group.passes(alone, stack, self._devices.layout()) as shared:
            yield shared

    def expect(self, requests: Sequence[GenerationRequest]) -> None:
        """What will be asked for next: a device for texts reads it while the others denoise."""
        self._coming = tuple(requests)

    def _coming_texts(self, model: Any) -> Iterator[str]:
        for request in self._coming:
            if request.model == model.spec.id:
                texts = texts_of(request, model.sha256)
                yield from (text for text in texts if key_of(model, text) not in self.conditionings)

    def spec(self, model_id: str) -> ModelSpec:
        """The model's entry in the catalogue. Raises ``ModelNotFound``."""
        return self._catalogue.get(model_id)

    @property
    def ranks(self) -> int:
        """Processes that make a clip together."""
        return 1 if self._group is None else self._group.size

    def encoded(self, model: Any, text: str) -> TextConditioning:
        """What the model's encoder and connectors make of ``text``, here or on the device that is there for it."""
        if self._group is None or not self._group.reads:
            return encode_prompt(model, text)
        return self._group.encode(text)

    def decoded(self, model: Any, work: Decoding) -> Iterator[Part]:
        """The parts of a picture that is decoded in tiles, here or by all ranks in turns."""
        if self._group is None:
            for index in range(len(work.plan.tiles)):
                yield from decode_tile(model.vae, work, index)
        else:
            yield from self._group.decode(model.vae, work)

    def judge(self) -> Any:
        """The CLIP or SigLIP model that looks at finished clips; ``None`` where none is set, or the set one cannot be loaded."""
        if not self._text_image_model:
            return None
        from pipelines.metrics.agreement import text_image_model

        try:
            return text_image_model(self._text_image_model)
        except StudioError as error:  # a finished clip is not lost for want of a number
            _log.warning("%s", error.message)
            return None

    def media_path(self, reference: str) -> Path:
        """The stored PNG behind a ``sha256:...`` reference."""
        return self._media_dir / f"{reference.removeprefix('sha256:')}.png"

    def source_path(self, reference: str) -> Path:
        """The file behind a ``clip:`` or ``lora:`` reference of the running request. Raises ``InvalidRequest`` if it is gone."""
        path = self._sources.get(reference)
        if path is not None and path.exists():
            return path
        if reference.startswith("lora:"):
            raise InvalidRequest(f"loras names {reference[5:17]}…, which is not here: import it again.", field="loras")
        if reference in self._shown:
            raise InvalidRequest("references has a clip that is no longer in the library: choose another.", field="references")
        raise InvalidRequest("source is no longer in the library: choose another clip.", field="source")

    def run(self, request: AnyRequest, path: Path, sources: Mapping[str, Path] | None = None) -> Iterator[Event]:
        """Make the clip of a complete request at ``path``; ends with ``Done``. Closing cancels within one denoising step.

        ``sources`` says where the clips lie that the request reads.

        Raises ``ModelNotFound``, ``OutOfMemory``, ``InvalidRequest`` or ``StorageFull``.
        """
        self._sources, self._asked = sources or {}, request.quantization
        self._shown = frozenset(request.references if isinstance(request, GenerationRequest) else ())
        self._devices.names()  # before anything asks a device that is not there
        yield from weighed(self._surviving(request, path), self._gauge, self.device.type)

    def ahead(
        self, requests: Mapping[str, GenerationRequest], sources: Mapping[str, Path], is_wanted: Callable[[str], bool]
    ) -> ByName[None]:
        """Denoise several requests of one kind (``batching.kind_of``) together, as many at a time as there is memory for.

        The ``run`` of each, afterwards, begins with its latents. A request that ``is_wanted`` no longer is left within a step;
        one that fails here, or for which there is no room, is left to its own run. Yields names with events.
        """
        first = next(iter(requests.values()))
        self._sources, self._asked = sources, first.quantization
        self.model(first.model)
        if self.ranks > 1:  # which share a clip's rows out already
            return
        waiting = list(requests)
        while len(waiting) > 1:
            size = self.foresight.most_together([requests[name] for name in waiting])
            batch, waiting = waiting[:size], waiting[size:]
            if size == 1:
                continue
            try:
                self._ahead_s |= yield from denoise_ahead(self, self.cache, {name: requests[name] for name in batch}, is_wanted)
            except (MemoryError, RuntimeError) as error:
                if not is_shortage(error):
                    raise
                _log.warning("out of memory with %d clips together (%s): they are made one by one", size, str(error)[:200])
                self.foresight.note_short(first, size)

    def _surviving(self, request: AnyRequest, path: Path) -> Generator[Event, None, None]:
        """The run; where memory runs out, once more from the last finished stage, sparingly and with nothing else kept."""
        self.thrift, stage = self.foresight.thrift(request), ""
        try:
            with closing(self._made(request, path)) as events:
                for event in events:
                    stage = event.stage if isinstance(event, Progress) else stage
                    yield event
            return
        except (MemoryError, RuntimeError) as error:
            if not is_shortage(error):
                raise
            _log.warning("out of memory (%s): the run goes on from its last finished stage, in smaller steps", str(error)[:200])
        # Out here the exception is gone, and with it the frames that held what did not fit.
        yield Progress("make room", 0, 1)
        self.thrift = SPARING
        self.cache.keep(self._keys)
        self.conditionings.shed()
        if stage in _OF_WEIGHTS and self._send_away(request.model):
            _log.warning("its weights come block by block from now on")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        yield Progress("make room", 1, 1)
        yield Metric(f"memory.{self.device.type}.short", 1.0)
        try:
            yield from self._made(request, path)
        except (MemoryError, RuntimeError) as error:
            if not is_shortage(error):
                raise
            self.cache.clear()
            raise OutOfMemory(
                f"num_frames is {request.num_frames}; at {request.width}x{request.height} that takes more memory than is free on "
                f"{self.device}, in smaller steps too: make the clip smaller or shorter.",
                field="num_frames",
            ) from error
        self.foresight.note_short(request)

    def _send_away(self, model_id: str) -> bool:
        """Let the weights of a model come block by block from now on; false where that cannot be, or is so already."""
        spec, plan = self._catalogue.get(model_id), self.plan(model_id)
        away = replace(plan, offload=Offload.BLOCKS)
        from_files = away.in_files(self.device.type)
        is_fixed = spec.call is not None or self._group is not None or (from_files and spec.held_as is not None)
        if plan.offload.whole or is_fixed or away.hindrance(self.device.type):
            return False
        widths = widths_of(spec, self.device.type)
        if widths.held_bytes(plan) - widths.held_bytes(away) < _WORTH_SENDING:
            return False
        self._plans[model_id, self._asked or spec.defaults.quantization] = replace(
            away, files=self._devices.files if from_files else None
        )
        self._loaded.clear()
        gc.collect()  # networks hold themselves in circles
        return True

    def remember(self, model_id: str, evidence: Evidence) -> None:
        """Reckon with what earlier runs of a model took of the memory."""
        self.foresight.remember(model_id, evidence)

    def _made(self, request: AnyRequest, path: Path) -> Generator[Event, None, None]:
        if isinstance(request, GenerationRequest):
            yield from self._generate(request, path)
        else:
            assert isinstance(request, EditRequest), "ModelCatalogue.complete lets nothing else through"
            yield from self._edit(request, path)

    def _generate(self, request: GenerationRequest, path: Path) -> Generator[Event, None, None]:
        model = self.model(request.model)
        if model.spec.call is not None:
            yield from self._finish(called_clip(request, model, path), request, path, _Maker(model.sha256, model.sample_rate))
            return
        graph = text_to_clip(request, model.sha256, path, self._upscaler(request))
        if not self.thrift.previews:
            graph |= {
                name: node.model_copy(update={"previews": False}) for name, node in graph.items() if isinstance(node, Denoise)
            }
        if self._keeps_latents(graph):
            graph["mux"] = graph["mux"].model_copy(update={"latents": Wire(node="denoise")})
        yield from self._finish(graph, request, path, _Maker(model.sha256, model.sample_rate))

    def _edit(self, request: EditRequest, path: Path) -> Generator[Event, None, None]:
        spec = self._catalogue.get(request.model)
        shapes = [shape_of(self.source_path(reference), spec.defaults) for reference in request.clips()]
        request, plan = planned(request, shapes, self._catalogue)
        shape = plan.shape
        maker = _Maker("", FILE_SAMPLE_RATE)
        if isinstance(request.edit, Enlarge):
            if not spec.upscaler:
                raise InvalidRequest(f"edit is 'upscale', but {spec.title} has no upscaler: choose another model.", field="model")
            weights = checked(f"{spec.title}'s upscaler", Path(spec.upscaler))
            graph, maker = enlarged(request, plan, weights, self._kept(request, plan)), _Maker(weights.sha256, FILE_SAMPLE_RATE)
        elif plan.window is not None and spec.call is not None:
            model = self.model(request.model)
            graph, maker = filled(request, plan, spec.call, model.sha256), _Maker(model.sha256, FILE_SAMPLE_RATE)
        elif plan.window is not None:
            model = self.model(request.model)
            graph = imagined(request, plan, model.sha256, self._kept(request, plan))
            maker = _Maker(model.sha256, FILE_SAMPLE_RATE)
        elif spec.call is not None and isinstance(request.edit, Dub):
            model = self.model(request.model)
            graph, maker = dubbed(request, plan, spec.call, model.sha256), _Maker(model.sha256, FILE_SAMPLE_RATE)
        else:
            graph = plain_edit(request, plan)
        graph["mux"] = Mux(
            frames=Wire(node="upscale" if "upscale" in graph else "frames") if shape.has_video else None,
            sound=Wire(node="sound") if shape.has_audio else None,
            imagined=imagined_frames(request.edit, plan),
            request=request,
            weights=maker.sha256,
            code_version=code_version(),
            path=path,
        )
        yield from self._finish(graph, request, path, maker)

    def _keeps_latents(self, graph: Graph) -> bool:
        """Whether they are kept, and will be at hand: nothing is denoised again for that."""
        keys = signatures(graph, "mux")
        at_hand = keys["denoise"] in self.cache or "denoise" in needed(graph, "mux", keys, self.cache)
        return self.latents is not None and at_hand

    def _kept(self, request: EditRequest, plan: EditPlan) -> LoadLatents | None:
        """The node that reads what was kept of the source's latents, where that can stand for its file in this edit."""
        path = self.source_path(request.source)
        if self.latents is None or not beside(path).exists():
            return None
        weights = self.model(request.model).sha256
        kept = self.latents.get(path, weights)
        if kept is None or not begins_with(request.edit, plan, kept):
            return None
        return LoadLatents(model=request.model, weights=weights, reference=request.source)

    def _finish(self, graph: Graph, request: AnyRequest, path: Path, maker: _Maker) -> Generator[Event, None, None]:
        keys = signatures(graph, "mux")
        self._keys = frozenset(keys.values())
        ahead_s = self._ahead_s.pop(keys.get("denoise", ""), None)
        seconds: dict[str, float] = {} if ahead_s is None else {"denoise": ahead_s}
        card = yield from _recorded(execute(graph, "mux", self, self.cache), seconds)
        for name, value in card.measurements.items():
            yield Metric(name, value)
        yield Done(_clip(request, path, maker, seconds, card))

    def _upscaler(self, request: GenerationRequest) -> Weights | None:
        """The upscaler that the request needs, checked before any work begins. Raises ``ModelNotFound``."""
        spec = self._catalogue.get(request.model)
        if request.modality == Modality.AUDIO or (request.upscale or 1) == 1:
            return None
        return checked(f"{spec.title}'s upscaler", Path(spec.upscaler))


def _recorded(events: Generator[Event, None, Any], seconds: dict[str, float]) -> Generator[Event, None, Any]:
    """``events``, their stage times also noted in ``seconds``."""
    with closing(events):
        while True:
            try:
                event = next(events)
            except StopIteration as finished:
                return finished.value
            if isinstance(event, Metric) and event.name.startswith("seconds."):
                seconds[event.name.removeprefix("seconds.")] = round(event.value, 4)
            yield event


@dataclass(frozen=True)
class _Maker:
    """What made a clip: the hash of the weights, empty where none took part, and the rate of its sound."""

    sha256: str
    sample_rate: int


def _clip(request: AnyRequest, path: Path, maker: _Maker, seconds: dict[str, float], card: Card) -> Clip:
    assert request.height and request.width and request.num_frames and request.frame_rate
    factor = request.upscale or 1
    has_audio = request.modality != Modality.VIDEO
    return Clip(
        path=path,
        request=request,
        model_sha256=maker.sha256,
        code_version=code_version(),
        height=factor * request.height,
        width=factor * request.width,
        num_frames=request.num_frames,
        frame_rate=request.frame_rate,
        duration_s=request.num_frames / request.frame_rate,
        has_video=request.modality != Modality.AUDIO,
        has_audio=has_audio,
        sample_rate=maker.sample_rate if has_audio else None,
        size_bytes=path.stat().st_size,
        stage_seconds=seconds,
        measurements=card.measurements,
        moments=card.moments,
    )


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
