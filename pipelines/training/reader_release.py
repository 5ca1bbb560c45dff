"""The readers' release: measured on scenes that their training did not draw, written in half precision with their hashes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipelines.mel import log_mel
from pipelines.metrics.readers import CLASSES, READERS, SYNC_WINDOW, Readers, SyncReader, mel_window, shown
from pipelines.metrics.sync import area_under_curve, contacts, match_f1
from pipelines.training.publish import publish
from pipelines.training.reader_stages import draw_speaker, mouth_truth
from pipelines.training.recipes import Recipe
from pipelines.training.trainer import begin_with, load_average
from pipelines.world import WorldClip, make_clip
from pipelines.world.motion import events
from pipelines.world.scene import SOUND_CLASSES, Scene, draw, sound_class

HELD_OUT_SEED = 20_000_000
_SPEAKERS = 0.25  # of the scenes measured


@dataclass(frozen=True)
class _Row:
    """What the readers say of one render, and the score of each thing said."""

    scores: dict[str, float]
    motion: torch.Tensor
    mel: torch.Tensor
    speaks: bool


def held_out_accuracy(readers: Readers, recipe: Recipe, clips: int, seed: int = 0) -> dict[str, float]:
    """The share of right answers by attribute and for the sound class on ``clips`` renders, each from a seed of its own.

    Also ``contact_f1`` (within a frame, over clips that have any), ``mouth_error`` (mean absolute, 0..1) and ``sync_auc``.
    """
    rows = []
    for index in range(clips):
        rng = np.random.default_rng(HELD_OUT_SEED + 100_000 * seed + index)
        rows.append(_measured(readers, recipe, draw_speaker(rng) if index < _SPEAKERS * clips else draw(rng)))
    names = sorted({name for row in rows for name in row.scores})
    found = {name: float(np.mean([row.scores[name] for row in rows if name in row.scores])) for name in names}
    found["sync_auc"] = _auc(readers.sync, [row for row in rows if row.speaks], recipe.num_frames)
    return {name: round(value, 4) for name, value in found.items()}


@torch.inference_mode()
def _measured(readers: Readers, recipe: Recipe, scene: Scene) -> _Row:
    clip = make_clip(scene, num_frames=recipe.num_frames, frame_rate=recipe.frame_rate, size=recipe.size)
    mel = log_mel(torch.from_numpy(clip.waveform)[None], recipe.sound)
    seen = readers.see(clip.frames)
    scores = {"sound class": float(SOUND_CLASSES[int(readers.sound(mel)[0].argmax())] == sound_class(scene))}
    for name, classes in CLASSES.items():
        if wanted := shown(scene, name):
            best = {classes[int(at)] for at in seen.attributes[name][0].topk(len(wanted)).indices}
            scores[name] = len(best & set(wanted)) / len(wanted)
    scores |= _events(clip, recipe, seen.contact[0].numpy(), seen.mouth[0].numpy())
    return _Row(scores, seen.motion[0], mel[0], scene.action in ("talking", "singing"))


def _events(clip: WorldClip, recipe: Recipe, contact_F: np.ndarray, mouth_F: np.ndarray) -> dict[str, float]:
    scores = {}
    if truth := sorted({impact.time_s for impact in events(clip.scene, recipe.duration_s).impacts}):
        scores["contact_f1"] = match_f1(contacts(contact_F, recipe.frame_rate), truth, 1 / recipe.frame_rate)
    if clip.scene.subject.is_talker:
        scores["mouth_error"] = float(np.abs(mouth_F - mouth_truth(clip.scene, recipe)).mean())
    return scores


@torch.inference_mode()
def _auc(net: SyncReader, rows: list[_Row], frames: int) -> float:
    first = (frames - SYNC_WINDOW) // 2
    scores: dict[bool, list[float]] = {True: [], False: []}
    for row, other in zip(rows, [*rows[1:], *rows[:1]], strict=True):
        for sound, start in ((row, first), (other, first), (row, first - 4), (row, first + 4)):
            heard = mel_window(sound.mel, start, SYNC_WINDOW, frames)
            logit = net(row.motion[None, first : first + SYNC_WINDOW], heard[None])
            scores[sound is row and start == first].append(float(logit[0]))
    return area_under_curve(scores[True], scores[False])


def trained_readers(folder: Path) -> Readers:
    """The averaged nets of the stages in ``folder``, frozen. Raises ``FileNotFoundError``."""
    nets = {name: kind() for name, kind in READERS.items()}
    for name, net in nets.items():
        load_average(net, folder, f"{name}_reader")
        net.eval().requires_grad_(False)
    return Readers(**nets)


def release_readers(recipe: Recipe, folder: Path, target: Path, clips: int = 1000) -> dict[str, float]:
    """Write the trained nets to ``target`` as they measure, replacing all but its README.md; returns their accuracies."""
    readers = trained_readers(folder)
    accuracy: dict[str, float] = {}

    def fill(fresh: Path) -> None:
        for name, net in readers._asdict().items():
            net.half().save_pretrained(fresh / name)
            net.float()  # measured with the weights as they are released
        accuracy.update(held_out_accuracy(readers, recipe, clips))
        (fresh / "accuracy.json").write_text(json.dumps({"clips": clips, **accuracy}, indent=2) + "\n")

    publish(target, fill)
    return accuracy


def adopt_readers(source: Path, folder: Path) -> None:
    """Checkpoints in ``folder`` that begin with the readers released in ``source``."""
    for name, kind in READERS.items():
        begin_with(kind.from_pretrained(source / name, torch_dtype=torch.float32), folder, f"{name}_reader")
