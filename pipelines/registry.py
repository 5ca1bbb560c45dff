"""Which models there are, what each can do, and how a request is completed for one of them.

Every difference between models that a person can see is a field of ``ModelSpec``; nowhere else does the code
ask for a model by name. Standard library and pydantic only.
"""

from __future__ import annotations

import difflib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil, log
from pathlib import Path
from typing import Any, TypeVar

from pipelines.checks import check
from pipelines.contract import (
    MAX_SEED,
    ClipRequest,
    ImportRequest,
    InvalidRequest,
    Modality,
    ModelNotFound,
    Quantization,
)
from pipelines.family import INDEX, Call, References, families, told_by
from pipelines.optimize.plan import Offload, Record, Switch
from pipelines.vocabulary import Unknown, Vocabulary

POCKET_FOLDER = Path(__file__).parent.parent / "assets" / "models" / "pocket"
POCKET_WORLD_FOLDER = POCKET_FOLDER.with_name("pocket-world")
POCKET_FAST_FOLDER = POCKET_FOLDER.with_name("pocket-fast")
POCKET_UPSCALER_FOLDER = POCKET_FOLDER.with_name("pocket-upscaler")

Asked = TypeVar("Asked", bound=ClipRequest)

# LTX-2's distilled checkpoints were trained on exactly these noise levels (Lightricks, ltx-pipelines constants).
DISTILLED_SIGMAS = (1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875)
# ... and its second stage, after the latent upsampler, on these.
REFINE_SIGMAS = (0.909375, 0.725, 0.421875)


# What its in-context LoRAs (IC-LoRAs) are shown: clips for poses, depths or edges, images for things.
LTX2_REFERENCES = References(images=4, clips=4, need_lora=True)


@dataclass(frozen=True)
class Defaults:
    """The settings a model's makers recommend; names as in ``ClipRequest``."""

    height: int
    width: int
    num_frames: int
    frame_rate: float
    num_inference_steps: int = 30
    sigmas: tuple[float, ...] | None = None
    refine_sigmas: tuple[float, ...] = REFINE_SIGMAS
    guidance_scale: float = 3.0
    audio_guidance_scale: float = 7.0
    stg_scale: float = 1.0
    audio_stg_scale: float = 1.0
    modality_scale: float = 3.0
    audio_modality_scale: float = 3.0
    guidance_rescale: float = 0.7
    audio_guidance_rescale: float = 0.7
    upscale: int = 1
    quantization: Quantization = Quantization.AUTO


