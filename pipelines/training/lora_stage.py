"""The training of a LoRA: flow matching on somebody's clips, with everything of the model frozen but what is added to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from diffusers.pipelines.ltx2.pipeline_ltx2 import calculate_shift
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from pipelines.contract import InvalidRequest
from pipelines.lora.stack import is_of_sound, linear_layers_of
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model
from pipelines.training.flow import Batch, Cells, velocity
from pipelines.training.lora_data import EncodedClips
from pipelines.training.recipes import Optimization
from pipelines.training.texts import EncodedTexts

Streams = Literal["both", "picture", "sound"]
_ENDINGS = ("to_q", "to_k", "to_v", "to_out.0", "net.0.proj", "net.2", "proj_in", "proj_out")
AUDIO_WEIGHT = 0.5
_CAPTION_DROPOUT = 0.1


@dataclass(frozen=True)
class LoraSettings:
    """How a LoRA is trained; ``streams`` are those whose layers it changes, ``trigger`` stands in front of every caption.

    With ``few_steps`` it learns nothing of the clips, but to make such in so many steps and without guidance.
    """

    rank: int = 8
    trigger: str = ""
    streams: Streams = "both"
    seed: int = 0
    learning_rate: float = 2e-3
    batch_size: int = 8
    few_steps: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= 256:
            raise InvalidRequest(f"rank is {self.rank}; use 1 to 256.", field="rank")
        if self.few_steps is not None and not 1 <= self.few_steps <= 50:
            raise InvalidRequest(f"few-steps is {self.few_steps}; use 1 to 50.", field="few_steps")
        if self.few_steps is not None and (self.trigger or self.streams != "both"):
            raise InvalidRequest(
                "few-steps changes both streams of every clip; leave out trigger and streams.", field="few_steps"
            )
        if "," in self.trigger or not self.trigger.isprintable() or len(self.trigger) > 200:
            raise InvalidRequest("trigger must be at most 200 plain characters without commas.", field="trigger")


def optimization_of(settings: LoraSettings) -> Optimization:
    """What the trainer needs to know of ``settings``."""
    return Optimization(settings.learning_rate, settings.batch_size, ema_decay=0.99, warmup_steps=20, weight_decay=0.0)


class Adapter(nn.Module):
    """The halves of a LoRA that peft put into ``transformer``, and nothing else: what is trained, averaged and saved.

    Raises ``InvalidRequest`` where the rank is too high for every layer.
    """

    def __init__(self, transformer: nn.Module, settings: LoraSettings) -> None:
        super().__init__()
        targets = [name for name, shape in linear_layers_of(transformer).items() if _is_changed(name, shape, settings)]
        if not targets:
            raise InvalidRequest(f"rank is {settings.rank}, too high for this model's layers: use less.", field="rank")
        transformer.requires_grad_(False)
        inject_adapter_in_model(LoraConfig(r=settings.rank, lora_alpha=settings.rank, target_modules=targets), transformer)
        layers: dict[str, Any] = dict(transformer.named_modules())
        self.names = tuple(targets)
        self.down = nn.ModuleList(layers[name].lora_A["default"] for name in targets)
        self.up = nn.ModuleList(layers[name].lora_B["default"] for name in targets)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Its halves as diffusers names them, in half precision."""
        made = {}
        for name, down, up in zip(self.names, self.down, self.up, strict=True):
            made[f"transformer.{name}.lora_A.weight"] = _half(down)
            made[f"transformer.{name}.lora_B.weight"] = _half(up)
        return made


def _half(layer: nn.Module) -> torch.Tensor:
    weight: torch.Tensor = layer.get_parameter("weight")
    return weight.detach().half().cpu().contiguous()


def _is_changed(name: str, shape: tuple[int, int], settings: LoraSettings) -> bool:
    if settings.streams != "both" and is_of_sound(name) != (settings.streams == "sound"):
        return False
    return name.endswith(_ENDINGS) and min(shape) >= settings.rank


class LoraStage:
    """Velocity prediction on normalised latents at one noise level a clip, as the model itself was trained.

    Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685) of a flow-matching transformer; noise levels are logit-normal and
    shifted as the model's own schedule is (Esser et al. 2024, arXiv:2403.03206).
    """

    name = "lora"

    def __init__(self, model: LTX2Model, clips: EncodedClips, canvas: Canvas, settings: LoraSettings) -> None:
        torch.manual_seed(settings.seed)
        self._base, self._clips, self._settings = model, clips, settings
        self._cells = Cells(canvas.frames, canvas.height, canvas.width, canvas.frame_rate)
        self.model = Adapter(model.transformer, settings)
        self.optimization = optimization_of(settings)
        self.rng = np.random.default_rng(settings.seed)
        self._texts = EncodedTexts(model)
        config = model.scheduler.config
        self._shift = calculate_shift(
            clips.video_KND.shape[1], config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift
        )

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Mean squared velocity error of the streams that it changes; that of the sound only over clips that have one."""
        size, device, clips = self._settings.batch_size, self._base.device, self._clips
        rows = torch.from_numpy(self.rng.integers(0, len(clips.captions), size))
        video, audio = clips.video_KND[rows].to(device), clips.audio_KLD[rows].to(device)
        heard = clips.heard_K[rows].to(device)
        sigma = torch.sigmoid(torch.randn(size, device=device) + self._shift)
        noise, audio_noise = torch.randn_like(video), torch.randn_like(audio)
        noisy = Batch(video, audio).moved(noise - video, audio_noise - audio, sigma[:, None, None])
        made, audio_made = self._velocity(noisy, sigma, rows)
        error = (made.float() - (noise - video)).square().mean()
        audio_errors = (audio_made.float() - (audio_noise - audio)).square().mean((1, 2))
        audio_error = (audio_errors * heard).sum() / heard.sum().clamp(min=1)
        streams = self._settings.streams
        loss = error * (streams != "sound") + AUDIO_WEIGHT * audio_error * (streams != "picture")
        return {"loss": loss, "video": error, "audio": audio_error}

    def _velocity(self, noisy: Batch, sigma: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        text = self._texts.of(self._caption(int(row)) for row in rows)
        crossed = self._base.spec.use_cross_timestep
        return velocity(self._base.transformer, self._cells, noisy, text, sigma, use_cross_timestep=crossed)

    def _caption(self, row: int) -> str:
        """One of a clip's captions behind the trigger word, where it lacks it; now and then nothing, for guidance."""
        if self.rng.random() < _CAPTION_DROPOUT:
            return ""
        captions = self._clips.captions[row]
        said = captions[int(self.rng.integers(len(captions)))]
        trigger = self._settings.trigger
        return said if trigger.lower() in said.lower() else f"{trigger}, {said}"
