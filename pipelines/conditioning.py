"""What steers a clip: the prompt as the transformer's two text streams, and what is given of the clip itself as clean latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import diffusers
import numpy as np
import torch
import transformers
from diffusers.pipelines.ltx2.utils import apply_image_conditioning_crf
from diffusers.video_processor import VideoProcessor
from PIL import Image

from pipelines.models.ltx2.encode import encode_frames
from pipelines.models.ltx2.latents import Beside, Canvas, normalize_video, pack_video
from pipelines.models.ltx2.load import LTX2Model, Reader
from pipelines.optimize.conditioning_cache import Key

_UNHEEDED = 1e-6  # the smallest share of a text: its logarithm has to stay finite in half precision


@dataclass(frozen=True)
class Attention:
    """How much each token of a clip heeds each token of a text: added to the logits of its attention, 0 or below."""

    video_BNS: torch.Tensor
    audio_BLS: torch.Tensor


@dataclass(frozen=True)
class TextConditioning:
    """One prompt after the connectors: tokens for the picture, tokens for the sound, and their shared mask.

    Without ``attention`` all of the clip heeds all of it.
    """

    video_BSD: torch.Tensor
    audio_BSD: torch.Tensor
    mask_BS: torch.Tensor
    attention: Attention | None = None

    def tensors(self) -> dict[str, torch.Tensor]:
        """What one text is made of, by field."""
        return {"video_BSD": self.video_BSD, "audio_BSD": self.audio_BSD, "mask_BS": self.mask_BS}


@dataclass(frozen=True)
class Kept:
    """Clean latents of one stream, packed as its tokens: they stay as they are where ``mask_BN`` is 1 and are made where it is 0.

    Between the two a token is drawn towards its clean value and stands that much nearer to time 0.
    """

    clean_BND: torch.Tensor
    mask_BN: torch.Tensor


@dataclass(frozen=True)
class Given:
    """What a clip is given of itself before it is imagined; a stream of which nothing is given is ``None``.

    Tokens of what it is shown ``beside`` itself follow the clip's own in ``video``, kept.
    """

    video: Kept | None = None
    audio: Kept | None = None
    beside: tuple[Beside, ...] = ()


@torch.inference_mode()
def encode_prompt(model: LTX2Model | Reader, text: str) -> TextConditioning:
    """Prompt -> all hidden states of the text encoder -> connectors.

    Source: ``LTX2Pipeline._get_gemma_prompt_embeds`` of diffusers 0.42.1 (left padding, every layer's states packed).
    """
    tokenizer, text_encoder = model.text.tokenizer, model.text.text_encoder
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
    encoded = text_encoder(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, output_hidden_states=True)
    states_BSD = torch.stack(encoded.hidden_states, dim=-1).flatten(2, 3).to(text_encoder.dtype)
    video, audio, mask = model.text.connectors(states_BSD, tokens.attention_mask, padding_side="left")
    return TextConditioning(video, audio, mask)


def key_of(model: LTX2Model, text: str) -> Key:
    """Names what ``encode_prompt`` gives."""
    software = f"torch {torch.__version__}, transformers {transformers.__version__}, diffusers {diffusers.__version__}"
    return Key(text.strip(), model.text_sha256, str(model.dtype), model.device.type, software)


def over_time(texts: Sequence[TextConditioning], shares: Shares) -> TextConditioning:
    """Several texts as one, each heeded by the tokens of its own time (``shares``) only.

    The texts' tokens lie one after another, and a token's attention to text k gets ``log(share_k)``: where two texts meet, the
    attention is that to a mixture of both. One evaluation, whatever the number of texts.
    """
    lengths = torch.tensor([text.mask_BS.shape[1] for text in texts], device=texts[0].mask_BS.device)

    def logits(share_KN: torch.Tensor) -> torch.Tensor:
        return share_KN.to(lengths.device).clamp(min=_UNHEEDED).log().T.repeat_interleave(lengths, dim=1).unsqueeze(0)

    video, audio, mask = (
        torch.cat([getattr(text, name) for text in texts], dim=1) for name in ("video_BSD", "audio_BSD", "mask_BS")
    )
    return TextConditioning(video, audio, mask, Attention(logits(shares.video_KN), logits(shares.audio_KL)))


@dataclass(frozen=True)
class Shares:
    """How much of each token of picture and sound belongs to each of K texts; every token's shares are 1 together."""

    video_KN: torch.Tensor
    audio_KL: torch.Tensor

    @classmethod
    def of(cls, model: LTX2Model, canvas: Canvas, bounds_s: Sequence[float]) -> Shares:
        """Of K texts that follow one another at ``bounds_s`` (K - 1 rising times); a token that spans a bound has two."""
        step = model.vae.temporal_compression_ratio
        ends = (
            torch.arange(canvas.frames) * step + 1
        ) / canvas.frame_rate  # the first latent frame is one frame, the others many
        begins = torch.cat([torch.zeros(1), ends[:-1]])
        audio_s = canvas.duration_s * torch.arange(canvas.audio_frames + 1) / canvas.audio_frames
        pixels = canvas.height * canvas.width
        return cls(_shares(begins, ends, bounds_s).repeat_interleave(pixels, dim=1), _shares(audio_s[:-1], audio_s[1:], bounds_s))


def _shares(begins: torch.Tensor, ends: torch.Tensor, bounds_s: Sequence[float]) -> torch.Tensor:
    """``[K, N]``: the share of each interval that lies between neighbouring bounds."""
    past = torch.stack([((ends - bound) / (ends - begins)).clamp(0, 1) for bound in bounds_s])  # of each token after each bound
    edges = torch.cat([torch.ones(1, len(begins)), past, torch.zeros(1, len(begins))])
    return edges[:-1] - edges[1:]


def encode_ends(model: LTX2Model, canvas: Canvas, first: Image.Image | None, last: Image.Image | None) -> Kept:
    """RGB images, at least one, as the clip's clean first and last latent frames, cut in the middle and scaled to the canvas.

    A latent frame after the first stands for several frames: the last is that of a clip which has come to rest on its image.
    """
    ends = {}
    if first is not None:
        ends[0] = _resting(model, first, canvas, 1)[:, :, 0]
    if last is not None:
        ends[canvas.frames - 1] = _resting(model, last, canvas, 1 + model.vae.temporal_compression_ratio)[:, :, -1]
    some = next(iter(ends.values()))
    clean = some.unsqueeze(2).repeat(1, 1, canvas.frames, 1, 1)
    mask = torch.zeros(1, 1, canvas.frames, canvas.height, canvas.width, device=clean.device)
    for frame, latents in ends.items():
        clean[:, :, frame], mask[:, :, frame] = latents, 1.0
    return Kept(pack_video(clean), pack_video(mask).squeeze(-1))


@torch.inference_mode()
def _resting(model: LTX2Model, image: Image.Image, canvas: Canvas, num_frames: int) -> torch.Tensor:
    """Latents ``[1, C, F, H, W]`` of ``num_frames`` that all show ``image``."""
    spatial = model.vae.spatial_compression_ratio
    height, width = canvas.height * spatial, canvas.width * spatial
    if crf := model.spec.image_crf:
        image = Image.fromarray(apply_image_conditioning_crf(np.array(image.convert("RGB")), crf))
    pixels = VideoProcessor(vae_scale_factor=spatial).preprocess(cover(image, height, width), height=height, width=width)
    film = pixels.to(model.device, model.vae.dtype).unsqueeze(2).repeat(1, 1, num_frames, 1, 1)
    return normalize_video(model, model.vae.encode(film).latent_dist.mode().float())


def give_references(model: LTX2Model, shown: Sequence[np.ndarray], canvas: Canvas, given: Given, scale: int = 1) -> Given:
    """``given`` with clips ``[F, H, W, 3]`` uint8 shown beside it, each ``scale`` times smaller than the clip a side.

    Source: ``LTX2InContextPipeline._encode_reference_conditions`` of diffusers 0.42.1, at full strength.
    """
    tokens = [encode_frames(model, frames) for frames in shown]
    spatial, temporal = model.vae.spatial_compression_ratio, model.vae.temporal_compression_ratio
    beside = tuple(
        Beside((len(frames) - 1) // temporal + 1, frames.shape[1] // spatial, frames.shape[2] // spatial, scale)
        for frames in shown
    )
    video = given.video
    if video is None:
        empty = tokens[0].new_zeros(1, canvas.cells, tokens[0].shape[2])
        video = Kept(empty, empty[..., 0])
    clean = torch.cat([video.clean_BND, *tokens], dim=1)
    mask = torch.cat([video.mask_BN, *(torch.ones_like(each[..., 0]) for each in tokens)], dim=1)
    return Given(Kept(clean, mask), given.audio, beside)


def cover(image: Image.Image, height: int, width: int) -> Image.Image:
    """``image`` scaled to fill ``height x width`` and cut in the middle, so that nothing is stretched."""
    scale = max(width / image.width, height / image.height)
    size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    scaled = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    left, top = (scaled.width - width) // 2, (scaled.height - height) // 2
    return scaled.crop((left, top, left + width, top + height))
