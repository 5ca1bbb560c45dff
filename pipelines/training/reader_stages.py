"""Training of the readers that measure clips: rendered scenes, damaged as codecs and decoders damage them, with their truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers import AutoencoderKLLTX2Video

from pipelines.mel import log_mel
from pipelines.metrics.readers import (
    CLASSES,
    SIZE,
    SUBJECT_SIZE,
    SYNC_WINDOW,
    PictureReader,
    SoundReader,
    SubjectReader,
    SyncReader,
    mel_window,
    shown,
    with_change,
)
from pipelines.training.degrade import blur, quantize
from pipelines.training.recipes import Optimization, Recipe, build_video_vae
from pipelines.training.trainer import Stage, load_average
from pipelines.training.upscaler_stage import as_clip, decoded
from pipelines.world.motion import events
from pipelines.world.renderer import render, render_at
from pipelines.world.scene import SOUND_CLASSES, Scene, draw, sound_class
from pipelines.world.sounds import synthesize
from pipelines.world.speech import mouth_opening

_STILLS = 96
_MOMENTS = 2  # frames of a scene: the second costs a fifth of the first
_STRETCH = 9  # frames of the scene in a batch that goes through the codec, on its grid
_CONTACT_WIDTH = 0.7  # frames: how far from a contact a frame still shows it
_LEAST_SHIFT = 3  # frames by which a sound has to be late or early to count as out of sync
_SPEAKING = ("talking", "singing")


class PictureReaderStage:
    """Whole clips for what moves and single frames for what is there; half of the clips through ``vae`` where there is one.

    Scenes are drawn from the whole world: a ruler has to know the combinations that the measured model does not.
    """

    name = "picture_reader"

    def __init__(self, model: PictureReader, recipe: Recipe, seed: int, vae: AutoencoderKLLTX2Video | None = None) -> None:
        self.model, self._recipe = model, recipe
        self.optimization: Optimization = recipe.picture_reader
        self.rng = np.random.default_rng(seed)
        self._vae = None if vae is None else vae.eval().requires_grad_(False)

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Cross-entropy of each attribute; of contacts and mouths the error a frame; and the share of right answers."""
        device = next(self.model.parameters()).device
        count = self.optimization.batch_size
        scenes = [draw(self.rng) for _ in range(count + _STILLS)]
        clips = torch.stack([self._clip(scene, index % 2 == 0) for index, scene in enumerate(scenes[:count])]).to(device)
        stills = torch.stack([self._still(scene) for scene in scenes[count:]]).to(device)
        frames = torch.cat([with_change(clips).flatten(0, 1), with_change(stills).flatten(0, 1)])
        what, where = self.model.look(frames)
        of_clips = count * clips.shape[1]
        seen = self.model.clips(*(part[:of_clips].unflatten(0, clips.shape[:2]) for part in (what, where)))
        logits = {name: value.float() for name, value in seen.attributes.items()}
        for name, value in self.model.stills(what[of_clips:]).items():
            logits[name] = torch.cat([logits[name], value.float()])
        losses = {name: _attribute_loss(name, value, scenes) for name, value in logits.items()}
        truth = [(_contacts(scene, self._recipe), mouth_truth(scene, self._recipe)) for scene in scenes[:count]]
        contact, mouth = (torch.from_numpy(np.stack(part)).to(device) for part in zip(*truth, strict=True))
        losses["contact"] = functional.binary_cross_entropy_with_logits(seen.contact.float(), contact)
        talks = torch.tensor([scene.subject.is_talker for scene in scenes[:count]], device=device).float()[:, None]
        losses["mouth"] = ((seen.mouth.float() - mouth).square() * talks).sum() / (talks.sum() * mouth.shape[1]).clamp(min=1)
        total = sum(losses.values(), torch.zeros((), device=device)) + 3 * losses["contact"] + 9 * losses["mouth"]
        return {"loss": total, **losses}

    def _clip(self, scene: Scene, through_codec: bool) -> torch.Tensor:
        recipe = self._recipe
        if through_codec and self._vae is not None:
            large = as_clip(render(scene, recipe.num_frames, recipe.frame_rate, recipe.size))
            return vary(functional.interpolate(decoded(self._vae, large), (SIZE, SIZE), mode="area"), self.rng)
        return vary(as_clip(render(scene, recipe.num_frames, recipe.frame_rate, SIZE)), self.rng)

    def _still(self, scene: Scene) -> torch.Tensor:
        return vary(_at_chance(scene, self._recipe, SIZE, self.rng), self.rng)


