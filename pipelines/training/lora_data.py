"""What a LoRA is trained on: a folder of clips with captions, read, brought to the model's shape and encoded once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipelines.clip_io import Sound, opened, read_media
from pipelines.conditioning import cover
from pipelines.contract import InvalidRequest
from pipelines.models.ltx2.encode import encode_frames, encode_sound
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model
from pipelines.registry import ModelSpec

RECORDS = "metadata.jsonl"
_SHORTEST_FRAMES = 2
_MOST_CAPTIONS = 16
_MOST_CHARACTERS = 4000
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Example:
    """A clip file and what may be said of it."""

    path: Path
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """A clip at the shape that is trained: ``frames`` ``[F, H, W, 3]`` uint8; ``sound`` is ``None`` where it has none."""

    frames: np.ndarray
    sound: Sound | None
    captions: tuple[str, ...]


@dataclass(frozen=True)
class TrainingShape:
    """The shape of every clip while it is trained: the model's own, shorter where the clips are."""

    height: int
    width: int
    num_frames: int
    frame_rate: float

    @classmethod
    def of(cls, spec: ModelSpec, shortest_s: float | None = None) -> TrainingShape:
        """The model's own shape, with as many frames of its grid as the shortest clip has."""
        own = spec.defaults
        frames = own.num_frames
        while shortest_s is not None and frames > spec.frame_multiple + 1 and frames / own.frame_rate > shortest_s + 1e-3:
            frames -= spec.frame_multiple
        return cls(own.height, own.width, frames, own.frame_rate)


def read_folder(folder: Path) -> list[Example]:
    """The clips of ``folder`` with their captions, from ``metadata.jsonl`` or from a text file beside each clip.

    Raises ``InvalidRequest`` naming what is missing.
    """
    if not folder.is_dir():
        raise InvalidRequest(f"data {str(folder)[:200]} is no folder; give one with clips and captions.", field="data")
    records = folder / RECORDS
    found = list(_recorded(folder, records)) if records.is_file() else list(_paired(folder))
    if not found:
        raise InvalidRequest(f"data {str(folder)[:200]} holds no clips; put MP4 files and their captions there.", field="data")
    return found


