"""Losses of the training stages."""

from __future__ import annotations

import torch
import torch.nn.functional as functional

_RESOLUTIONS = ((128, 32), (512, 128), (2048, 512))
# Below this a bin is inaudible; a lower floor would spend the loss on the exact shade of silence.
_MAGNITUDE_FLOOR = 1e-2


def weighted_pixels(made: torch.Tensor, wanted: torch.Tensor, importance: torch.Tensor) -> torch.Tensor:
    """Squared and absolute error with an importance per pixel (``[B, 1, F, H, W]``): a small mover must not be averaged away.

    Squared error alone is content with soft edges; the absolute part sharpens them.
    """
    error: torch.Tensor = (made - wanted).square() + 0.3 * (made - wanted).abs()
    return (error * importance).sum() / (importance.sum() * made.shape[1])


def kl(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Mean Kullback-Leibler divergence of a diagonal Gaussian to the standard one, per element."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()


def multi_resolution_stft(made_BN: torch.Tensor, wanted_BN: torch.Tensor) -> torch.Tensor:
    """Spectral convergence plus log-magnitude distance at three resolutions (Yamamoto et al. 2020, arXiv:1910.11480)."""
    total = made_BN.new_zeros(())
    for window_length, hop in _RESOLUTIONS:
        window = torch.hann_window(window_length, device=made_BN.device)
        made, wanted = (
            torch.stft(x, window_length, hop, window=window, return_complex=True).abs().clamp(min=_MAGNITUDE_FLOOR)
            for x in (made_BN, wanted_BN)
        )
        convergence = torch.linalg.norm(wanted - made) / torch.linalg.norm(wanted).clamp(min=1e-3)
        total = total + convergence + functional.l1_loss(torch.log(made), torch.log(wanted))
    return total / len(_RESOLUTIONS)
