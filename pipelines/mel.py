"""The one place where a waveform becomes the mel spectrogram that an audio VAE reads and a vocoder turns back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import librosa
import torch
import torch.nn.functional as functional

_FLOOR = 1e-5


@dataclass(frozen=True)
class Mel:
    """How sound becomes a mel spectrogram: rates in Hz, lengths in samples; the log magnitude's ``centre`` and ``spread``.

    As it stands it is the embedded model's; its values then lie at about -1.7..2.5.
    """

    sample_rate: int = 16_000
    mel_bins: int = 64
    hop_length: int = 256
    window_length: int = 1024
    centre: float = -6.5
    spread: float = 3.0


def log_mel(waveform_BN: torch.Tensor, sound: Mel, frames: int | None = None) -> torch.Tensor:
    """``[B, n]`` samples to ``[B, 1, T, M]``, scaled natural log of mel magnitude.

    Frame ``i`` is centred on samples ``i*hop .. (i+1)*hop``, so that a vocoder's output lines up with its input.
    """
    margin = (sound.window_length - sound.hop_length) // 2
    if frames is not None:
        wanted = frames * sound.hop_length
        waveform_BN = functional.pad(waveform_BN, (0, max(0, wanted - waveform_BN.shape[1])))[:, :wanted]
    padded = functional.pad(waveform_BN.unsqueeze(1), (margin, margin), mode="reflect").squeeze(1)
    window = torch.hann_window(sound.window_length, device=padded.device)
    spectrum = torch.stft(padded, sound.window_length, sound.hop_length, window=window, center=False, return_complex=True)
    mel = torch.matmul(_filters(sound).to(padded.device), spectrum.abs())
    scaled: torch.Tensor = (torch.log(mel.clamp(min=_FLOOR)) - sound.centre) / sound.spread
    return scaled.transpose(1, 2).unsqueeze(1)


@lru_cache(maxsize=4)
def _filters(sound: Mel) -> torch.Tensor:
    with torch.inference_mode(False):  # kept for whoever comes next, who may train through it
        return torch.from_numpy(librosa.filters.mel(sr=sound.sample_rate, n_fft=sound.window_length, n_mels=sound.mel_bins))
