"""Words for a scene, said in several ways, so that the model learns meanings and not one template."""

from __future__ import annotations

import numpy as np

from pipelines.world.scene import Scene

_PLACES = {
    "grass": ("on grass", "on the grass", "in a green meadow", "on a lawn"),
    "night": ("at night", "in the night", "under the moon and stars", "in the dark night"),
    "sea": ("by the sea", "over the sea", "at the ocean", "above the waves"),
    "desert": ("in the desert", "in a sandy desert", "on sand", "on the dunes"),
    "snow": ("in the snow", "on snow", "in winter", "on a snowy field"),
    "sunset": ("at sunset", "in the sunset", "in the evening", "at dusk"),
}
_ACTIONS = {
    "bouncing": ("bouncing", "that bounces", "jumping up and down", "bounces"),
    "drifting left": ("drifting left", "moving to the left", "floating left", "flies to the left"),
    "drifting right": ("drifting right", "moving to the right", "floating right", "flies to the right"),
    "rising": ("rising", "floating up", "going up", "rises"),
    "growing": ("growing", "getting bigger", "that grows", "coming closer"),
    "shrinking": ("shrinking", "getting smaller", "that shrinks", "going away"),
    "dancing": ("dancing", "that dances", "swinging to the beat", "dances"),
    "standing": ("standing still", "resting", "that does not move", "standing"),
}
_SHAPES = {
    "ball": ("ball", "ball", "circle", "sphere"),
    "cube": ("cube", "cube", "square", "box"),
    "star": ("star",),
    "triangle": ("triangle", "triangle", "pyramid"),
    "heart": ("heart",),
    "ring": ("ring", "ring", "hoop", "donut"),
}
_SOUNDS = {
    "drums": ("with drums", "to drums", "to a drum beat", "with music"),
    "silence": ("in silence", "without sound", "silent", "no sound"),
}
VOCABULARY = " ".join(
    phrase for table in (_PLACES, _ACTIONS, _SHAPES, _SOUNDS) for phrases in table.values() for phrase in phrases
)


def caption(scene: Scene, rng: np.random.Generator | None = None) -> str:
    """One caption of ``scene``: its plainest form without ``rng``, a random wording with it."""

    def say(phrases: tuple[str, ...]) -> str:
        return phrases[0] if rng is None else str(rng.choice(phrases))

    words = f"a {scene.colour} {say(_SHAPES[scene.shape])} {say(_ACTIONS[scene.action])} {say(_PLACES[scene.place])}"
    if scene.colour == "orange":
        words = f"an {words[2:]}"
    if scene.sound in _SOUNDS:
        words = f"{words}{' ' if rng is None or rng.random() < 0.5 else ', '}{say(_SOUNDS[scene.sound])}"
    if rng is not None and rng.random() < 0.2:
        words = words[0].upper() + words[1:] + "."
    return words
