"""What steers a clip: the prompt as the transformer's two text streams, and what is given of the clip itself as clean latents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers.pipelines.ltx2.utils import apply_image_conditioning_crf
from diffusers.video_processor import VideoProcessor
from PIL import Image

from pipelines.models.ltx2.latents import Canvas, normalize_video, pack_video
from pipelines.models.ltx2.load import LTX2Model


@dataclass(frozen=True)
class TextConditioning:
    """One prompt after the connectors: tokens for the picture, tokens for the sound, and their shared mask."""

    video_BSD: torch.Tensor
    audio_BSD: torch.Tensor
    mask_BS: torch.Tensor


@dataclass(frozen=True)
class Kept:
    """Clean latents of one stream, packed as its tokens: they stay as they are where ``mask_BN`` is 1 and are made where it is 0.

    Between the two a token is drawn towards its clean value and stands that much nearer to time 0.
    """

    clean_BND: torch.Tensor
    mask_BN: torch.Tensor


@dataclass(frozen=True)
class Given:
    """What a clip is given of itself before it is imagined; a stream of which nothing is given is ``None``."""

    video: Kept | None = None
    audio: Kept | None = None


@torch.inference_mode()
def encode_prompt(model: LTX2Model, text: str) -> TextConditioning:
    """Prompt -> all hidden states of the text encoder -> connectors.

    Source: ``LTX2Pipeline._get_gemma_prompt_embeds`` of diffusers 0.42.1 (left padding, every layer's states packed).
    """
    tokenizer = model.tokenizer
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokens = tokenizer(
        [text.strip()],
        padding="max_length",
        max_length=model.max_prompt_tokens,
        truncation=True,
        add_special_tokens=True,
        return_tensors="pt",
    ).to(model.device)
    encoded = model.text_encoder(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, output_hidden_states=True)
    states_BSD = torch.stack(encoded.hidden_states, dim=-1).flatten(2, 3).to(model.text_encoder.dtype)
    video, audio, mask = model.connectors(states_BSD, tokens.attention_mask, padding_side="left")
    return TextConditioning(video, audio, mask)


@torch.inference_mode()
def encode_first_frame(model: LTX2Model, image: Image.Image, canvas: Canvas) -> Kept:
    """An RGB image as the clip's clean first latent frame, cropped in the middle and scaled to the canvas."""
    spatial = model.vae.spatial_compression_ratio
    height, width = canvas.height * spatial, canvas.width * spatial
    if crf := model.spec.image_crf:
        image = Image.fromarray(apply_image_conditioning_crf(np.array(image.convert("RGB")), crf))
    pixels = VideoProcessor(vae_scale_factor=spatial).preprocess(cover(image, height, width), height=height, width=width)
    latents = model.vae.encode(pixels.to(model.device, model.vae.dtype).unsqueeze(2)).latent_dist.mode().float()
    clean = normalize_video(model, latents).repeat(1, 1, canvas.frames, 1, 1)
    mask = torch.zeros(1, 1, canvas.frames, canvas.height, canvas.width, device=clean.device)
    mask[:, :, 0] = 1.0
    return Kept(pack_video(clean), pack_video(mask).squeeze(-1))


def cover(image: Image.Image, height: int, width: int) -> Image.Image:
    """``image`` scaled to fill ``height x width`` and cut in the middle, so that nothing is stretched."""
    scale = max(width / image.width, height / image.height)
    size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    scaled = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    left, top = (scaled.width - width) // 2, (scaled.height - height) // 2
    return scaled.crop((left, top, left + width, top + height))
