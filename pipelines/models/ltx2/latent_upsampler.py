"""The net that makes latents twice as wide and high, between the two stages of a clip."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.pipelines.ltx2 import LTX2LatentUpsamplerModel

from pipelines.contract import ModelNotFound
from pipelines.models.ltx2.latents import Canvas, denormalize_video, normalize_video, pack_video, unpack_video
from pipelines.models.ltx2.load import LTX2Model


def load_latent_upsampler(model: LTX2Model) -> Any:
    """The one in the model's own folder, on its device and frozen. Raises ``ModelNotFound`` where it cannot be loaded."""
    spec = model.spec
    try:
        network = LTX2LatentUpsamplerModel.from_pretrained(
            spec.source, subfolder="latent_upsampler", torch_dtype=model.dtype, local_files_only=spec.is_local
        )
    except (OSError, ValueError) as error:
        raise ModelNotFound(
            f"{spec.title}: its latent upsampler could not be loaded; install the model again, or use stages 1.", field="model"
        ) from error
    return network.to(model.device).eval().requires_grad_(False)


@torch.inference_mode()
def upsample(model: LTX2Model, network: Any, tokens_BND: torch.Tensor, canvas: Canvas) -> torch.Tensor:
    """Packed, normalised latents of ``canvas`` to those of twice its height and width, float32.

    As ``LTX2LatentUpsamplePipeline`` of diffusers 0.42.1: the net works on latents as the VAE makes them.
    """
    latents_BCFHW = denormalize_video(model, unpack_video(tokens_BND, canvas))
    larger = network(latents_BCFHW.to(network.dtype)).float()
    return pack_video(normalize_video(model, larger))
