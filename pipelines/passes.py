"""The transformer calls of one denoising step: the positive prompt and every guidance branch that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def of(self, canvas: Canvas) -> Latents:
        """Those of the clip itself, without what is shown beside it."""
        return Latents(self.video_BND[:, : canvas.cells], self.audio_BND) if canvas.beside else self


@dataclass(frozen=True)
class Ask:
    """What a run has to know for its next step: the predictions of the positive prompt and of the ``wanted`` branches."""

    now: Latents
    timestep: torch.Tensor
    sigma: torch.Tensor
    wanted: frozenset[Branch]

    def answer(self, velocities: Mapping[Branch, Both]) -> dict[Branch, Both]:
        """The clean samples that velocities at these latents lead to."""
        video_BND, audio_BND, sigma = self.now.video_BND, self.now.audio_BND, self.sigma
        return {branch: (video_BND - video * sigma, audio_BND - audio * sigma) for branch, (video, audio) in velocities.items()}


@dataclass
class Passes:
    """A run's transformer calls, with the arguments that do not change between steps."""

    model: LTX2Model
    canvas: Canvas
    steering: Steering

    def __post_init__(self) -> None:
        transformer, canvas, device = self.model.transformer, self.canvas, self.model.device
        self.video_coords = canvas.video_coords(transformer.rope, device)
        self.audio_coords = transformer.audio_rope.prepare_audio_coords(1, canvas.audio_frames, device)

    @torch.inference_mode()
    def clean(self, ask: Ask) -> dict[Branch, Both]:
        """The clean-sample predictions of the positive prompt and of the branches that are asked for."""
        return ask.answer(self.evaluate(ask.now, ask.timestep, ask.wanted | {Branch.POSITIVE}))

    @torch.inference_mode()
    def evaluate(self, now: Latents, timestep: torch.Tensor, wanted: frozenset[Branch]) -> dict[Branch, Both]:
        """The velocities of the ``wanted`` branches."""
        return _evaluated([_Member(self, now, timestep, wanted)])[0]


@torch.inference_mode()
def clean_together(asked: Sequence[tuple[Passes, Ask]]) -> list[dict[Branch, Both]]:
    """What ``Passes.clean`` says to each of several runs of one model and canvas, all of them in the same transformer calls."""
    found = _evaluated([_Member(run, ask.now, ask.timestep, ask.wanted | {Branch.POSITIVE}) for run, ask in asked])
    return [ask.answer(velocities) for (_, ask), velocities in zip(asked, found, strict=True)]


@dataclass(frozen=True)
class _Member:
    """One run's part of a step."""

    run: Passes
    now: Latents
    timestep: torch.Tensor
    wanted: frozenset[Branch]

    @property
    def texts(self) -> dict[Branch, TextConditioning]:
        """The prompts that it wants to hear of; the positive one is the last."""
        steering = self.run.steering
        prompts = {Branch.NEGATIVE: steering.negative, Branch.POSITIVE: steering.positive}
        texts = {branch: text for branch, text in prompts.items() if branch in self.wanted and text is not None}
        assert len(texts) == len(self.wanted & set(prompts)), "guidance above 1 needs an encoded negative prompt"
        return texts


_Row = tuple[_Member, TextConditioning]
"""One sample of a transformer call."""