class SubjectReaderStage:
    """Two frames of each scene, and a stretch of frames that went through ``vae``, to who is in them."""

    name = "subject_reader"

    def __init__(self, model: SubjectReader, recipe: Recipe, seed: int, vae: AutoencoderKLLTX2Video | None = None) -> None:
        self.model, self._recipe = model, recipe
        self.optimization: Optimization = recipe.subject_reader
        self.rng = np.random.default_rng(seed)
        self._vae = None if vae is None else vae.eval().requires_grad_(False)

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Cross-entropy against what a frame shows, and the share of frames whose best answer is in them."""
        device = next(self.model.parameters()).device
        scenes = [draw(self.rng) for _ in range(self.optimization.batch_size)]
        frames = [self._small(_at_chance(scene, self._recipe, self._recipe.size, self.rng, _MOMENTS)) for scene in scenes]
        scenes = [scene for scene in scenes for _ in range(_MOMENTS)]
        if self._vae is not None:
            scene = draw(self.rng)
            begin = self.rng.uniform(0, max(0.0, self._recipe.duration_s - _STRETCH / self._recipe.frame_rate))
            times_s = begin + np.arange(_STRETCH) / self._recipe.frame_rate
            large = as_clip(render_at(scene, times_s, self._recipe.duration_s, self._recipe.size)[0])
            frames.append(self._small(decoded(self._vae, large)))
            scenes += [scene] * _STRETCH
        logits = self.model(torch.cat(frames).to(device)).float()
        best = [CLASSES["subject"][int(at)] for at in logits.detach().argmax(1)]
        right = [name in shown(scene, "subject") for name, scene in zip(best, scenes, strict=True)]
        return {"loss": _attribute_loss("subject", logits, scenes), "right": torch.tensor(right).float().mean()}

    def _small(self, frames_FCHW: torch.Tensor) -> torch.Tensor:
        return vary(functional.interpolate(frames_FCHW, (SUBJECT_SIZE, SUBJECT_SIZE), mode="area"), self.rng)


def _at_chance(scene: Scene, recipe: Recipe, size: int, rng: np.random.Generator, moments: int = 1) -> torch.Tensor:
    """Frames of a scene at any moments, ``[moments, 3, size, size]``, 0..1."""
    frames, _ = render_at(scene, rng.uniform(0, recipe.duration_s, moments), recipe.duration_s, size)
    return as_clip(frames)


class SoundReaderStage:
    """Sounds of random scenes, filtered and noisy, to their class."""

    name = "sound_reader"

    def __init__(self, model: SoundReader, recipe: Recipe, seed: int) -> None:
        self.model, self._recipe = model, recipe
        self.optimization: Optimization = recipe.sound_reader
        self.rng = np.random.default_rng(seed)

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Cross-entropy, and the share of right answers."""
        device = next(self.model.parameters()).device
        scenes = [draw(self.rng) for _ in range(self.optimization.batch_size)]
        recipe = self._recipe
        sounds = [vary_sound(synthesize(scene, recipe.duration_s, recipe.sound.sample_rate), self.rng) for scene in scenes]
        logits = self.model(log_mel(torch.from_numpy(np.stack(sounds)).to(device), recipe.sound)).float()
        wanted = torch.tensor([SOUND_CLASSES.index(sound_class(scene)) for scene in scenes], device=device)
        right = (logits.detach().argmax(1) == wanted).float().mean()
        return {"loss": functional.cross_entropy(logits, wanted, label_smoothing=0.02), "right": right}