@dataclass(frozen=True)
class ModelSpec:
    """One model as people and the engine see it.

    ``source`` is a local folder or a hub id in diffusers layout. Frame counts are ``frame_multiple * k + frame_offset``, sides
    are multiples of ``pixel_multiple``. ``stg_blocks`` are the transformer blocks that spatio-temporal guidance
    perturbs; empty means that the checkpoint has no perturbed attention, so the guidance would be a paid no-op.
    ``mel_scale`` are centre and spread of the log spectrograms that its audio VAE reads.
    ``image_crf`` is the H.264 quality that first frames are passed through, as in the model's training; 0 is none.
    ``upscaler`` is the folder of the net that enlarges its frames; empty is none. ``vocabulary`` are the only words that it
    knows; ``None`` is a model that takes any. ``text_quantization`` is for its text encoder. With ``has_latent_upsampler`` its
    folder holds the net of that name, which makes latents twice as wide and high. ``held_as`` says how its files themselves are
    quantized; ``None`` is not at all. ``transformer`` is a single file that takes the place of the source's; empty is none.
    ``call`` is how diffusers' own pipeline runs it; ``None`` is the studio's loop. ``sizes`` are the only heights and widths of
    its clips; empty is any on the grid. ``in_context`` are references that the studio's loop shows it. ``kernels`` and
    ``compile`` say how its blocks run, ``offload`` where they are while they do not.
    """

    id: str
    title: str
    description: str
    source: str
    loader: str
    licence: str
    defaults: Defaults
    frame_multiple: int = 8
    frame_offset: int = 1
    min_frames: int = 1
    pixel_multiple: int = 32
    min_side: int = 32
    max_side: int = 2048
    max_frames: int = 257
    frame_rates: tuple[float, float] = (8.0, 60.0)
    stg_blocks: tuple[int, ...] = ()
    use_cross_timestep: bool = True
    image_crf: int = 33
    mel_scale: tuple[float, float] = (0.0, 1.0)
    dtype: str = "float32"
    download_bytes: int = 0
    memory_bytes: int = 0
    sha256: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    upscaler: str = ""
    has_latent_upsampler: bool = False
    adapter: str = ""
    vocabulary: Vocabulary | None = None
    text_quantization: Quantization = Quantization.AUTO
    held_as: Record | None = None
    transformer: str = ""
    call: Call | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    in_context: References = References()
    kernels: Switch = Switch.OFF
    compile: bool = False
    offload: Offload = Offload.NONE

    def takes(self, name: str) -> bool:
        """Whether the request's field ``name`` does anything with this model."""
        if name == "upscale":
            return len(self.upscale_factors) > 1
        if name in ("stages", "refine_sigmas"):
            return len(self.stages) > 1
        if name == "lyrics":
            return self.call is not None and self.call.takes(name)
        if name == "references":
            return bool(self.references)
        if name in ("stg_scale", "audio_stg_scale"):
            return bool(self.stg_blocks)
        return self.call is None or self.call.takes(name)

    @property
    def is_silent(self) -> bool:
        """Whether its clips have no sound."""
        return self.call is not None and not self.call.has_audio

    @property
    def is_for_sound(self) -> bool:
        """Whether it makes sound alone."""
        return self.call is not None and not self.call.has_video

    @property
    def edits(self) -> bool:
        """Whether it makes parts of a clip anew that fit the rest."""
        return self.call is None or self.call.fills

    @property
    def references(self) -> References:
        """What it can be shown beside the words."""
        return self.in_context if self.call is None else self.call.references

    @property
    def longest_s(self) -> float:
        """Seconds of the longest clip at its own frame rate."""
        return self.nearest_num_frames(self.max_frames) / self.defaults.frame_rate

    @property
    def begins_with(self) -> tuple[str, ...]:
        """What a clip can begin with: words alone, a first frame, references."""
        if self.call is None:
            return ("words", "first_frame")
        words = "references" if self.references.are_needed else "words"
        return (*([words] if self.call.text else []), *(["first_frame"] if self.call.takes("first_frame") else []))

    @property
    def takes_last_frame(self) -> bool:
        """Whether a clip can come to a given picture."""
        return self.takes("last_frame")

    @property
    def upscale_factors(self) -> tuple[int, ...]:
        """How many times as wide and high its clips can be made."""
        return (1, 2, 4) if self.upscaler else (1,)

    @property
    def stages(self) -> tuple[int, ...]:
        """In how many stages its clips can be denoised."""
        return (1, 2) if self.has_latent_upsampler else (1,)

    @property
    def is_local(self) -> bool:
        """Whether the weights are a folder on this machine."""
        return Path(self.source).is_dir()

    @property
    def files(self) -> tuple[str, ...]:
        """Patterns of the files that it needs of its source; other formats of the same weights lie beside them."""
        return (INDEX, "*/*") if self.call is None else self.call.files

    @property
    def has_vocabulary(self) -> bool:
        """Whether it knows certain words only."""
        return self.vocabulary is not None

    def unknown_words(self, prompt: str) -> tuple[Unknown, ...]:
        """The words of ``prompt`` that it does not know; none for a model that takes any words."""
        return self.vocabulary.unknown(prompt) if self.vocabulary else ()

    def nearest_num_frames(self, num_frames: int) -> int:
        """The frame count on this model's grid that is closest to ``num_frames``."""
        fewest = max(0, ceil((self.min_frames - self.frame_offset) / self.frame_multiple))
        most = (self.max_frames - self.frame_offset) // self.frame_multiple
        steps = round((num_frames - self.frame_offset) / self.frame_multiple)
        return min(max(fewest, steps), most) * self.frame_multiple + self.frame_offset

    def nearest_size(self, height: int, width: int) -> tuple[int, int]:
        """The one of ``sizes`` whose shape, and then whose area, is closest."""
        return min(
            self.sizes, key=lambda size: (abs(log(size[0] / size[1] * width / height)), abs(size[0] * size[1] - height * width))
        )

    def nearest_side(self, pixels: int, stages: int = 1) -> int:
        """The height or width on this model's grid that is closest to ``pixels``; the first of two stages has half of it."""
        nearest = round(pixels / stages / self.pixel_multiple) * self.pixel_multiple
        return stages * max(self.min_side, min(self.max_side // stages, nearest))


def _ltx2(model_id: str, title: str, description: str, **changes: Any) -> ModelSpec:
    """One of the published LTX-2 checkpoints; memory is 22 B parameters and a 12 B text encoder in bfloat16."""
    spec = ModelSpec(
        id=model_id,
        title=title,
        description=description,
        source="Lightricks/LTX-2",
        loader="pipelines.models.ltx2.load:load",
        licence="LTX-2 Community License",
        defaults=Defaults(height=512, width=768, num_frames=121, frame_rate=24.0),
        dtype="bfloat16",
        stg_blocks=(28,),
        in_context=LTX2_REFERENCES,
        download_bytes=90_000_000_000,
        memory_bytes=68_000_000_000,
    )
    return replace(spec, **changes)


UNGUIDED: dict[str, Any] = dict(
    guidance_scale=1.0,
    audio_guidance_scale=1.0,
    stg_scale=0.0,
    audio_stg_scale=0.0,
    modality_scale=1.0,
    audio_modality_scale=1.0,
    guidance_rescale=0.0,
    audio_guidance_rescale=0.0,
)

SOUND_CLOCK: dict[str, Any] = dict(height=64, width=64, num_frames=100, frame_rate=10.0)
"""What a model for sound alone recommends where others say a shape: ten seconds, counted in tenths."""


def _pocket() -> Iterable[ModelSpec]:
    """The embedded model, its few-step student, and its successor as far as that is trained."""
    pocket = pocket_in(POCKET_FOLDER)
    yield pocket
    if (POCKET_FAST_FOLDER / "studio.json").is_file():
        yield replace(
            pocket,
            id="pocket-fast",
            title="Pocket fast",
            description="Pocket in six steps without guidance: for drafts.",
            adapter=str(POCKET_FAST_FOLDER),
            **advice_in(POCKET_FAST_FOLDER),
        )
    if POCKET_WORLD_FOLDER.is_dir():
        yield replace(
            pocket_in(POCKET_WORLD_FOLDER),
            id="pocket-world",
            title="Pocket World",
            description="Pocket's successor in training: animals, food, vehicles, talkers, cities. Things are softer in it.",
        )


def pocket_in(folder: Path) -> ModelSpec:
    """The embedded model as it lies in ``folder``; what it recommends travels with its weights in ``studio.json``."""
    return spec_from_folder(
        "pocket",
        folder,
        title="Pocket",
        description="Small, embedded, trained by this project: simple shapes and places with their sounds. No GPU needed.",
        licence="Apache-2.0",
        max_side=512,
        max_frames=121,
        image_crf=0,
        in_context=References(),  # it has never seen any
        mel_scale=(-6.5, 3.0),
        sha256=json.loads((folder / "sha256.json").read_text()),
        upscaler=str(POCKET_UPSCALER_FOLDER) if (POCKET_UPSCALER_FOLDER / "config.json").is_file() else "",
        **advice_in(folder),
    )


def advice_in(folder: Path) -> dict[str, Any]:
    """Recommended settings and example prompts of a released folder."""
    advice = json.loads((folder / "studio.json").read_text())
    return {"examples": tuple(advice.pop("examples")), "defaults": Defaults(**advice)}


def spec_from_folder(model_id: str, folder: Path, **changes: Any) -> ModelSpec:
    """A spec for a model in a local diffusers folder, LTX-2-class or of a family, its grid read from the components' configs.

    Raises ``ModelNotFound`` when the folder is not such a model.
    """
    told = told_by(model_id, folder)
    if told is not None:
        return replace(ModelSpec(**told), **changes)
    try:
        vae = json.loads((folder / "vae" / "config.json").read_text())
        transformer = json.loads((folder / "transformer" / "config.json").read_text())
        index = json.loads((folder / "model_index.json").read_text())
        vocabulary = Vocabulary.in_folder(folder)
        record = Record.of(folder)
        manifest = json.loads((folder / "sha256.json").read_text()) if record else {}
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"model {model_id}: {folder} is not a diffusers model folder ({error}).", field="model") from None
    if index.get("_class_name") != "LTX2Pipeline":
        raise ModelNotFound(
            f"model {model_id}: {folder} holds a {index.get('_class_name')}, which is not among the families that can be loaded: "
            f"LTX-2, {', '.join(each.title for each in families())}.",
            field="model",
        )
    weights = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    last_block = int(transformer["num_layers"]) - 1
    spec = ModelSpec(
        id=model_id,
        title=model_id,
        description=f"Local model in {folder}",
        source=str(folder),
        loader="pipelines.models.ltx2.load:load",
        licence="see the model's folder",
        defaults=Defaults(height=512, width=768, num_frames=121, frame_rate=24.0),
        frame_multiple=int(vae["temporal_compression_ratio"]),
        pixel_multiple=int(vae["spatial_compression_ratio"]),
        min_side=2 * int(vae["spatial_compression_ratio"]),
        stg_blocks=(min(28, last_block),) if transformer.get("perturbed_attn") else (),
        has_latent_upsampler=_doubles(folder / "latent_upsampler" / "config.json"),
        use_cross_timestep=bool(transformer.get("use_cross_timestep", transformer.get("cross_attn_mod", False))),
        download_bytes=weights,
        memory_bytes=2 * weights,
        vocabulary=vocabulary,
        upscaler=str(folder / "upscaler") if (folder / "upscaler" / "config.json").is_file() else "",
        sha256=manifest,
        held_as=record,
        in_context=LTX2_REFERENCES,
    )
    return replace(spec, **changes)


def _doubles(config: Path) -> bool:
    """Whether there is an upsampler that makes latents twice as wide and high, and no longer."""
    if not config.is_file():
        return False
    settings = json.loads(config.read_text())
    scale = settings.get("rational_spatial_scale", 2.0) if settings.get("use_rational_resampler", True) else 2.0
    return bool(settings.get("spatial_upsample", True)) and not settings.get("temporal_upsample") and scale == 2.0


def published_models() -> tuple[ModelSpec, ...]:
    """The models that the studio knows without being told."""
    distilled = Defaults(
        height=512, width=768, num_frames=121, frame_rate=24.0, num_inference_steps=8, sigmas=DISTILLED_SIGMAS, **UNGUIDED
    )
    return (
        *_pocket(),
        _ltx2(
            "ltx-2",
            "LTX-2",
            "Lightricks' 19 B open model: picture and sound together. Needs a large GPU.",
            use_cross_timestep=False,
            has_latent_upsampler=True,
        ),
        _ltx2(
            "ltx-2.3", "LTX-2.3", "Lightricks' open model with gated attention and steadier shapes.", source="Lightricks/LTX-2.3"
        ),
        _ltx2(
            "ltx-2.3-distilled",
            "LTX-2.3 distilled",
            "Eight steps, no guidance: the fast one.",
            source="Lightricks/LTX-2.3-Distilled",
            defaults=distilled,
        ),
        _ltx2(
            "ltx-2.5",
            "LTX-2.5",
            "Lightricks' newest open model, which reads prompts with Gemma 4. Its page asks you to log in first.",
            source="Lightricks/LTX-2.5-Diffusers",
            licence="LTX-2.x Community License",
            image_crf=18,
        ),
        *(spec for family in families() for spec in family.releases()),
    )


class ModelCatalogue:
    """The models of one studio: the published ones and the local folders that its owner named."""

    def __init__(self, specs: Iterable[ModelSpec]) -> None:
        self._specs = {spec.id: spec for spec in specs}

    @classmethod
    def with_folders(cls, folders: Mapping[str, Path], learnt: Path | None = None) -> ModelCatalogue:
        """Published models plus ``folders``: by id a diffusers folder, a hub id (``learnt`` keeps its kind) or ``FILE@BASE``."""
        from pipelines.checkpoints.hub import spec_named
        from pipelines.checkpoints.source import spec_from_file

        files = {model_id: str(path) for model_id, path in folders.items() if "@" in path.name or path.expanduser().is_file()}
        files = {model_id: named for model_id, named in files.items() if not Path(named).is_dir()}
        local = [spec_named(model_id, folder, learnt) for model_id, folder in folders.items() if model_id not in files]
        whole = {spec.id: spec for spec in (*published_models(), *local)}
        return cls([*whole.values(), *(spec_from_file(model_id, named, whole) for model_id, named in files.items())])

    def quantized(self, quantization: Quantization | Mapping[str, Quantization], text: Quantization) -> ModelCatalogue:
        """The same models with their weights held so where a request does not say; a map names single models by id.

        Raises ``ModelNotFound`` for an id that is not known.
        """
        named = quantization if isinstance(quantization, Mapping) else dict.fromkeys(self._specs, quantization)
        for model_id in named:
            self.get(model_id)
        return ModelCatalogue(
            replace(
                spec,
                defaults=replace(spec.defaults, quantization=named.get(spec.id, spec.defaults.quantization)),
                text_quantization=text,
            )
            if spec.held_as is None
            else replace(spec, text_quantization=text if spec.transformer else spec.text_quantization)
            for spec in self._specs.values()
        )

    def fused(self, kernels: Switch, *, compile: bool) -> ModelCatalogue:
        """The same models with fused kernels on their blocks, or with their blocks compiled."""
        return ModelCatalogue(replace(spec, kernels=kernels, compile=compile) for spec in self._specs.values())

    def offloaded(self, offload: Offload) -> ModelCatalogue:
        """The same models with these weights away from the device while they are not used."""
        return ModelCatalogue(replace(spec, offload=offload) for spec in self._specs.values())

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._specs.values())

    def get(self, model_id: str) -> ModelSpec:
        """The spec of ``model_id``; raises ``ModelNotFound`` naming the nearest one there is."""
        if model_id in self._specs:
            return self._specs[model_id]
        near = difflib.get_close_matches(model_id, self._specs, n=1, cutoff=0.0)
        shown = model_id if len(model_id) <= 60 else model_id[:57] + "..."
        raise ModelNotFound(
            f"model {shown!r} is not known; did you mean {near[0]!r}? The Models tab and 'app.py models' list all.", field="model"
        )

    def knowing(self, prompt: str) -> tuple[ModelSpec, ...]:
        """The models with a vocabulary that know every word of ``prompt``."""
        return tuple(spec for spec in self._specs.values() if spec.has_vocabulary and not spec.unknown_words(prompt))

    def words_for(self, model_id: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Phrases by kind and concept that a model knows; of one that takes any words, those of the model that lists most."""
        spec = self.get(model_id)
        if spec.vocabulary is not None:
            return spec.vocabulary.knows
        every = [each.vocabulary.knows for each in self._specs.values() if each.vocabulary is not None]
        return max(every, key=lambda knows: sum(map(len, knows.values())), default={})

    def complete(self, request: Asked) -> Asked:
        """``request`` with every open field filled, checked against what its model can do.

        An absent seed becomes a random one, so that the stored request makes the same clip again. Raises
        ``InvalidRequest`` with the nearest setting that the model can do, or ``ModelNotFound``.
        """
        if isinstance(request, ImportRequest):
            raise InvalidRequest(
                "kind is 'import': the clip was opened from a file, so there are no settings to make it again; edit it instead.",
                field="kind",
            )
        spec = self.get(request.model)
        defaults = {name: value for name, value in vars(spec.defaults).items() if getattr(request, name) is None}
        if request.num_inference_steps is not None and request.sigmas is None:
            defaults.pop("sigmas", None)  # a person who asks for steps does not want the model's fixed schedule
        if request.seed is None:
            defaults["seed"] = secrets.randbelow(MAX_SEED + 1)
        if "modality" not in request.model_fields_set and (spec.is_silent or spec.is_for_sound):
            defaults["modality"] = Modality.VIDEO if spec.is_silent else Modality.AUDIO
        full = request.model_copy(update=defaults)
        if full.stages == 1:
            full = full.model_copy(update={"refine_sigmas": None})
        check(full, spec)
        if full.sigmas is not None:
            full = full.model_copy(update={"num_inference_steps": len(full.sigmas)})
        return full
