"""What goes into the engine and what comes out of it: requests, events, results, errors.

Pydantic and the standard library only, so that the web process, the command line and the tests can speak
the same language without loading torch.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator

from pipelines.edits import IMAGE_REFERENCE, SOURCE_REFERENCE, Edit, Source
from pipelines.faults import told
from pipelines.moments import Moments

MAX_PROMPT_CHARACTERS = 4000
MAX_SEED = 2**32 - 1
# Tab and line feed are ordinary in a prompt; every other control character is invisible damage.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


class StudioError(Exception):
    """A failure that a person can act on: one sentence, the field it is about, the HTTP status it maps to."""

    status = 500

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidRequest(StudioError):
    """The request cannot be carried out as it stands; the message names the field and the remedy."""

    status = 422


class NotFound(StudioError):
    """There is no such job, clip, image or page, or it belongs to somebody else."""

    status = 404


class ModelNotFound(NotFound):
    """The model is unknown, not installed, or its files are damaged."""


class NotAllowed(StudioError):
    """The person may not do this."""

    status = 403


class Conflict(StudioError):
    """The thing is not in a state in which this can be done."""

    status = 409


class TooLarge(StudioError):
    """An upload or a queue is over its limit."""

    status = 413


class OutOfMemory(StudioError):
    """The run needs more memory than there is."""

    status = 507


class DeviceLost(StudioError):
    """A device, or the process on it, went away in the middle of a run; the same request may well succeed again."""

    status = 503


class StorageFull(StudioError):
    """The disk is full or read-only; nothing was written."""

    status = 507

    @staticmethod
    def remedy(error: OSError) -> str:
        """What a person can do about a file that could not be written."""
        return "make the folder writable" if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else "free some space"


class Modality(StrEnum):
    """Which of the two streams the finished file holds; the model always imagines both together."""

    VIDEO_AND_AUDIO = "video_and_audio"
    VIDEO = "video"
    AUDIO = "audio"


class Effort(StrEnum):
    """How much of a clip's denoising is foretold from the steps before instead of computed."""

    QUALITY = "quality"
    BALANCED = "balanced"
    FAST = "fast"
    MOTION = "motion"
    SPEECH = "speech"


class GuidanceMethod(StrEnum):
    """How the difference between the prediction and that under the negative prompt is put to use."""

    PLAIN = "plain"
    PROJECTED = "projected"
    ZERO_STAR = "zero-star"


class Quantization(StrEnum):
    """In how many bits the large weights of a model are held while it runs."""

    AUTO = "auto"
    NONE = "none"
    BF16 = "bf16"
    INT16 = "int16"
    FP8 = "fp8"
    INT8 = "int8"
    INT8_DYNAMIC = "int8-dynamic"
    INT4 = "int4"