class SyncReaderStage:
    """Speaking clips with their own sound, with the same sound too early or too late, and with another's."""

    name = "sync_reader"

    def __init__(self, model: SyncReader, recipe: Recipe, seed: int, picture: PictureReader) -> None:
        self.model, self._recipe = model, recipe
        self.optimization: Optimization = recipe.sync_reader
        self.rng = np.random.default_rng(seed)
        self._picture = picture.eval().requires_grad_(False)

    def losses(self, share: float) -> dict[str, torch.Tensor]:
        """Cross-entropy of together or not, and the share of right answers."""
        device = next(self.model.parameters()).device
        recipe, count = self._recipe, self.optimization.batch_size
        scenes = [draw_speaker(self.rng) for _ in range(count)]
        clips = torch.stack([vary(as_clip(render(s, recipe.num_frames, recipe.frame_rate, SIZE)), self.rng) for s in scenes])
        with torch.no_grad():
            motion = self._picture(clips.to(device)).motion
        sounds = [vary_sound(synthesize(scene, recipe.duration_s, recipe.sound.sample_rate), self.rng) for scene in scenes]
        mel = log_mel(torch.from_numpy(np.stack(sounds)).to(device), recipe.sound)
        starts = self.rng.integers(0, recipe.num_frames - SYNC_WINDOW + 1, count)
        late = np.array([_other_start(int(start), recipe.num_frames, self.rng) for start in starts])
        seen = torch.stack([motion[k, start : start + SYNC_WINDOW] for k, start in enumerate(starts)])
        own, shifted = (self._heard(mel, begins) for begins in (starts, late))
        logits = torch.cat([self.model(seen, own), self.model(seen, shifted), self.model(seen, own.roll(1, 0))]).float()
        truth = torch.cat([torch.ones(count), torch.zeros(2 * count)]).to(device)
        weight = torch.where(truth > 0, 2.0, 1.0)
        loss = functional.binary_cross_entropy_with_logits(logits, truth, weight)
        return {"loss": loss, "right": ((logits.detach() > 0) == (truth > 0)).float().mean()}

    def _heard(self, mel_BCTM: torch.Tensor, starts: np.ndarray) -> torch.Tensor:
        """Each sound's spectrogram over the window that begins at its frame."""
        frames = self._recipe.num_frames
        return torch.stack(
            [mel_window(mel, int(start), SYNC_WINDOW, frames) for mel, start in zip(mel_BCTM, starts, strict=True)]
        )


def _other_start(start: int, frames: int, rng: np.random.Generator) -> int:
    """A window's first frame that is at least ``_LEAST_SHIFT`` away from ``start``."""
    return int(rng.choice([other for other in range(frames - SYNC_WINDOW + 1) if abs(other - start) >= _LEAST_SHIFT]))


def draw_speaker(rng: np.random.Generator) -> Scene:
    """A scene in which somebody talks or sings."""
    while True:
        scene = draw(rng)
        if scene.action in _SPEAKING and scene.sound != "silence":
            return scene


