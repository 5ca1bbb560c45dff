"""A decoder run through time in steps gives what it gives of the whole clip."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLLTX2Video

from pipelines.optimize.streaming import Steps, draw_noise, stream
from pipelines.registry import POCKET_FOLDER

NEAR = 3e-5


def twin(**changes: Any) -> AutoencoderKLLTX2Video:
    """The layout of LTX-2's video VAE, small."""
    torch.manual_seed(3)
    settings: dict[str, Any] = dict(
        latent_channels=8, block_out_channels=(16, 32, 32, 32), layers_per_block=(1, 1, 1, 1, 1),
        decoder_block_out_channels=(8, 16, 32), decoder_layers_per_block=(2, 1, 1, 2), decoder_causal=False,
        patch_size=4, spatial_compression_ratio=32, temporal_compression_ratio=8,
    )  # fmt: skip
    return AutoencoderKLLTX2Video(**(settings | changes)).eval()


def noisy(**changes: Any) -> AutoencoderKLLTX2Video:
    """One that is told a timestep and adds noise."""
    vae = twin(timestep_conditioning=True, decoder_inject_noise=(True, False, True, True), **changes)
    for name, parameter in vae.decoder.named_parameters():
        if "per_channel_scale" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return vae


@torch.inference_mode()
def both(vae: AutoencoderKLLTX2Video, latents: torch.Tensor, most_bytes: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The whole at once, and the parts."""
    timestep = torch.full((latents.shape[0],), 0.05) if vae.config.timestep_conditioning else None
    torch.manual_seed(11)
    whole = vae.decode(latents, timestep, return_dict=False)[0]
    torch.manual_seed(11)
    noise = draw_noise(vae.decoder, *latents.shape[-2:], latents)
    return whole, list(stream(vae.decoder, latents, timestep, Steps(most_bytes, vae.decoder.is_causal, noise)))


@pytest.mark.parametrize("most_bytes", [1, 100_000, 2**40])
@pytest.mark.parametrize("make", [twin, noisy])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_the_parts_are_the_whole(most_bytes: int, make: Any, causal: bool, padding: str) -> None:
    vae = make(decoder_causal=causal, decoder_spatial_padding_mode=padding)
    whole, parts = both(vae, torch.randn(2, 8, 5, 3, 4), most_bytes)
    assert whole.shape == (2, 3, 33, 96, 128) and whole.std() > 0.01
    assert len(parts) >= (8 if most_bytes == 1 else 1)
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, rtol=1e-4, atol=NEAR)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips(frames: int) -> None:
    whole, parts = both(twin(), torch.randn(1, 8, frames, 2, 2), 1)
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, rtol=1e-4, atol=NEAR)


@pytest.mark.parametrize("kind", ["spatial", "temporal"])
def test_other_upsamplers(kind: str) -> None:
    vae = twin(upsample_type=(kind, "spatiotemporal", kind), upsample_residual=(True, False, True), upsample_factor=(1, 1, 1))
    whole, parts = both(vae, torch.randn(1, 8, 3, 2, 2), 1)
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, rtol=1e-4, atol=NEAR)


def test_the_embedded_model() -> None:
    vae = AutoencoderKLLTX2Video.from_pretrained(POCKET_FOLDER / "vae").eval()
    whole, parts = both(vae, torch.randn(1, vae.config.latent_channels, 6, 3, 3), 100_000)
    assert len(parts) > 3
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, rtol=1e-4, atol=NEAR)


def test_other_noise_is_noticed() -> None:
    vae = noisy()
    latents = torch.randn(1, 8, 2, 2, 2)
    whole, _ = both(vae, latents, 1)
    torch.manual_seed(12)
    noise = draw_noise(vae.decoder, 2, 2, latents)
    with torch.inference_mode():
        parts = list(stream(vae.decoder, latents, torch.full((1,), 0.05), Steps(1, False, noise)))
    assert (torch.cat(parts, dim=2) - whole).abs().max() > 1e-3
