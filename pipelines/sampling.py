"""The denoising loop for picture and sound together, as a generator that can be watched and closed at every step."""

from __future__ import annotations

import copy
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.ltx2.pipeline_ltx2 import calculate_shift
from diffusers.utils.torch_utils import randn_tensor
from torch.nn.functional import pad

from pipelines.conditioning import Given, Kept, TextConditioning
from pipelines.guidance import Guidance, Predictions, guide
from pipelines.models.ltx2.latents import Canvas, pack_audio, pack_video
from pipelines.models.ltx2.load import LTX2Model

_MASKED = -10000.0  # what diffusers adds to the logits of a masked token
_Both = tuple[torch.Tensor | None, torch.Tensor | None]


@dataclass(frozen=True)
class Steering:
    """Everything that shapes a run beside the noise; ``negative`` is needed where guidance is above 1.

    ``video`` and ``audio`` are what is given of either stream.
    """

    positive: TextConditioning
    negative: TextConditioning | None = None
    video: Kept | None = None
    audio: Kept | None = None
    guidance: Guidance = Guidance()


@dataclass(frozen=True)
class Latents:
    """Packed, normalised latents of both streams: ``video_BND`` and ``audio_BND``."""

    video_BND: torch.Tensor
    audio_BND: torch.Tensor


@dataclass(frozen=True)
class DenoiseStep:
    """One finished step and what the clip would be if it ended here."""

    index: int
    total: int
    clean: Latents


