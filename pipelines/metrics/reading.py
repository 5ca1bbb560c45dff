"""What a finished clip file shows and sounds like, read back from its pixels and samples by the readers and measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch

from pipelines.clip_io import read_media
from pipelines.contract import InvalidRequest
from pipelines.mel import Mel, log_mel
from pipelines.metrics.readers import CLASSES, Readers, load_readers
from pipelines.metrics.sync import contacts, envelope, motion_peaks, onsets
from pipelines.metrics.temporal import Temporal, temporal
from pipelines.world.scene import SOUND_CLASSES

SOUND = Mel()
"""How all clips are heard: mono at 16 kHz."""


@dataclass(frozen=True)
class ClipReading:
    """One clip as read: classes by attribute, likeliest first; times in seconds; one value a frame for mouth and loudness.

    ``motion`` ``[F, D]`` and ``mel`` ``[1, T, M]`` are what ``SyncReader`` compares.
    """

    path: Path
    frame_rate: float
    ranked: dict[str, tuple[str, ...]]
    sound_class: str
    contacts_s: np.ndarray
    motion_peaks_s: np.ndarray
    onsets_s: np.ndarray
    mouth_F: np.ndarray
    envelope_F: np.ndarray
    temporal: Temporal
    motion: torch.Tensor
    mel: torch.Tensor


def read_clip(path: Path, readers: Readers | None = None) -> ClipReading:
    """Everything that is measured in the file at ``path``. Raises ``InvalidRequest`` when it lacks picture or sound."""
    frames, waveform, frame_rate = pixels_and_samples(path)
    readers = readers or load_readers()
    mel = log_mel(torch.from_numpy(waveform)[None], SOUND)
    with torch.inference_mode():
        seen = readers.see(frames)
        heard = readers.sound(mel)[0]
    return ClipReading(
        path=path,
        frame_rate=frame_rate,
        ranked={name: _ranked(seen.attributes[name][0], CLASSES[name]) for name in CLASSES},
        sound_class=SOUND_CLASSES[int(heard.argmax())],
        contacts_s=contacts(seen.contact[0].numpy(), frame_rate),
        motion_peaks_s=motion_peaks(frames, frame_rate),
        onsets_s=onsets(waveform, SOUND.sample_rate),
        mouth_F=seen.mouth[0].numpy(),
        envelope_F=envelope(waveform, SOUND.sample_rate, frame_rate, len(frames)),
        temporal=temporal(frames, frame_rate),
        motion=seen.motion[0],
        mel=mel[0],
    )


def pixels_and_samples(path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Frames ``[F, H, W, 3]`` uint8, mono samples ``[n]`` float32 at ``SOUND.sample_rate``, and frames a second."""
    media = read_media(path)
    if media.frames is None or media.sound is None or not media.frame_rate or len(media.frames) < 2:
        raise InvalidRequest(f"{path.name} needs both picture and sound to be measured; make it with both.", field="file")
    mono = media.sound.samples.mean(0)
    return media.frames, soxr.resample(mono, media.sound.sample_rate, SOUND.sample_rate).astype(np.float32), media.frame_rate


def _ranked(logits: torch.Tensor, classes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(classes[int(index)] for index in logits.argsort(descending=True))