class Request(BaseModel):
    """Base of every request: frozen, strict about unknown fields, finite numbers only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


def _setting(default: Any, title: str, *, advanced: bool = True, labels: tuple[str, ...] = (), **limits: Any) -> Any:
    return Field(default, title=title, json_schema_extra={"advanced": advanced, "labels": [*labels]}, **limits)


class LoraUse(Request):
    """A LoRA in a stack: which, how strongly on either stream, and over which share of the steps."""

    lora: Annotated[str, Field(pattern=r"^lora:[0-9a-f]{64}$")]
    """``lora:`` and the SHA-256 of the file."""
    weight: float = Field(1.0, ge=-4, le=4)
    """How strongly; below 0 it does the opposite."""
    video: float = Field(1.0, ge=0, le=2)
    """Times the weight for the picture."""
    audio: float = Field(1.0, ge=0, le=2)
    """Times the weight for the sound."""
    start: float = Field(0.0, ge=0, lt=1)
    """From which share of the steps on."""
    end: float = Field(1.0, gt=0, le=1)
    """Up to which share of the steps."""

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"runs from {self.start:g} to {self.end:g} of the steps; the end must come after the start")
        return self


class ClipRequest(Request):
    """What every clip is made with.

    A field that is ``None`` takes the model's own default; ``ModelCatalogue.complete`` fills them all, so that
    a stored request says everything that its clip was made of.
    """

    prompt: str = _setting("", "Prompt", advanced=False, min_length=1, max_length=MAX_PROMPT_CHARACTERS, validate_default=True)
    """What to see and what to hear, in plain words."""
    negative_prompt: str = _setting("", "Negative prompt", max_length=MAX_PROMPT_CHARACTERS)
    """What to stay away from. Works only where guidance is above 1."""
    lyrics: str = _setting("", "Song text", max_length=MAX_PROMPT_CHARACTERS)
    """What is sung, for models that can: line by line, with parts such as [verse] and [chorus]. Empty: nobody sings."""
    model: str = _setting("pocket", "Model", advanced=False, min_length=1, max_length=200)
    """Which model imagines the clip."""
    modality: Modality = _setting(Modality.VIDEO_AND_AUDIO, "Picture and sound", advanced=False)
    """Keep both picture and sound, only the picture, or only the sound."""
    height: int | None = _setting(None, "Height", advanced=False, ge=1, le=8192)
    """Picture height in pixels."""
    width: int | None = _setting(None, "Width", advanced=False, ge=1, le=8192)
    """Picture width in pixels."""
    num_frames: int | None = _setting(None, "Frames", advanced=False, ge=1, le=10_000)
    """How many frames the clip has; with the frame rate it sets the duration."""
    frame_rate: float | None = _setting(None, "Frame rate", ge=1, le=10_000)
    """Frames a second."""
    upscale: Literal[1, 2, 4] | None = _setting(None, "Enlarge", labels=("off", "2x", "4x"))
    """Draws the finished picture two or four times as wide and high, for models that come with an upscaler."""
    stages: Literal[1, 2] = _setting(1, "Two stages", labels=("off", "on"))
    """Denoises at half the height and width, enlarges the latents and refines them in a few steps, for models that can."""
    effort: Effort = _setting(
        Effort.QUALITY,
        "Effort",
        labels=("quality: all computed", "balanced", "fast", "fast, picture first", "fast, sound first"),
    )
    """Above quality, steps whose outcome can be foretold from those before are not computed."""
    quantization: Quantization | None = _setting(
        None,
        "Weights",
        labels=(
            *("automatic", "as they are", "16 bits (bf16)", "16 bits (int16)", "8 bits (fp8)", "8 bits (int8)"),
            *("8 bits, whole numbers throughout", "4 bits (int4)"),
        ),
    )
    """Large models fit into less memory with fewer bits for their weights; automatic takes fewer only where they must be."""
    seed: int | None = _setting(None, "Seed", advanced=False, ge=0, le=MAX_SEED)
    """The number that all chance comes from: the same seed and settings give the same clip again."""
    num_inference_steps: int | None = _setting(None, "Steps", ge=1, le=200)
    """Denoising steps: more is slower and usually cleaner."""
    sigmas: tuple[float, ...] | None = _setting(None, "Noise schedule", min_length=1, max_length=200)
    """Noise levels to visit, falling from 1 towards 0; overrides the steps (distilled models bring their own)."""
    refine_sigmas: tuple[float, ...] | None = _setting(None, "Second stage's noise schedule", min_length=1, max_length=200)
    """Noise levels of the second of two stages, falling from below 1: the first says how far it may leave the first stage."""
    guidance_scale: float | None = _setting(None, "Picture guidance", ge=0, le=50)
    """How strictly the picture follows the prompt; 1 switches guidance off."""
    audio_guidance_scale: float | None = _setting(None, "Sound guidance", ge=0, le=50)
    """How strictly the sound follows the prompt; 1 switches guidance off."""
    stg_scale: float | None = _setting(None, "Picture structure (STG)", ge=0, le=20)
    """Spatio-temporal guidance of the picture: steadier shapes; 0 switches it off."""
    audio_stg_scale: float | None = _setting(None, "Sound structure (STG)", ge=0, le=20)
    """Spatio-temporal guidance of the sound; 0 switches it off."""
    modality_scale: float | None = _setting(None, "Picture listens to sound", ge=0, le=20)
    """How strongly the picture is drawn towards its sound; 1 switches the extra pass off."""
    audio_modality_scale: float | None = _setting(None, "Sound watches picture", ge=0, le=20)
    """How strongly the sound is drawn towards its picture; 1 switches the extra pass off."""
    guidance_rescale: float | None = _setting(None, "Picture contrast rescue", ge=0, le=1)
    """Brings strongly guided pictures back to a natural contrast; 0 is off."""
    audio_guidance_rescale: float | None = _setting(None, "Sound level rescue", ge=0, le=1)
    """Brings strongly guided sound back to a natural level; 0 is off."""
    guidance_method: GuidanceMethod = _setting(
        GuidanceMethod.PLAIN, "Guidance method", labels=("plain", "projected (APG)", "optimised scale (CFG-Zero*)")
    )
    """How guidance is applied: projected keeps strong guidance from oversaturating; optimised scale corrects early steps."""
    guidance_low: float = _setting(0.0, "Picture guidance down to noise", ge=0, lt=1)
    """The picture is guided above this noise level, between 0 and 1; steps without any guidance cost less."""
    guidance_high: float = _setting(1.0, "Picture guidance from noise", gt=0, le=1)
    """The picture is guided up to this noise level; a clip begins at 1 and ends at 0."""
    audio_guidance_low: float = _setting(0.0, "Sound guidance down to noise", ge=0, lt=1)
    """The sound is guided above this noise level, between 0 and 1."""
    audio_guidance_high: float = _setting(1.0, "Sound guidance from noise", gt=0, le=1)
    """The sound is guided up to this noise level."""
    loras: tuple[LoraUse, ...] = _setting((), "Styles", advanced=False, max_length=16)
    """LoRAs that act together; their order does not matter."""
    crf: int = _setting(16, "Video compression (CRF)", ge=0, le=40)
    """H.264 quality: lower is larger and finer, 16 is visually lossless here."""
    audio_bitrate_kbps: int = _setting(160, "Sound bitrate", ge=32, le=320)
    """AAC bits a second, in thousands."""
    original_prompt: str | None = _setting(None, "Original prompt", advanced=False, max_length=MAX_PROMPT_CHARACTERS)
    """The prompt as it was before it was enhanced; kept with the clip and never read by a model."""

    @field_validator("prompt", "negative_prompt", "lyrics")
    @classmethod
    def _clean_text(cls, text: str) -> str:
        return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\t", " ")).strip()

    @field_validator("prompt")
    @classmethod
    def _not_empty(cls, text: str) -> str:
        if not text:
            raise ValueError("is empty: say what to see and hear")
        return text

    @field_validator("sigmas", "refine_sigmas")
    @classmethod
    def _is_falling(cls, sigmas: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if sigmas is None:
            return None
        if not all(0 < s <= 1 for s in sigmas) or list(sigmas) != sorted(set(sigmas), reverse=True):
            raise ValueError("must fall strictly, from at most 1 to above 0, such as 1.0, 0.75, 0.5, 0.25")
        return sigmas

    @field_validator("refine_sigmas")
    @classmethod
    def _is_partial(cls, sigmas: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if sigmas is not None and sigmas[0] >= 1:
            raise ValueError("begins at 1, where nothing is left of the first stage; begin below 1, such as 0.9, 0.7, 0.4")
        return sigmas

    @field_validator("guidance_high", "audio_guidance_high")
    @classmethod
    def _above_low(cls, high: float, info: ValidationInfo) -> float:
        name = (info.field_name or "").replace("high", "low")
        low = info.data.get(name, 0.0)
        if high <= low:
            raise ValueError(f"is {high:g}, not above {name}, {low:g}: make it larger")
        return high

    @property
    def duration_s(self) -> float | None:
        """Seconds of picture, or ``None`` before the model's defaults are filled in."""
        if self.num_frames is None or self.frame_rate is None:
            return None
        return self.num_frames / self.frame_rate

    def images(self) -> tuple[str, ...]:
        """References of the stored images that it needs."""
        return ()

    def field_of(self, reference: str) -> str:
        """Which field has a stored image."""
        return "edit"

    def clips(self) -> tuple[str, ...]:
        """References of the clips that it reads."""
        return ()

    def sources(self) -> tuple[str, ...]:
        """References of every file that it reads: clips, then LoRAs."""
        return (*self.clips(), *dict.fromkeys(use.lora for use in self.loras))


