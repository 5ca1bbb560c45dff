"""LTX-2.5's Diffusion Fidelity Rendering as one call: a clip with keyframes of its own, made small and then at full size.

Beside the clip itself single frames are made, at even distances, which later passes hold on to. diffusers has one pass, which
callers compose; here they are composed as far as a folder goes: with a ``latent_upsampler`` at half the size first, then clip and
keyframes enlarged and made again; without one at full size at once. The rounds that double the frame rate, and the LoRA that
sharpens the second pass, are weights of their own and left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, LTX2DFRPipeline
from diffusers.pipelines.ltx2 import LTX2LatentUpsamplerModel
from diffusers.pipelines.ltx2.pipeline_ltx2_condition import LTX2VideoCondition
from diffusers.pipelines.ltx2.pipeline_output import LTX2DFRPipelineOutput
from diffusers.pipelines.ltx2.utils import DISTILLED_SIGMA_VALUES, STAGE_2_DISTILLED_SIGMA_VALUES

UPSAMPLER = "latent_upsampler"
_NOT_NEEDED = ("processor", "prompt_enhancer", "duration_head")


class LTX2DFRClip:
    """Text, and a first frame, to picture and sound, with the face of a plain pipeline; ``upsampler`` is for two passes."""

    def __init__(self, one_pass: LTX2DFRPipeline, upsampler: Any = None) -> None:
        self._pass, self._upsampler = one_pass, upsampler
        # Its sigmas are where the model was distilled; moved by the clip's length they would be others.
        one_pass.scheduler = FlowMatchEulerDiscreteScheduler.from_config(
            one_pass.scheduler.config, use_dynamic_shifting=False, shift_terminal=None
        )

    @classmethod
    def load_config(cls, source: str, *, local_files_only: bool) -> Any:
        """Libraries and classes of the parts."""
        return LTX2DFRPipeline.load_config(source, local_files_only=local_files_only)

    @classmethod
    def from_pretrained(cls, source: str, *, dtype: Any, **given: Any) -> LTX2DFRClip:
        """From a folder or a hub id; the upsampler from a folder that has one. Raises what diffusers and transformers raise."""
        upsampler = None
        if (Path(source) / UPSAMPLER).is_dir():
            own = dtype.get(UPSAMPLER, dtype["default"])
            upsampler = LTX2LatentUpsamplerModel.from_pretrained(source, subfolder=UPSAMPLER, torch_dtype=own)
        return cls(LTX2DFRPipeline.from_pretrained(source, dtype=dtype, **dict.fromkeys(_NOT_NEEDED), **given), upsampler)

    def __getattr__(self, name: str) -> Any:
        """A part, or what the pass can do, by its name."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._pass, name)

    @property
    def components(self) -> dict[str, Any]:
        """The parts that are there."""
        every = {**self._pass.components, UPSAMPLER: self._upsampler}
        return {name: part for name, part in every.items() if part is not None}

    @property
    def audio_sample_rate(self) -> int:
        """Samples a second of its sound."""
        return int(self.vocoder.config.output_sampling_rate)

    def to(self, device: torch.device) -> LTX2DFRClip:
        """All parts on ``device``; the upsampler comes when it is used."""
        self._pass.to(device)
        return self

    def progress_bar(self, iterable: Any = None, total: int | None = None) -> Any:
        """diffusers' own, where nobody watches."""
        return self._pass.progress_bar(iterable, total)

    @torch.no_grad()
    def __call__(
        self, *, prompt: str, image: Any = None, generator: Any = None, output_type: str = "np", **shape: Any
    ) -> LTX2DFRPipelineOutput:
        """One clip of ``height``, ``width``, ``num_frames`` and ``frame_rate``: frames ``[1, F, H, W, 3]``, sound ``[1, C, n]``.

        In two passes sides are multiples of 64.
        """
        text, mask = self._pass.encode_prompt(prompt=prompt, device=self._pass._execution_device)
        told: dict[str, Any] = {"prompt_embeds": text, "prompt_attention_mask": mask, "generator": generator, **shape}
        if image is not None:
            told["conditions"] = [LTX2VideoCondition(frames=image)]
        steps = len(DISTILLED_SIGMA_VALUES) + (self._upsampler is not None) * len(STAGE_2_DISTILLED_SIGMA_VALUES)
        with self._one_bar(steps):
            if self._upsampler is None:
                made = self._pass(**told, output_type=output_type)
                return _heard(made, made.audio)
            half = {side: shape[side] // 2 for side in ("height", "width")}
            small = self._pass(**told | half, output_type="latent")
            made = self._pass(
                **told,
                latents=self._enlarged(small.frames),
                keyframes_latents=self._frame_by_frame(small.keyframes),
                keyframe_positions=small.keyframe_positions,
                audio_latents=small.audio,
                sigmas=STAGE_2_DISTILLED_SIGMA_VALUES,
                output_type=output_type,
            )
        # What is heard was made in the first pass; the second only listens to it.
        mel = self.audio_vae.decode(small.audio.to(made.audio.device, self.audio_vae.dtype), return_dict=False)[0]
        return _heard(made, self.vocoder(mel)[..., : made.audio.shape[-1]])

    def _enlarged(self, latents_BCFHW: torch.Tensor) -> torch.Tensor:
        network = self._upsampler.to(latents_BCFHW.device)
        larger: torch.Tensor = network(latents_BCFHW.to(network.dtype)).float()
        return larger

    def _frame_by_frame(self, keyframes_BCKHW: torch.Tensor) -> torch.Tensor:
        """Keyframes are no film: each is enlarged alone."""
        return torch.cat([self._enlarged(frame) for frame in keyframes_BCKHW.split(1, dim=2)], dim=2)

    @contextmanager
    def _one_bar(self, total: int) -> Iterator[None]:
        """All passes move one progress bar, that of whoever watches."""
        with self.progress_bar(total=total) as bar:
            self._pass.progress_bar = lambda iterable=None, total=None: _Share(bar)
            try:
                yield
            finally:
                del self._pass.progress_bar


class _Share:
    """What a pass takes for its progress bar: it ends with the clip, not with the pass."""

    def __init__(self, bar: Any) -> None:
        self.update = bar.update

    def close(self) -> None:
        """There is more to come."""


def _heard(made: LTX2DFRPipelineOutput, sound_BCN: torch.Tensor) -> LTX2DFRPipelineOutput:
    sound = sound_BCN.float().cpu().numpy()
    return LTX2DFRPipelineOutput(frames=made.frames, audio=sound, keyframes=None, keyframe_positions=None)
