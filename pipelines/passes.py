"""The transformer calls of one denoising step: the positive prompt and every guidance branch that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad

from pipelines.conditioning import Kept, TextConditioning
from pipelines.guidance import Branch, Guidance
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model
from pipelines.optimize.blocks import Both, Recorder, Resumer, directed

_MASKED = -10000.0  # what diffusers adds to the logits of a masked token


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


@dataclass
class Passes:
    """A run's transformer calls, with the arguments that do not change between steps."""

    model: LTX2Model
    canvas: Canvas
    steering: Steering

    def __post_init__(self) -> None:
        transformer, canvas, device = self.model.transformer, self.canvas, self.model.device
        self.video_coords = transformer.rope.prepare_video_coords(
            1, canvas.frames, canvas.height, canvas.width, device, fps=canvas.frame_rate
        )
        self.audio_coords = transformer.audio_rope.prepare_audio_coords(1, canvas.audio_frames, device)

    @torch.inference_mode()
    def clean(self, now: Latents, timestep: torch.Tensor, sigma: torch.Tensor, wanted: frozenset[Branch]) -> dict[Branch, Both]:
        """The clean-sample predictions of the positive prompt and of the ``wanted`` branches."""
        found = self.evaluate(now, timestep, wanted | {Branch.POSITIVE})
        return {
            branch: (now.video_BND - video * sigma, now.audio_BND - audio * sigma) for branch, (video, audio) in found.items()
        }

    @torch.inference_mode()
    def evaluate(self, now: Latents, timestep: torch.Tensor, wanted: frozenset[Branch]) -> dict[Branch, Both]:
        """The velocities of the ``wanted`` branches.

        Prompts go through the transformer together. The perturbed branch is the positive one up to the first block that is
        perturbed, and begins there where both are wanted.
        """
        steering, blocks = self.steering, list(self.steering.guidance.stg_blocks)
        prompts = {Branch.NEGATIVE: steering.negative, Branch.POSITIVE: steering.positive}
        texts = {branch: text for branch, text in prompts.items() if branch in wanted and text is not None}
        assert len(texts) == len(wanted & set(prompts)), "guidance above 1 needs an encoded negative prompt"
        recorder = Recorder(min(blocks, default=0))
        shares = {Branch.POSITIVE, Branch.PERTURBED} <= wanted and recorder.at > 0
        found: dict[Branch, Both] = {}
        if texts:
            video, audio = self._watched(recorder if shares else None, now, timestep, list(texts.values()))
            found |= {branch: (video[row : row + 1], audio[row : row + 1]) for row, branch in enumerate(texts)}
        if Branch.PERTURBED in wanted:
            resumer = Resumer(recorder.at, recorder.seen) if recorder.seen else None
            found[Branch.PERTURBED] = self._watched(
                resumer, now, timestep, [steering.positive], spatio_temporal_guidance_blocks=blocks
            )
        if Branch.ISOLATED in wanted:
            found[Branch.ISOLATED] = self._velocity(now, timestep, [steering.positive], isolate_modalities=True)
        return found

    def _watched(self, director: Recorder | Resumer | None, *arguments: Any, **changes: Any) -> Both:
        if director is None:
            return self._velocity(*arguments, **changes)
        with directed(self.model.transformer, director):
            return self._velocity(*arguments, **changes)

    def _velocity(self, now: Latents, timestep: torch.Tensor, texts: Sequence[TextConditioning], **changes: Any) -> Both:
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