class GenerationRequest(ClipRequest):
    """One clip from words, and from a first frame, a last one and references where they are given."""

    kind: Literal["generate"] = "generate"
    """A clip from words."""
    first_frame: str | None = _setting(None, "First frame", advanced=False)
    """An image that the clip starts from, as ``sha256:...`` of a stored image."""
    last_frame: str | None = _setting(None, "Last frame", advanced=False)
    """An image that the clip comes to, as ``sha256:...`` of a stored image."""
    references: tuple[str, ...] = _setting((), "References", advanced=False, max_length=12)
    """Images (``sha256:...``) and clips (``clip:...``) that the model is shown beside the words: how things look or move."""

    @field_validator("first_frame", "last_frame")
    @classmethod
    def _is_reference(cls, reference: str | None) -> str | None:
        if reference is not None and not IMAGE_REFERENCE.fullmatch(reference):
            raise ValueError("must be 'sha256:' and 64 hexadecimal digits, as an image upload returns it")
        return reference

    @field_validator("references")
    @classmethod
    def _are_references(cls, references: tuple[str, ...]) -> tuple[str, ...]:
        for each in references:
            if not (IMAGE_REFERENCE.fullmatch(each) or SOURCE_REFERENCE.fullmatch(each)):
                raise ValueError("must each be 'sha256:...' of an image upload, or 'clip:' and the id of a clip")
        if len(set(references)) < len(references):
            raise ValueError("name the same image or clip twice: take one out")
        return references

    def images(self) -> tuple[str, ...]:
        """The first and the last frame, then the images among the references."""
        shown = [each for each in self.references if IMAGE_REFERENCE.fullmatch(each)]
        return tuple(dict.fromkeys([*filter(None, (self.first_frame, self.last_frame)), *shown]))

    def field_of(self, reference: str) -> str:
        """Which field has a stored image."""
        return next((name for name in ("first_frame", "last_frame") if getattr(self, name) == reference), "references")

    def clips(self) -> tuple[str, ...]:
        """The clips among the references."""
        return tuple(each for each in self.references if SOURCE_REFERENCE.fullmatch(each))