def _recorded(folder: Path, records: Path) -> Iterator[Example]:
    for number, line in enumerate(records.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            path = folder / str(record["file_name"])
        except (ValueError, KeyError, TypeError):
            raise InvalidRequest(
                f'data: line {number} of {RECORDS} is not JSON with a "file_name"; write one object a line.', field="data"
            ) from None
        said = [record.get("text") or record.get("caption"), *(record.get("captions") or [])]
        captions = tuple(dict.fromkeys(text.strip() for text in said if isinstance(text, str) and text.strip()))
        if not path.is_file():
            raise InvalidRequest(f"data: {record['file_name']!r} of line {number} of {RECORDS} is not there.", field="data")
        if not captions:
            raise InvalidRequest(
                f'data: line {number} of {RECORDS} has no caption; add "text" or "caption" to {record["file_name"]!r}.',
                field="data",
            )
        yield _bounded(path, captions)


def _paired(folder: Path) -> Iterator[Example]:
    for path in sorted(folder.rglob("*.mp4")):
        words = path.with_suffix(".txt")
        if not words.is_file() or not (text := words.read_text(encoding="utf-8").strip()):
            raise InvalidRequest(
                f"data: {path.name} has no caption; write one into {words.name} beside it, or list the clips in {RECORDS}.",
                field="data",
            )
        yield _bounded(path, (text,))


def _bounded(path: Path, captions: tuple[str, ...]) -> Example:
    if any(len(text) > _MOST_CHARACTERS for text in captions):
        raise InvalidRequest(f"data: a caption of {path.name} is longer than {_MOST_CHARACTERS:,} characters.", field="data")
    return Example(path, captions[:_MOST_CAPTIONS])


def shape_for(examples: list[Example], spec: ModelSpec, tell: Tell) -> TrainingShape:
    """The shape to train at, and in words what becomes of clips that have another. Raises ``InvalidRequest``."""
    found = [(each, _measures(each.path)) for each in examples]
    shape = TrainingShape.of(spec, min(seconds for _, (_, seconds, _, _) in found))
    own = (shape.height, shape.width)
    reshaped = sum(size != own or abs(rate - shape.frame_rate) > 1e-3 for _, (size, _, rate, _) in found)
    silent = sum(not has_sound for _, (_, _, _, has_sound) in found)
    length_s = shape.num_frames / shape.frame_rate
    cut = sum(seconds > length_s + 0.5 / shape.frame_rate for _, (_, seconds, _, _) in found)
    if reshaped:
        tell(
            f"{reshaped} of {len(found)} clips are resampled to {shape.width}x{shape.height} at {shape.frame_rate:g} frames a "
            "second, cut in the middle where their shape differs."
        )
    if cut:
        tell(f"{cut} of {len(found)} clips are longer than {length_s:.1f} s; their beginning is used.")
    if silent:
        tell(f"{silent} of {len(found)} clips have no sound; they teach the picture only.")
    return shape


def _measures(path: Path) -> tuple[tuple[int, int], float, float, bool]:
    """Height and width, seconds, frame rate, and whether there is sound. Raises ``InvalidRequest``."""
    with opened(path) as container:
        video = next(iter(container.streams.video), None)
        if video is None:
            raise InvalidRequest(f"data: {path.name} has no picture; leave it out.", field="data")
        rate = float(video.average_rate or 0)
        frames = int(video.frames) or round(float((container.duration or 0) / 1e6) * rate)
        if rate <= 0 or frames < _SHORTEST_FRAMES:
            raise InvalidRequest(f"data: {path.name} is a still, not a clip; leave it out.", field="data")
        return (int(video.height), int(video.width)), frames / rate, rate, bool(container.streams.audio)


def read_samples(examples: Iterable[Example], shape: TrainingShape) -> Iterator[Sample]:
    """The clips of a folder at ``shape``."""
    for each in examples:
        media = read_media(each.path)
        assert media.frames is not None and media.frame_rate is not None
        times_s = np.arange(shape.num_frames) / shape.frame_rate
        rows = np.minimum(np.round(times_s * media.frame_rate).astype(int), len(media.frames) - 1)
        fitted = {row: _fitted(media.frames[row], shape) for row in set(rows.tolist())}
        yield Sample(np.stack([fitted[row] for row in rows.tolist()]), media.sound, each.captions)


def _fitted(pixels: np.ndarray, shape: TrainingShape) -> np.ndarray:
    if pixels.shape[:2] == (shape.height, shape.width):
        return pixels
    return np.asarray(cover(Image.fromarray(pixels), shape.height, shape.width))


@dataclass(frozen=True)
class EncodedClips:
    """Normalised, packed latents ``[K, N, C]`` and ``[K, L, D]``; ``heard_K`` is 1 where a clip has sound; words clip by clip."""

    video_KND: torch.Tensor
    audio_KLD: torch.Tensor
    heard_K: torch.Tensor
    captions: tuple[tuple[str, ...], ...]

    @property
    def sha256(self) -> str:
        """A name for exactly these latents and words."""
        found = hashlib.sha256(json.dumps(self.captions).encode())
        for tensor in (self.video_KND, self.audio_KLD, self.heard_K):
            found.update(tensor.contiguous().numpy().tobytes())
        return found.hexdigest()

    def save(self, path: Path, key: str) -> None:
        """Store them under ``key``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"key": key, **vars(self)}, path)

    @classmethod
    def stored(cls, path: Path, key: str) -> EncodedClips | None:
        """What was stored under ``key``; ``None`` where that is something else or nothing."""
        if not path.is_file():
            return None
        held: dict[str, Any] = torch.load(path, weights_only=True)
        if held.pop("key") != key:
            return None
        return cls(**held)


def key_of(examples: list[Example], shape: TrainingShape, base_sha256: str) -> str:
    """What the latents of a folder depend on: its files, their words, the shape, and the model."""
    known = [(each, each.path.stat()) for each in examples]
    files = [(str(each.path.resolve()), stat.st_size, stat.st_mtime_ns, each.captions) for each, stat in known]
    return hashlib.sha256(json.dumps([files, vars(shape), base_sha256]).encode()).hexdigest()


def encode(model: LTX2Model, samples: Iterable[Sample], shape: TrainingShape) -> EncodedClips:
    """Encode every sample once. A clip without sound gets the latents of silence, which no loss looks at."""
    canvas = Canvas.of(model, **vars(shape))
    silence = Sound(np.zeros((1, round(16_000 * canvas.duration_s)), np.float32), 16_000)
    video, audio, heard, captions = [], [], [], []
    for sample in samples:
        video.append(encode_frames(model, sample.frames).cpu().clone())
        audio.append(encode_sound(model, sample.sound or silence, canvas).cpu().clone())
        heard.append(float(sample.sound is not None))
        captions.append(sample.captions)
    return EncodedClips(torch.cat(video), torch.cat(audio), torch.tensor(heard), tuple(captions))