def _evaluated(members: Sequence[_Member]) -> list[dict[Branch, Both]]:
    """The velocities that each member wants, rows of the same kind going through the transformer together.

    A perturbed branch is the positive one up to the first block that is perturbed, and begins there where both are wanted.
    """
    blocks = list(members[0].run.steering.guidance.stg_blocks)
    found: list[dict[Branch, Both]] = [{} for _ in members]
    rows = [(index, branch, text) for index, member in enumerate(members) for branch, text in member.texts.items()]
    perturbed = [index for index, member in enumerate(members) if Branch.PERTURBED in member.wanted]
    sharing = [index for index in perturbed if Branch.POSITIVE in members[index].wanted and min(blocks, default=0) > 0]
    places = [place for place, (index, branch, _) in enumerate(rows) if branch is Branch.POSITIVE and index in sharing]
    recorder = Recorder(min(blocks, default=0), places)
    if rows:
        video, audio = _watched(recorder if sharing else None, [(members[index], text) for index, _, text in rows])
        for row, (index, branch, _) in enumerate(rows):
            found[index][branch] = video[row : row + 1], audio[row : row + 1]

    def positive(which: Sequence[int], branch: Branch, director: Resumer | None = None, **changes: Any) -> None:
        if which:
            video, audio = _watched(
                director, [(members[index], members[index].run.steering.positive) for index in which], **changes
            )
            for row, index in enumerate(which):
                found[index][branch] = video[row : row + 1], audio[row : row + 1]

    alone = [index for index in perturbed if index not in sharing]
    resumer = Resumer(recorder.at, recorder.seen) if recorder.seen else None
    positive(sharing, Branch.PERTURBED, resumer, spatio_temporal_guidance_blocks=blocks)
    positive(alone, Branch.PERTURBED, spatio_temporal_guidance_blocks=blocks)
    isolated = [index for index, member in enumerate(members) if Branch.ISOLATED in member.wanted]
    positive(isolated, Branch.ISOLATED, isolate_modalities=True)
    return found


def _watched(director: Recorder | Resumer | None, rows: Sequence[_Row], **changes: Any) -> Both:
    if director is None:
        return _velocity(rows, **changes)
    with directed(rows[0][0].run.model.transformer, director):
        return _velocity(rows, **changes)


def _velocity(rows: Sequence[_Row], **changes: Any) -> Both:
    """One transformer call; velocities of both streams in fp32, a sample a row."""
    run, members = rows[0][0].run, [member for member, _ in rows]
    batch, canvas, dtype = len(rows), run.canvas, run.model.dtype
    timestep = torch.stack([member.timestep.reshape(()) for member in members])
    call = dict(
        hidden_states=torch.cat([member.now.video_BND for member in members]).to(dtype),
        audio_hidden_states=torch.cat([member.now.audio_BND for member in members]).to(dtype),
        **_heard([text for _, text in rows], dtype, canvas),
        timestep=timestep,
        sigma=timestep,
        num_frames=canvas.frames,
        height=canvas.height,
        width=canvas.width,
        fps=canvas.frame_rate,
        audio_num_frames=canvas.audio_frames,
        video_coords=run.video_coords.expand(batch, *run.video_coords.shape[1:]),
        audio_coords=run.audio_coords.expand(batch, *run.audio_coords.shape[1:]),
        use_cross_timestep=run.model.spec.use_cross_timestep,
        return_dict=False,
    )
    kept = [(member.run.steering.video, member.run.steering.audio) for member in members]
    if any(one is not None for both in kept for one in both):
        call["timestep"] = _clock(timestep, [video for video, _ in kept])
        call["audio_timestep"] = _clock(timestep, [audio for _, audio in kept])
    video, audio = run.model.transformer(**call | changes)
    return video.float(), audio.float()


def _clock(timestep_B: torch.Tensor, kept: Sequence[Kept | None]) -> torch.Tensor:
    """Where each token of a stream stands: what is kept is clean, so at time 0, while the rest of the clip is at its timestep."""
    made = next((1 - torch.zeros_like(one.mask_BN) for one in kept if one is not None), None)
    if made is None:
        return timestep_B
    return timestep_B.unsqueeze(-1) * torch.cat([made if one is None else 1 - one.mask_BN for one in kept])


def _heard(texts: Sequence[TextConditioning], dtype: torch.dtype, canvas: Canvas) -> dict[str, torch.Tensor]:
    """A batch of texts as the transformer takes it; texts of unequal lengths are filled up with tokens that nobody heeds.

    What is shown beside a clip belongs to no time of it and heeds all texts alike.
    """
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
        if text.attention is not None:
            own = getattr(text.attention, name).to(dtype)
            masked = masked + pad(own, (0, 0, 0, tokens - own.shape[1]))
        return pad(masked.expand(-1, tokens, -1), (0, more), value=_MASKED)

    lengths = {"video_BNS": canvas.video_tokens, "audio_BLS": canvas.audio_frames}
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