class EditRequest(ClipRequest):
    """One clip from another: what its model makes of it is made with these settings, the rest is the source's own.

    Complete, its shape is that of the finished clip.
    """

    kind: Literal["edit"] = "edit"
    """A clip from another clip."""
    source: Source
    """The clip that is edited, as ``clip:`` and its id."""
    edit: Edit
    """What is done to it."""

    def images(self) -> tuple[str, ...]:
        """Those of its operation."""
        return self.edit.images()

    def clips(self) -> tuple[str, ...]:
        """The source, then what else the operation reads."""
        return (self.source, *self.edit.sources())


class ImportRequest(ClipRequest):
    """What a clip says about itself that was not made here but opened from somebody's file; it cannot be run.

    ``model`` is the one that the file was made to fit, and that edits of the clip begin with.
    """

    kind: Literal["import"] = "import"
    """A clip from a file."""
    file_name: str = Field(min_length=1, max_length=255)
    """What the file was called."""
    file_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The hash of the file as it came."""


AnyRequest = Annotated[GenerationRequest | EditRequest | ImportRequest, Field(discriminator="kind")]
_ANY_REQUEST: TypeAdapter[GenerationRequest | EditRequest | ImportRequest] = TypeAdapter(AnyRequest)
_KINDS: dict[str, type[GenerationRequest | EditRequest | ImportRequest]] = {"edit": EditRequest, "import": ImportRequest}


@dataclass(frozen=True)
class Progress:
    """Where the run is: ``step`` of ``total`` in the named stage."""

    stage: str
    step: int
    total: int


@dataclass(frozen=True)
class Preview:
    """What the clip looks like so far: an encoded image."""

    image: bytes
    mime: str


@dataclass(frozen=True)
class Metric:
    """One measured number, such as seconds of a stage."""

    name: str
    value: float


class Clip(BaseModel):
    """A finished clip file, what it was made of and what was measured on it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["clip"] = "clip"
    path: Path
    request: AnyRequest
    model_sha256: str
    code_version: str
    height: int
    width: int
    num_frames: int
    frame_rate: float
    duration_s: float
    has_video: bool
    has_audio: bool
    sample_rate: int | None
    size_bytes: int
    stage_seconds: dict[str, float]
    measurements: dict[str, float]
    moments: Moments | None = None
    """``null`` for a clip without picture or sound, and for one that was measured before they were kept."""


@dataclass(frozen=True)
class Done:
    """The last event of a run."""

    result: Clip


Event = Progress | Preview | Metric | Done
Events = Iterator[Event]


def parse_request(body: object) -> GenerationRequest | EditRequest | ImportRequest:
    """A request from untrusted JSON, ``kind`` "generate" where it is left out.

    Raises ``InvalidRequest`` with one sentence that names the field.
    """
    kind = body.get("kind") if isinstance(body, dict) else None
    request = _KINDS.get(kind, GenerationRequest) if isinstance(kind, str) else GenerationRequest
    try:
        return request.model_validate(body)
    except ValidationError as error:
        raise invalid_request(error) from None


def parse_generation(body: object) -> GenerationRequest:
    """As ``parse_request``, for a clip from words only."""
    try:
        return GenerationRequest.model_validate(body)
    except ValidationError as error:
        raise invalid_request(error) from None


def stored_request(text: str) -> GenerationRequest | EditRequest | ImportRequest:
    """A request as the studio itself wrote it down."""
    return _ANY_REQUEST.validate_json(text)


def invalid_request(error: ValidationError) -> InvalidRequest:
    """The first fault of a pydantic report as one sentence for a person."""
    sentence, field = told(error)
    return InvalidRequest(sentence, field=field)
