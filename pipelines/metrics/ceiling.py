"""The ceiling: what the measures say of perfect clips that went through the model's own codecs and the MP4's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipelines.clip_io import Origin, write_clip
from pipelines.clip_io import Sound as Samples
from pipelines.contract import GenerationRequest, InvalidRequest
from pipelines.mel import Mel, log_mel
from pipelines.world import WorldClip


@dataclass(frozen=True)
class Restored:
    """A clip after both codecs: ``frames`` ``[F, H, W, 3]`` uint8, ``waveform`` ``[n]``, and what was lost.

    ``psnr_db`` is of the pixels, ``mel_distance`` the mean absolute difference of ``log_mel``.
    """

    frames: np.ndarray
    waveform: np.ndarray
    psnr_db: float
    mel_distance: float


def sound_of(model: Any) -> Mel:
    """How ``model`` hears. Raises ``InvalidRequest`` for a model that was not trained on the procedural world's sound."""
    config, expected = model.audio_vae.config, Mel()
    heard = Mel(config.sample_rate, config.mel_bins, config.mel_hop_length)
    if heard != expected or model.vocoder.config.out_channels != 1:
        raise InvalidRequest(
            f"{model.spec.title} was not trained on the procedural world, so there is no truth to measure it by; use 'pocket'.",
            field="model",
        )
    return heard


@torch.inference_mode()
def restore(model: Any, clip: WorldClip) -> Restored:
    """``clip`` encoded and decoded by the model's video VAE, and by its audio VAE and vocoder."""
    sound = sound_of(model)
    pixels = torch.from_numpy(clip.frames).to(model.device, model.dtype).permute(3, 0, 1, 2)[None] / 127.5 - 1
    decoded = model.vae.decode(model.vae.encode(pixels).latent_dist.mode(), None, return_dict=False)[0]
    frames = ((decoded[0].permute(1, 2, 3, 0).float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    mel = log_mel(torch.from_numpy(clip.waveform).to(model.device)[None], sound)
    remade = model.audio_vae.decode(model.audio_vae.encode(mel.to(model.dtype)).latent_dist.mode(), return_dict=False)[0]
    waveform = model.vocoder(remade)[0].float().mean(0)
    heard = log_mel(waveform[None], sound)
    shared = min(heard.shape[2], mel.shape[2])
    distance = (heard[:, :, :shared] - mel[:, :, :shared]).abs().mean()
    error = np.square(frames.astype(np.float64) - clip.frames).mean()
    psnr_db = 10 * np.log10(255**2 / max(error, 1e-6))
    return Restored(frames, waveform.cpu().numpy(), float(psnr_db), float(distance))


def save(path: Path, frames: np.ndarray, waveform: np.ndarray, request: GenerationRequest) -> None:
    """Write a clip that no model made as the studio writes those of ``request``."""
    origin = Origin(request, model_sha256="", code_version="")
    write_clip(path, frames, Samples(waveform[None], Mel().sample_rate), origin)