def _attribute_loss(name: str, logits: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
    """Cross-entropy against the attribute's share of each class; where a scene does not show it, it counts nothing."""
    wanted = torch.zeros(len(logits), logits.shape[1])
    for row, scene in zip(wanted, scenes, strict=False):  # frames show less than clips, so there are fewer rows for some
        for value in shown(scene, name):
            row[CLASSES[name].index(value)] = 1
    wanted = wanted.to(logits.device)
    known = wanted.sum(1)
    each = -(wanted * functional.log_softmax(logits, 1)).sum(1) / known.clamp(min=1)
    return each.sum() / (known > 0).sum().clamp(min=1)


def _contacts(scene: Scene, recipe: Recipe) -> np.ndarray:
    """How much each frame shows a contact, ``[F]`` float32, 0..1."""
    frames = np.arange(recipe.num_frames)
    shows = np.zeros(recipe.num_frames, np.float32)
    for impact in events(scene, recipe.duration_s).impacts:
        away = frames - impact.time_s * recipe.frame_rate
        shows = np.maximum(shows, np.exp(-0.5 * (away / _CONTACT_WIDTH) ** 2))
    return shows.astype(np.float32)


def mouth_truth(scene: Scene, recipe: Recipe) -> np.ndarray:
    """The mouth's opening in each frame, ``[F]`` float32, 0..1."""
    times_s = np.arange(recipe.num_frames) / recipe.frame_rate
    return mouth_opening(events(scene, recipe.duration_s).phonemes, times_s).astype(np.float32)


def vary(clip_FCHW: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """``[F, 3, H, W]``, 0..1, moved, tinted, softened, made noisy and quantized as chance has it."""
    clip = _moved(clip_FCHW, rng)
    gain = torch.from_numpy(rng.normal(1, 0.04, (3, 1, 1)).astype(np.float32))
    shift = torch.from_numpy(rng.normal(0, 0.02, (3, 1, 1)).astype(np.float32))
    clip = clip * gain + shift
    if rng.random() < 0.6:
        clip = blur(clip, float(rng.uniform(0.25, 0.7)))
    if rng.random() < 0.4:
        clip = clip + float(rng.uniform(0, 0.05)) * torch.randn_like(clip)
    if rng.random() < 0.4:
        clip = quantize(clip, float(rng.uniform(0.01, 0.12)))
    return clip.clamp(0, 1)


def _moved(clip_FCHW: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """All frames shifted by up to two pixels."""
    side = clip_FCHW.shape[2]
    top, left = (int(n) for n in rng.integers(0, 5, 2))
    return functional.pad(clip_FCHW, (2, 2, 2, 2), mode="replicate")[:, :, top : top + side, left : left + side]


def vary_sound(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``[n]`` float32 at another level, with another balance of low and high, a noisy floor, and now and then out of phase."""
    spectrum = np.fft.rfft(waveform)
    octaves = np.linspace(0, 1, 6)
    tilt = np.interp(np.linspace(0, 1, len(spectrum)) ** 0.4, octaves, rng.normal(0, 2.5, 6))
    if rng.random() < 0.4:  # as a vocoder: right in magnitude, not in phase
        spectrum = spectrum * np.exp(1j * np.interp(np.arange(len(spectrum)), [0, len(spectrum)], rng.normal(0, 8, 2)))
    sound = np.fft.irfft(spectrum * 10 ** (tilt / 20), len(waveform)) * 10 ** (rng.normal(0, 2) / 20)
    if rng.random() < 0.5:
        sound = sound + 10 ** rng.uniform(-5, -2.7) * rng.standard_normal(len(sound))
    return sound.astype(np.float32)


def reader_stage(name: str, recipe: Recipe, folder: Path, device: torch.device, seed: int) -> Stage:
    """The stage called ``name``, with what it needs of earlier stages in ``folder``.

    Raises ``FileNotFoundError`` when the sync reader's picture reader is not trained yet, ``ValueError`` for other names.
    """
    match name:
        case PictureReaderStage.name:
            return PictureReaderStage(PictureReader().to(device), recipe, seed, _codec(recipe, folder, device))
        case SubjectReaderStage.name:
            return SubjectReaderStage(SubjectReader().to(device), recipe, seed, _codec(recipe, folder, device))
        case SoundReaderStage.name:
            return SoundReaderStage(SoundReader().to(device), recipe, seed)
        case SyncReaderStage.name:
            picture = PictureReader()
            load_average(picture, folder, PictureReaderStage.name)
            return SyncReaderStage(SyncReader().to(device), recipe, seed, picture.to(device))
        case _:
            raise ValueError(f"{name} is no reader's stage")


def _codec(recipe: Recipe, folder: Path, device: torch.device) -> AutoencoderKLLTX2Video | None:
    """The best video VAE trained so far, or ``None``."""
    if not (folder / "video_vae.pt").exists():
        return None
    vae = build_video_vae(recipe)
    load_average(vae, folder, "video_vae")
    return vae.to(device)
