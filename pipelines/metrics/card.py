"""The quality card of one clip: every measurement of ``catalogue.METRICS`` that the clip has, from its pixels and samples."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import soxr

from pipelines.clip_io import Media, Sound
from pipelines.contract import AnyRequest, StudioError
from pipelines.editing.plan import Span
from pipelines.metrics.loudness import sound_metrics
from pipelines.metrics.offset import Offset, contacts_of, of_curves, of_events, surest
from pipelines.metrics.picture import picture_metrics
from pipelines.metrics.seams import seam_metrics
from pipelines.metrics.semantic import named, semantic_metrics
from pipelines.metrics.sync import contacts, envelope, motion_peaks, onsets
from pipelines.metrics.temporal import Change, changes, drift, dynamic_degree, of_changes
from pipelines.moments import Moments
from pipelines.registry import ModelSpec

if TYPE_CHECKING:
    from pipelines.metrics.agreement import TextImageModel

_log = logging.getLogger(__name__)
_LARGEST_SIDE = 256  # motion is looked at no larger: it costs with the area and gains nothing
_LEAST_GUESSED = 4  # contacts guessed from motion alone: of fewer, half of those that seem sure are a frame off or more
_MONO_RATE = 16_000
_VOICE, _SURE = " voice", 0.5
"""How classes of voices end, and from which share of certainty on one is heard."""


@dataclass(frozen=True)
class Card:
    """Measurements by name, and the moments of a clip with picture and sound."""

    measurements: dict[str, float]
    moments: Moments | None


@dataclass(frozen=True)
class Witness:
    """What the readers see and hear: how sure they are of each class by kind, contacts in seconds, the mouth a frame."""

    sure: dict[str, dict[str, float]]
    contacts_s: np.ndarray
    mouth_F: np.ndarray

    @property
    def speaks(self) -> bool:
        """Whether a voice is heard: without one there are no lips to look at."""
        return sum(sure for name, sure in self.sure.get("sound", {}).items() if name.endswith(_VOICE)) >= _SURE


def quality_card(
    media: Media,
    request: AnyRequest | None,
    spec: ModelSpec | None,
    judge: TextImageModel | None = None,
    imagined: Span | None = None,
) -> Card:
    """Everything that can be measured; what the clip lacks is absent, not zero.

    ``request`` and ``spec`` say what was asked and in which words; without them, or with a model that takes any words, the
    readers say nothing about meaning. ``judge`` compares pictures with any words. ``imagined`` are the frames that an edit made
    anew between kept ones (``editing.plan.imagined_frames``).
    """
    started = time.perf_counter()
    found: dict[str, float] = {}
    frames, sound, rate = media.frames, media.sound, media.frame_rate
    pairs: list[Change] = []
    if frames is not None and rate:
        found["length.picture_s"] = len(frames) / rate
        found |= picture_metrics(frames)
        if judge is not None and request is not None:
            found |= _agreement(judge, frames, request.prompt, rate)
        frames = _small(frames)
        pairs = list(changes(frames))
        found |= _over_time(frames, pairs, rate)
        if imagined is not None:
            found |= seam_metrics(frames, pairs, rate, (imagined.start, imagined.end))
    if sound is not None:
        found["length.sound_s"] = sound.samples.shape[1] / sound.sample_rate
        found |= sound_metrics(sound)
    mono = None if sound is None else _mono(sound)
    witness = _witness_of(frames, mono, rate, spec if request is not None else None)
    if witness is not None and request is not None and spec is not None and spec.vocabulary is not None:
        found |= semantic_metrics(named(request.prompt, spec.vocabulary), witness.sure)
    moments = None
    if frames is not None and mono is not None and rate and pairs:
        found["length.difference_ms"] = 1000 * abs(found["length.picture_s"] - found["length.sound_s"])
        moments = _moments(frames, mono, pairs, rate, witness)
        found |= _together(_kinds(moments, mono, len(frames), rate))
    found["length.card_s"] = time.perf_counter() - started
    return Card({name: round(value, 4) for name, value in found.items()}, moments)


def _agreement(judge: TextImageModel, frames_FHWC: np.ndarray, prompt: str, frame_rate: float) -> dict[str, float]:
    try:
        return judge.agreement(frames_FHWC, prompt, frame_rate)
    except StudioError as error:  # the clip is there, and no judge takes it away
        _log.warning("%s", error.message)
        return {}


def _small(frames_FHWC: np.ndarray) -> np.ndarray:
    height, width = frames_FHWC.shape[1:3]
    scale = _LARGEST_SIDE / max(height, width)
    if scale >= 1:
        return frames_FHWC
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames_FHWC])


def _mono(sound: Sound) -> np.ndarray:
    return np.asarray(soxr.resample(sound.samples.mean(0), sound.sample_rate, _MONO_RATE), np.float32)


def _over_time(frames_FHWC: np.ndarray, pairs: list[Change], frame_rate: float) -> dict[str, float]:
    if not pairs:
        return {}
    held = of_changes(pairs, frame_rate)
    return {
        "temporal.warp_error": held.warp_error,
        "temporal.flicker": held.flicker,
        "temporal.drift": drift(frames_FHWC),
        "temporal.dynamic_degree": dynamic_degree(pairs, frame_rate),
    }


def _witness_of(
    frames_FHWC: np.ndarray | None, mono_N: np.ndarray | None, frame_rate: float | None, spec: ModelSpec | None
) -> Witness | None:
    """Of clips of models that know certain words, which the readers know too."""
    if frames_FHWC is None or not frame_rate or spec is None or spec.vocabulary is None:
        return None
    return _witness(frames_FHWC, mono_N, frame_rate)


def _witness(frames_FHWC: np.ndarray, mono_N: np.ndarray | None, frame_rate: float) -> Witness:
    """What the released readers say; they are loaded once in a process, and torch with them."""
    import torch

    from pipelines.mel import log_mel
    from pipelines.metrics.readers import CLASSES, load_readers
    from pipelines.metrics.reading import SOUND
    from pipelines.world.scene import SOUND_CLASSES

    readers = load_readers()
    with torch.inference_mode():
        seen = readers.see(frames_FHWC)
        sure = {name: _shares(seen.attributes[name][0].softmax(0), CLASSES[name]) for name in CLASSES}
        if mono_N is not None and len(mono_N):
            heard = readers.sound(log_mel(torch.from_numpy(mono_N)[None], SOUND))[0]
            sure["sound"] = _shares(heard.softmax(0), SOUND_CLASSES)
    return Witness(sure, contacts(seen.contact[0].numpy(), frame_rate), seen.mouth[0].numpy())


def _shares(shares_N: object, classes: tuple[str, ...]) -> dict[str, float]:
    return dict(zip(classes, map(float, shares_N), strict=True))  # type: ignore[call-overload]


def _moments(
    frames_FHWC: np.ndarray, mono_N: np.ndarray, pairs: list[Change], frame_rate: float, witness: Witness | None
) -> Moments:
    return Moments(
        impacts_s=_rounded(_touching(pairs, frame_rate, witness)),
        beats_s=_rounded(motion_peaks(frames_FHWC, frame_rate)),
        heard_s=_rounded(onsets(mono_N, _MONO_RATE)),
        mouth=_rounded(witness.mouth_F) if witness is not None and witness.speaks else None,
    )


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def _kinds(moments: Moments, mono_N: np.ndarray, num_frames: int, frame_rate: float) -> dict[str, Offset]:
    """The offset of each kind of event that the clip has."""
    duration_s, heard_s = num_frames / frame_rate, np.array(moments.heard_s)
    found = {
        "impact": of_events(np.array(moments.impacts_s), heard_s, duration_s, frame_rate),
        "beat": of_events(np.array(moments.beats_s), heard_s, duration_s, frame_rate),
    }
    if moments.mouth is not None:
        loudness = envelope(mono_N, _MONO_RATE, frame_rate, num_frames)
        found["lip"] = of_curves(np.array(moments.mouth), loudness, frame_rate)
    return {kind: offset for kind, offset in found.items() if offset is not None}


def _touching(pairs: list[Change], frame_rate: float, witness: Witness | None) -> np.ndarray:
    """When things touch, in seconds: as the readers see it, else as the motion lets guess."""
    if witness is not None and len(witness.contacts_s):
        return witness.contacts_s
    guessed = contacts_of([flow for flow, _, _ in pairs], frame_rate)
    return guessed if len(guessed) >= _LEAST_GUESSED else guessed[:0]


def _together(found: dict[str, Offset]) -> dict[str, float]:
    measured: dict[str, float] = {}
    for kind, offset in found.items():
        measured |= {f"sync.{kind}_ms": 1000 * offset.offset_s, f"sync.{kind}_confidence": offset.confidence}
    best = surest(found)
    if best is not None:
        measured |= {"sync.offset_ms": 1000 * best.offset_s, "sync.confidence": best.confidence}
    return measured
