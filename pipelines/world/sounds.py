"""The sound of a scene: place, movement, contacts, music or voice, each where it belongs in time."""

from __future__ import annotations

import math

import numpy as np

from pipelines.world.ambience import ambience
from pipelines.world.impacts import add_part, glide, impact, rumble, whoosh
from pipelines.world.motion import Events, events
from pipelines.world.music import music
from pipelines.world.scene import MUSIC, Scene
from pipelines.world.speech import speak

_PITCH = {"rubber": 196.0, "wood": 262.0, "metal": 440.0, "glass": 523.0}


def synthesize(scene: Scene, duration_s: float, sample_rate: int = 16_000) -> np.ndarray:
    """The scene's sound as ``[n]`` float32, peak below 1; exact zeros where the scene is silent."""
    samples = round(duration_s * sample_rate)
    if scene.sound == "silence":
        return np.zeros(samples, np.float32)
    rng = np.random.default_rng((scene.seed, 1))
    found = events(scene, duration_s)
    if scene.sound in MUSIC:
        sound = 0.9 * music(scene.sound, found.beats_s, duration_s, sample_rate, rng)
    else:
        is_alone = scene.action == "standing still"
        sound = (1.0 if is_alone else 0.45) * ambience(scene.place, samples, sample_rate, rng)
        sound = sound + _action(scene, found, samples, sample_rate, rng)
    return np.clip(sound, -0.98, 0.98).astype(np.float32)


def _action(scene: Scene, found: Events, samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    share = np.arange(samples) / samples
    pitch = _PITCH[scene.subject.material]
    swell = np.sin(math.pi * share)
    match scene.action:
        case "bouncing" | "colliding" | "falling":
            return _impacts(scene, found, samples, sample_rate, rng)
        case "talking" | "singing":
            assert scene.voice is not None
            return speak(found.phonemes, scene.voice, samples / sample_rate, sample_rate, rng, melody=scene.action == "singing")
        case "rolling":
            return rumble(0.5 + 0.3 * swell, scene.subject.material, sample_rate, rng)
        case "rising" | "growing":
            return glide(share, 0.10 + 0.18 * share, pitch, sample_rate)
        case "shrinking":
            return glide(1 - share, 0.28 - 0.18 * share, pitch, sample_rate)
        case "drifting left" | "drifting right":
            return whoosh(0.7 * swell, sample_rate, rng)
        case "spinning":
            return whoosh(0.35 + 0.35 * np.cos(4 * 2 * math.pi * share), sample_rate, rng)
        case "orbiting":
            return whoosh(0.35 + 0.35 * np.cos(2 * math.pi * (share + scene.phase)), sample_rate, rng)
        case _:
            return np.zeros(samples)


def _impacts(scene: Scene, found: Events, samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    sound = np.zeros(samples)
    level = 1 / len(scene.subjects) ** 0.5
    for contact in found.impacts:
        part = impact(scene.subjects[contact.subject].material, contact.strength, sample_rate, rng)
        add_part(sound, contact.time_s, level * part, sample_rate)
    return sound
