"""Families of models that run through diffusers' own pipelines: what each can do, and how its pipeline is called. No torch.

LTX-2 has a loop of the studio's own, but for DFR. Every other family is a folder in ``pipelines/models`` and a line in
``FAMILIES``.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.contract import ClipRequest, ModelNotFound
from pipelines.prompting.reading import language_of

if TYPE_CHECKING:
    from pipelines.registry import ModelSpec

FAMILIES = (
    "pipelines.models.ltx2.family",
    "pipelines.models.wan.family",
    "pipelines.models.cogvideox.family",
    "pipelines.models.hunyuanvideo15.family",
    "pipelines.models.skyreels.family",
    "pipelines.models.kandinsky6.family",
    "pipelines.models.minimaxh3.family",
    "pipelines.models.stableaudio3.family",
    "pipelines.models.acestep.family",
)
"""Modules that hold a ``FAMILY`` each, in the order in which people see their models."""
INDEX = "model_index.json"
INDEXES = (INDEX, "modular_model_index.json")
"""The files that name a folder's pipeline; some folders have several."""
LOADER = "pipelines.models.called:load"
_CONFIGS = {"scheduler": "scheduler_config.json"}

OF_EVERY_CALL: Mapping[str, str] = {
    name: name for name in ("prompt", "negative_prompt", "height", "width", "num_frames", "num_inference_steps", "guidance_scale")
}
"""What most pipelines take, by the request's own names."""
_OF_PICTURE = frozenset(("height", "width", "frame_rate", "crf", "upscale", "stages", "first_frame", "last_frame"))
_LANGUAGE = "lyrics_language"
"""What is told of the song's text beside itself: its language, as a code of two letters."""
_OUTSIDE = _OF_PICTURE | {"kind", "original_prompt", "model", "modality", "num_frames", "quantization", "seed"}
"""Fields that are not for the pipeline: the studio itself does what they say."""


@dataclass(frozen=True)
class References:
    """How many images and clips a model can be shown beside the words; with ``need_lora`` only a LoRA makes sense of them.

    Where they ``are_needed`` it makes nothing from words alone. ``roles`` say what each clip is for, in their order: the image is
    then a character and the first clip how it moves, and both are needed.
    """

    images: int = 0
    clips: int = 0
    need_lora: bool = False
    are_needed: bool = False
    roles: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.images + self.clips > 0


