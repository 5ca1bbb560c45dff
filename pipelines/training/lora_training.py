"""One LoRA from clips to its file: encoded, trained within a budget, resumed exactly, written with all that made it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file

from pipelines.contract import InvalidRequest
from pipelines.engine import code_version
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model, load
from pipelines.registry import ModelCatalogue
from pipelines.training.distillation import DistillationStage
from pipelines.training.lora_data import EncodedClips, Example, Tell, TrainingShape, encode, key_of, read_samples, shape_for
from pipelines.training.lora_stage import Adapter, LoraSettings, LoraStage
from pipelines.training.trainer import Budget, Logged, train

MAKER = "aiprod-studio"


@dataclass(frozen=True)
class Source:
    """Where the clips of a training come from: encoded at the shape they are trained at."""

    shape: TrainingShape
    clips: EncodedClips


@dataclass(frozen=True)
class LoraTask:
    """One training: the file that comes of it, the base, how, and for how long; ``about`` goes into the file as it is."""

    out: Path
    base: str
    settings: LoraSettings
    budget: Budget
    resume: bool = False
    device: str = "auto"
    about: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.out.suffix != ".safetensors":
            raise InvalidRequest(f"out is {str(self.out)[:200]}; LoRAs are safetensors files: end it so.", field="out")
        if math.isinf(self.budget.minutes) and math.isinf(self.budget.steps):
            raise InvalidRequest("minutes is missing; say how many minutes, or how many steps, to train.", field="minutes")

    @property
    def folder(self) -> Path:
        """Where its checkpoint, log and latents lie while it is trained."""
        return self.out.with_name(f"{self.out.stem}.training")


def base_of(task: LoraTask, catalogue: ModelCatalogue) -> LTX2Model:
    """The base, loaded. Raises ``ModelNotFound``, or ``InvalidRequest`` where it is not on this machine."""
    spec = catalogue.get(task.base)
    if not spec.is_local:
        raise InvalidRequest(f"base {task.base} is not on this machine; LoRAs are trained on installed models.", field="base")
    if spec.call is not None:
        raise InvalidRequest(f"base {task.base} is no LTX-2 model; LoRAs are trained on those.", field="base")
    device = task.device if task.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    return load(spec, torch.device(device))


def source_of(task: LoraTask, model: LTX2Model, examples: list[Example], tell: Tell) -> Source:
    """The clips of a folder; their latents are kept in the task's folder for the next run. Raises ``InvalidRequest``."""
    shape = shape_for(examples, model.spec, tell)
    key, stored = key_of(examples, shape, model.sha256), task.folder / "latents.pt"
    clips = EncodedClips.stored(stored, key)
    if clips is None:
        tell(f"encoding {len(examples)} clips")
        clips = encode(model, read_samples(examples, shape), shape)
        clips.save(stored, key)
    return Source(shape, clips)


def train_lora(task: LoraTask, model: LTX2Model, source: Source) -> Iterator[Logged]:
    """Train and write ``task.out``; yields log lines. Raises ``InvalidRequest`` where a resumed run was another training.

    The file appears only when the budget is spent. A resumed run makes the same file as one that was never stopped, as far
    as the budget is in steps.
    """
    record = {"base_sha256": model.sha256, "data_sha256": source.clips.sha256, **asdict(task.settings)}
    _check_resumed(task, record)
    canvas = Canvas.of(model, **vars(source.shape))
    kind = LoraStage if task.settings.few_steps is None else DistillationStage
    stage = kind(model, source.clips, canvas, task.settings)
    last: Logged | None = None
    for line in train(stage, task.folder, task.budget, resume=task.resume):
        last = line
        yield line
    steps = json.loads((task.folder / "lora.json").read_text(encoding="utf-8"))
    told = {
        **record,
        **steps,
        "clips": len(source.clips.captions),
        "clips_with_sound": int(source.clips.heard_K.sum()),
        "losses": last.losses if last else {},
        "code_version": code_version(),
    }
    _write(task, stage.model, model, told)


def _check_resumed(task: LoraTask, record: dict[str, object]) -> None:
    """Note what is trained here, or compare it with what a resumed run noted."""
    path = task.folder / "training.json"
    task.folder.mkdir(parents=True, exist_ok=True)
    if not task.resume:
        for stale in ("lora.pt", "lora.json", "lora.log.jsonl"):
            (task.folder / stale).unlink(missing_ok=True)
    elif path.is_file() and (task.folder / "lora.pt").is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in record if before.get(name) != record[name]]
        if changed:
            raise InvalidRequest(
                f"resume: {', '.join(changed)} is not what {path.parent.name} was begun with; leave out --resume to begin anew.",
                field="resume",
            )
    path.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _write(task: LoraTask, adapter: Adapter, model: LTX2Model, record: dict[str, object]) -> None:
    settings = task.settings
    metadata = {
        "maker": MAKER,
        "base": model.spec.id,
        "base_sha256": model.sha256,
        "trigger_words": settings.trigger,
        "rank": str(settings.rank),
        "alpha": str(settings.rank),
        "training": json.dumps(record, sort_keys=True),
        **task.about,
    }
    temporary = task.out.with_name(f".{task.out.stem}.part.safetensors")
    task.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(adapter.tensors(), str(temporary), metadata=metadata)
    temporary.replace(task.out)


def told(line: Logged, say: Callable[[str], None]) -> None:
    """One line of a run's log for a person."""
    losses = "  ".join(f"{name} {value:.4f}" for name, value in line.losses.items())
    say(f"{line.stage}  {line.minutes:.1f} min  step {line.steps}  {losses}")
