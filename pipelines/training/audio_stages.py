"""Training of the sound side: the audio VAE on spectrograms, the vocoder from spectrograms to samples."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers import AutoencoderKLLTX2Audio
from diffusers.pipelines.ltx2 import LTX2Vocoder

from pipelines.mel import log_mel
from pipelines.training.losses import kl, multi_resolution_stft
from pipelines.training.recipes import Optimization, Recipe
from pipelines.world.scene import sample
from pipelines.world.sounds import synthesize

_KL_WEIGHT = 1e-4
_VAE_FRAMES = 49
_VOCODER_FRAMES = 32


class AudioVAEStage:
    """Reconstruction of mel spectrograms, a random second at a time."""

    name = "audio_vae"

    def __init__(self, model: AutoencoderKLLTX2Audio, recipe: Recipe, seed: int) -> None:
        self.model, self._recipe = model, recipe
        self.optimization: Optimization = recipe.audio_vae
        self.rng = np.random.default_rng(seed)

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Absolute and squared error, and KL."""
        device = next(self.model.parameters()).device
        waveform = draw_sounds(self._recipe, self.rng, self.optimization.batch_size, _VAE_FRAMES).to(device)
        mel = log_mel(waveform, self._recipe.sound, _VAE_FRAMES)
        posterior = self.model.encode(mel).latent_dist
        made = self.model.decode(posterior.sample(), return_dict=False)[0][:, :, : mel.shape[2]]
        absolute, divergence = functional.l1_loss(made, mel), kl(posterior.mean, posterior.logvar)
        return {"loss": absolute + functional.mse_loss(made, mel) + _KL_WEIGHT * divergence, "l1": absolute, "kl": divergence}


class VocoderStage:
    """Samples from true spectrograms, judged by their spectra at three resolutions."""

    name = "vocoder"

    def __init__(self, model: LTX2Vocoder, recipe: Recipe, seed: int) -> None:
        self.model, self._recipe = model, recipe
        self.optimization: Optimization = recipe.vocoder
        self.rng = np.random.default_rng(seed)

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Spectral distance, plus the mel distance that a listener hears."""
        device = next(self.model.parameters()).device
        waveform = draw_sounds(self._recipe, self.rng, self.optimization.batch_size, _VOCODER_FRAMES).to(device)
        mel = log_mel(waveform, self._recipe.sound, _VOCODER_FRAMES)
        made = self.model(mel).squeeze(1)
        spectral = multi_resolution_stft(made, waveform)
        heard = functional.l1_loss(log_mel(made, self._recipe.sound, _VOCODER_FRAMES), mel)
        return {"loss": spectral + heard, "mel_l1": heard}


def draw_sounds(recipe: Recipe, rng: np.random.Generator, batch: int, frames: int) -> torch.Tensor:
    """Random stretches of random scenes' sound, ``[B, frames * hop]``, at random levels."""
    wanted = frames * recipe.sound.hop_length
    parts = []
    for _ in range(batch):
        scene = sample(rng)
        while scene.sound == "silence" and rng.random() < 0.8:  # silence is learnt at once; do not spend batches on it
            scene = sample(rng)
        waveform = synthesize(scene, recipe.duration_s, recipe.sound.sample_rate)
        start = int(rng.integers(0, len(waveform) - wanted + 1))
        parts.append(waveform[start : start + wanted])
    return torch.from_numpy(np.stack(parts))