@dataclass(frozen=True)
class Call:
    """How a pipeline of diffusers is called.

    ``text`` is the class that begins with words alone, ``image`` the one that begins with a first frame; empty where there is
    none. It is diffusers' own, or ``module:class``. ``arguments`` says which argument a field of the request becomes;
    ``part.setting`` is the setting of a part that can be made anew, such as a guider. ``fixed`` is given with every call.
    ``prompt_tokens`` is the longest prompt that its encoder reads, as its ``tokenizer`` counts, ``lyrics_tokens`` the longest
    song. ``parts`` are loaded by another class of transformers than the folder names. ``float32`` are the parts that lose too
    much in fewer bits.

    Without ``has_video`` it makes sound alone, of at least ``shortest_s`` seconds: what is more than was asked for is cut off.
    With ``fills`` the pipeline also takes a ``video`` and a ``mask``: what is white is made anew and fits what stays. So it edits
    clips' pictures, and begins and ends with given frames in the same class. ``references`` are what it can be shown.
    With ``pieces`` a clip of more frames than the first of them is made in pieces of so many, each of which begins with the
    last frames, as many as the second, of the one before. ``index`` is the file that names the parts in a model's folder;
    ``folders`` are those that are needed, where there are more.
    """

    text: str = ""
    image: str = ""
    arguments: Mapping[str, str] = field(default_factory=lambda: OF_EVERY_CALL)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    prompt_tokens: int = 512
    lyrics_tokens: int = 0
    has_video: bool = True
    has_audio: bool = False
    shortest_s: float = 0.0
    fills: bool = False
    references: References = References()
    pieces: tuple[int, int] | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    float32: tuple[str, ...] = ("vae",)
    index: str = INDEX
    folders: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Whether the request's field ``name`` does anything here."""
        if name == "first_frame":
            return bool(self.image) or self.fills
        if name == "last_frame":
            return self.fills
        if name == "references":
            return bool(self.references)
        if name == "modality":
            return self.has_audio and self.has_video
        if name == "audio_bitrate_kbps":
            return self.has_audio
        if name in _OF_PICTURE and not self.has_video:
            return False
        return name in _OUTSIDE or name in self.arguments

    @property
    def files(self) -> tuple[str, ...]:
        """Patterns of the files that it needs of a model's folder."""
        return (self.index, *(f"{name}/*" for name in self.folders)) if self.folders else (self.index, "*/*")

    def passes_of(self, request: ClipRequest) -> int:
        """How often the pipeline goes through its steps for a complete ``request``."""
        assert request.num_frames is not None
        if self.pieces is None or request.num_frames <= self.pieces[0]:
            return 1
        length, overlap = self.pieces
        return 1 + ceil((request.num_frames - length) / (length - overlap))

    def arguments_of(self, request: ClipRequest) -> dict[str, Any]:
        """Of the call for a complete ``request``; first and last frame and the generator come later, they are no plain values.

        What is ``fixed`` stands in for an empty text.
        """
        values = {argument: getattr(request, name) for name, argument in self.arguments.items() if name != _LANGUAGE}
        values = {argument: value for argument, value in values.items() if value != "" or argument not in self.fixed}
        if _LANGUAGE in self.arguments:
            values[self.arguments[_LANGUAGE]] = language_of(request.lyrics) if request.lyrics else "en"
        if seconds := self.arguments.get("duration_s"):
            values[seconds] = max(values[seconds], self.shortest_s)
        return {**self.fixed, **values}


@dataclass(frozen=True)
class Family:
    """One maker's models: the pipelines of a diffusers folder that are theirs, and the releases that the studio knows.

    ``read`` is given a folder's ``model_index.json`` and a function that gives the configuration of a part by name; it says how
    that model's spec differs from ``ModelSpec``'s own. Raises ``LookupError`` or ``TypeError`` for what is not such a model.
    """

    title: str
    classes: tuple[str, ...]
    read: Callable[[Mapping[str, Any], Callable[[str], Mapping[str, Any]]], Mapping[str, Any]]
    releases: Callable[[], tuple[ModelSpec, ...]]


def families() -> tuple[Family, ...]:
    """All of them."""
    return tuple(importlib.import_module(name).FAMILY for name in FAMILIES)


def told_by(model_id: str, folder: Path) -> dict[str, Any] | None:
    """The fields of ``ModelSpec`` for the model in a diffusers folder; ``None`` where no family's pipeline is named there.

    Raises ``ModelNotFound`` where its configuration cannot be read.
    """
    named = [_named(folder / name) for name in INDEXES]
    found = next(((each, index) for each in families() for index in named if index.get("_class_name") in each.classes), None)
    if found is None:
        return None
    family, index = found
    try:
        read = family.read(index, lambda part: _config(folder / part / _CONFIGS.get(part, "config.json")))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelNotFound(f"model {model_id}: {folder} is not a whole {family.title} model ({error}).", field="model") from None
    weights = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    call = read["call"]
    makes = ", for sound alone" if not call.has_video else "" if call.has_audio else ", without sound"
    return {
        "id": model_id,
        "title": model_id,
        "description": f"Local {family.title} model in {folder}{makes}",
        "source": str(folder),
        "loader": LOADER,
        "licence": "see the model's folder",
        "dtype": "bfloat16",
        "download_bytes": weights,
        "memory_bytes": 2 * weights,
        **read,
    }


def _named(file: Path) -> dict[str, Any]:
    """What an index says; nothing where there is none that can be read."""
    try:
        return _config(file)
    except (OSError, ValueError):
        return {}


def _config(file: Path) -> dict[str, Any]:
    """A configuration file. Raises ``OSError``, or ``ValueError`` for what is no JSON object."""
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{file.name} is no JSON object")
    return found
