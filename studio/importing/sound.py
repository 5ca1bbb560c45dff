"""The sound of a foreign file as one or two channels, each sample at its time beside the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np

from pipelines.clip_io import FILE_SAMPLE_RATE, Sound
from studio.importing.decoding import Decoder
from studio.importing.probe import check_length

_GAP_S = 0.05  # what stands nearer than this to where it belongs is only rounding
_WORTH_TELLING_S = 0.1
_LONGER_S = 1.0  # a picture that is just short enough may have sound that is cut to it


@dataclass(frozen=True)
class Track:
    """Sound, and what a person should know of how it was made."""

    sound: Sound
    notices: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Seconds."""
        return self.sound.samples.shape[1] / self.sound.sample_rate


class _Mixer:
    """Blocks of any layout and format as float samples ``[1 or 2, n]`` at the rate of the first."""

    def __init__(self, first: Any) -> None:
        self.rate, self.channels = first.sample_rate, first.layout.nb_channels
        self._layout = "mono" if self.channels == 1 else "stereo"
        self._kind: Any = None

    def mix(self, frame: Any) -> np.ndarray:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:  # a broadcast may change its mind
            self._kind, self._resampler = kind, av.AudioResampler("fltp", self._layout, self.rate)
        frame.pts = None
        parts = [part.to_ndarray() for part in self._resampler.resample(frame)]
        return np.concatenate([np.zeros((1 if self.channels == 1 else 2, 0), np.float32), *parts], axis=1)


def track_of(blocks: Decoder, start_s: float | None, max_seconds: float) -> Track | None:
    """The sound from ``start_s`` on (``None``: from its own beginning), or ``None`` where nothing can be decoded.

    Raises ``Refusal`` where it lasts longer than ``max_seconds``.
    """
    parts: list[np.ndarray] = []
    mixer, written, before_s = None, 0, 0.0
    for frame in blocks:
        moment = frame.time
        if mixer is None:
            mixer = _Mixer(frame)
            start_s = max(moment or 0.0, 0.0) if start_s is None else start_s
            before_s = start_s - max(moment or 0.0, 0.0)
        place = written if moment is None or start_s is None else round((moment - start_s) * mixer.rate)
        check_length(place / mixer.rate - _LONGER_S, max_seconds)
        samples = mixer.mix(frame)
        slack = _GAP_S * mixer.rate if written else 0
        if place > written + slack:
            parts.append(np.zeros((len(samples), place - written), np.float32))
            written = place
        elif place < written - slack:
            samples = samples[:, written - place :]
        parts.append(samples)
        written += samples.shape[1]
    if mixer is None or not written:
        return None
    whole = np.nan_to_num(np.concatenate(parts, axis=1), posinf=1.0, neginf=-1.0).clip(-1, 1)
    return Track(Sound(whole, mixer.rate), tuple(_notices(mixer, before_s, is_damaged=blocks.damaged > 0)))


def _notices(mixer: _Mixer, before_s: float, *, is_damaged: bool) -> list[str]:
    told = []
    if mixer.channels > 2:
        told.append(f"The sound was mixed down from {mixer.channels} channels to stereo.")
    if mixer.rate != FILE_SAMPLE_RATE:
        told.append(f"The sound was brought from {mixer.rate:,} to {FILE_SAMPLE_RATE:,} samples a second.")
    if before_s > _WORTH_TELLING_S:
        told.append(f"The first {before_s:.1f} s, which have sound and no picture, were left out.")
    if is_damaged:
        told.append("Parts of the sound are damaged in the file and are silent now.")
    return told