@dataclass
class _Pass:
    """The arguments of a step's transformer calls that do not change between steps."""

    model: LTX2Model
    canvas: Canvas
    steering: Steering

    def __post_init__(self) -> None:
        transformer, canvas, device = self.model.transformer, self.canvas, self.model.device
        self.video_coords = transformer.rope.prepare_video_coords(
            1, canvas.frames, canvas.height, canvas.width, device, fps=canvas.frame_rate
        )
        self.audio_coords = transformer.audio_rope.prepare_audio_coords(1, canvas.audio_frames, device)

    def velocity(
        self, now: Latents, timestep: torch.Tensor, texts: Sequence[TextConditioning], **changes: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One transformer call for a batch of ``texts`` over the same latents; velocities of both streams in fp32."""
        batch, canvas, dtype = len(texts), self.canvas, self.model.dtype
        timestep = timestep.expand(batch)
        call = dict(
            hidden_states=now.video_BND.to(dtype).expand(batch, -1, -1),
            audio_hidden_states=now.audio_BND.to(dtype).expand(batch, -1, -1),
            **_heard(texts, dtype),
            timestep=timestep,
            sigma=timestep,
            num_frames=canvas.frames,
            height=canvas.height,
            width=canvas.width,
            fps=canvas.frame_rate,
            audio_num_frames=canvas.audio_frames,
            video_coords=self.video_coords.expand(batch, *self.video_coords.shape[1:]),
            audio_coords=self.audio_coords.expand(batch, *self.audio_coords.shape[1:]),
            use_cross_timestep=self.model.spec.use_cross_timestep,
            return_dict=False,
        )
        # Kept tokens are clean, so they stand at time 0 while the rest of the clip is at `timestep`.
        streams = ("timestep", self.steering.video), ("audio_timestep", self.steering.audio)
        if any(kept is not None for _, kept in streams):
            call |= {name: timestep if kept is None else timestep.unsqueeze(-1) * (1 - kept.mask_BN) for name, kept in streams}
        video, audio = self.model.transformer(**call | changes)
        return video.float(), audio.float()


def _heard(texts: Sequence[TextConditioning], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """A batch of texts as the transformer takes it; texts of unequal lengths are filled up with tokens that nobody heeds."""
    if all(text.attention is None for text in texts):
        video, audio, mask = (torch.cat([getattr(t, name) for t in texts]) for name in ("video_BSD", "audio_BSD", "mask_BS"))
        return _as_arguments(video, audio, mask, mask)
    longest = max(text.mask_BS.shape[1] for text in texts)
    spare = [longest - text.mask_BS.shape[1] for text in texts]
    video, audio = (
        torch.cat([pad(getattr(text, name), (0, 0, 0, more)) for text, more in zip(texts, spare, strict=True)])
        for name in ("video_BSD", "audio_BSD")
    )

    def logits(text: TextConditioning, name: str, tokens: int, more: int) -> torch.Tensor:
        masked = _MASKED * (1 - text.mask_BS.to(dtype)).unsqueeze(1)
        heeded = masked if text.attention is None else masked + getattr(text.attention, name).to(dtype)
        return pad(heeded.expand(-1, tokens, -1), (0, more), value=_MASKED)

    attention = next(text.attention for text in texts if text.attention is not None)
    lengths = {"video_BNS": attention.video_BNS.shape[1], "audio_BLS": attention.audio_BLS.shape[1]}
    masks = [
        torch.cat([logits(text, name, tokens, more) for text, more in zip(texts, spare, strict=True)])
        for name, tokens in lengths.items()
    ]
    return _as_arguments(video, audio, *masks)


def _as_arguments(
    video: torch.Tensor, audio: torch.Tensor, video_mask: torch.Tensor, audio_mask: torch.Tensor
) -> dict[str, torch.Tensor]:
    return {
        "encoder_hidden_states": video,
        "audio_encoder_hidden_states": audio,
        "encoder_attention_mask": video_mask,
        "audio_encoder_attention_mask": audio_mask,
    }


def noise(model: LTX2Model, canvas: Canvas, seed: int) -> Latents:
    """Gaussian latents of ``seed``, drawn on the CPU so that every device starts from the same ones."""
    generator = torch.Generator().manual_seed(seed)
    bins = model.audio_vae.config.mel_bins // model.audio_vae.mel_compression_ratio
    video_shape = (1, model.transformer.config.in_channels, canvas.frames, canvas.height, canvas.width)
    audio_shape = (1, model.audio_vae.config.latent_channels, canvas.audio_frames, bins)
    video = randn_tensor(video_shape, generator=generator, device=model.device, dtype=torch.float32)
    audio = randn_tensor(audio_shape, generator=generator, device=model.device, dtype=torch.float32)
    return Latents(pack_video(video), pack_audio(audio))


def schedule(model: LTX2Model, video_tokens: int, *, steps: int, sigmas: Sequence[float] | None) -> Any:
    """A scheduler of our own, its sigmas set.

    Given ``sigmas`` are taken as they are: dynamic shifting would silently bend a distilled schedule.
    """
    if sigmas is not None:
        fixed = type(model.scheduler).from_config(
            model.scheduler.config, use_dynamic_shifting=False, shift_terminal=None, shift=1.0
        )
        fixed.set_timesteps(sigmas=list(sigmas), device=model.device)
        return fixed
    scheduler = copy.deepcopy(model.scheduler)
    config = scheduler.config
    mu = calculate_shift(video_tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu, device=model.device)
    return scheduler


@torch.inference_mode()
def predict(run: _Pass, now: Latents, timestep: torch.Tensor, sigma: torch.Tensor) -> Latents:
    """The guided clean-sample predictions of both streams at one noise level."""
    steering, guidance = run.steering, run.steering.guidance

    def clean(velocities: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return now.video_BND - velocities[0] * sigma, now.audio_BND - velocities[1] * sigma

    negative: _Both = (None, None)
    perturbed: _Both = (None, None)
    isolated: _Both = (None, None)
    if guidance.needs_negative:
        assert steering.negative is not None, "guidance above 1 needs an encoded negative prompt"
        both = clean(run.velocity(now, timestep, [steering.negative, steering.positive]))
        negative, positive = (both[0][:1], both[1][:1]), (both[0][1:], both[1][1:])
    else:
        positive = clean(run.velocity(now, timestep, [steering.positive]))
    if guidance.needs_perturbed:
        blocks = list(guidance.stg_blocks)
        perturbed = clean(run.velocity(now, timestep, [steering.positive], spatio_temporal_guidance_blocks=blocks))
    if guidance.needs_isolated:
        isolated = clean(run.velocity(now, timestep, [steering.positive], isolate_modalities=True))
    streams = zip(positive, negative, perturbed, isolated, strict=True)
    video, audio = (Predictions(*stream) for stream in streams)
    return Latents(guide(video, guidance.video), guide(audio, guidance.audio))


@torch.inference_mode()
def _advance(scheduler: Any, index: int, sample: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    velocity = (sample - clean) / scheduler.sigmas[index]
    stepped: torch.Tensor = scheduler.step(velocity, scheduler.timesteps[index], sample, return_dict=False)[0]
    return stepped


def begun(scheduler: Any, noise: Latents, given: Given, change: float) -> tuple[int, Latents]:
    """Where a clip that may leave what is given of it by ``change``, 0..1, begins: the step, and the latents at its noise.

    At 1 that is the first step and pure ``noise``; below it is the first step whose noise is no more than ``change``, and what
    is given, noised that far (Meng et al. 2021, "SDEdit", arXiv:2108.01073). One step at least is always left.
    """
    if change >= 1:
        return 0, noise
    sigmas = [float(sigma) for sigma in scheduler.sigmas[:-1]]
    begin = next((index for index, sigma in enumerate(sigmas) if sigma <= change + 1e-6), len(sigmas) - 1)

    def at_noise(kept: Kept | None, fresh: torch.Tensor) -> torch.Tensor:
        return fresh if kept is None else torch.lerp(kept.clean_BND, fresh, sigmas[begin])

    return begin, Latents(at_noise(given.video, noise.video_BND), at_noise(given.audio, noise.audio_BND))


def denoise(
    model: LTX2Model, canvas: Canvas, start: Latents, steering: Steering, scheduler: Any, *, begin: int = 0
) -> Generator[DenoiseStep, None, Latents]:
    """From ``start``, which stands at the noise of step ``begin``, to clean packed latents; can be closed after every step.

    Equal to ``LTX2Pipeline`` and, with a first frame, to ``LTX2ImageToVideoPipeline`` on the same weights.
    """
    run = _Pass(model, canvas, steering)
    audio_scheduler = copy.deepcopy(scheduler)  # each scheduler counts its own steps
    scheduler.set_begin_index(begin)
    audio_scheduler.set_begin_index(begin)
    now = Latents(_keep(steering.video, start.video_BND), _keep(steering.audio, start.audio_BND))
    total = len(scheduler.timesteps) - begin
    for index in range(begin, len(scheduler.timesteps)):
        clean = predict(run, now, scheduler.timesteps[index], scheduler.sigmas[index])
        now = Latents(
            _keep(steering.video, _advance(scheduler, index, now.video_BND, clean.video_BND)),
            _keep(steering.audio, _advance(audio_scheduler, index, now.audio_BND, clean.audio_BND)),
        )
        yield DenoiseStep(index - begin + 1, total, clean)
    return now


def _keep(kept: Kept | None, tokens_BND: torch.Tensor) -> torch.Tensor:
    """``tokens_BND`` with what is kept put back to its clean values."""
    if kept is None:
        return tokens_BND
    mask = kept.mask_BN.unsqueeze(-1)
    return kept.clean_BND * mask + tokens_BND * (1 - mask)
