"""Words for a scene, said in many ways and often only in part, so that the model learns meanings and not one template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.world.scene import Scene, Subject, default_material
from pipelines.world.words import ACTIONS, AMBIENCES, CAMERAS, COLOURS, LOOKS, MATERIALS, PLACES, SOUNDS, SUBJECTS, TEMPOS, VOICES

_VERBS = ("that ", "bounces", "hops", "rolls", "flies", "rises", "falls", "drops", "spins", "circles", "dances", "talks", "sings")


def caption(scene: Scene, rng: np.random.Generator | None = None) -> str:
    """One caption of ``scene``: its plain and complete form without ``rng``, a random wording with it.

    Random ones have from 2 to about 60 words, may leave anything out but the subject or the action, and end in a full stop,
    or not, as people write.
    """
    if rng is None:
        return _plain(scene)
    teller = _Teller(scene, rng)
    style = rng.random()
    if style < 0.12:
        return teller.terse()
    if style < 0.24:
        return teller.story()
    return teller.sentence()


def _plain(scene: Scene) -> str:
    parts = [f"{subject_phrase(scene)} {_plain_action(scene)} {PLACES[scene.place][0]}"]
    if scene.voice:
        parts.append(VOICES[scene.voice][0])
    if scene.sound != "natural":
        tempo = f"{scene.tempo} " if scene.tempo else ""
        parts.append(SOUNDS[scene.sound][0].replace("to ", f"to {tempo}", 1))
    if scene.camera != "still":
        parts.append(CAMERAS[scene.camera][0])
    if scene.look != "flat":
        parts.append(LOOKS[scene.look][0])
    return ", ".join([" ".join(parts[: 1 + bool(scene.voice)]), *parts[1 + bool(scene.voice) :]])


def _plain_action(scene: Scene) -> str:
    if scene.action == "rolling":
        return f"rolling to the {'right' if scene.direction > 0 else 'left'}"
    return ACTIONS[scene.action][0]


def subject_phrase(scene: Scene) -> str:
    """All subjects in their plain words, with articles: ``a red ball and a fox``."""
    return " and ".join(_with_article(_named(subject, SUBJECTS[subject.name][0])) for subject in scene.subjects)


def _named(subject: Subject, noun: str, *, colour: str | None = None, material: str | None = None) -> str:
    """The noun with what is special about it: a colour, and a material that is not what everybody expects."""
    colour = subject.colour if colour is None else colour
    unusual = subject.material != default_material(subject.name)
    material = (MATERIALS[subject.material][0] if unusual else "") if material is None else material
    return " ".join(word for word in (colour, material, noun) if word)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' and not noun.startswith('un') else 'a'} {noun}"


@dataclass(frozen=True)
class _Teller:
    """Draws one wording of each part of a scene."""

    scene: Scene
    rng: np.random.Generator

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, phrases: Sequence[str]) -> str:
        """The plain phrase half of the time, else any."""
        return phrases[0] if self.chance(0.5) else phrases[int(self.rng.integers(len(phrases)))]

    def subject(self, subject: Subject) -> str:
        colour = self.pick(COLOURS[subject.colour]) if subject.colour and self.chance(0.93) else ""
        unusual = subject.material != default_material(subject.name)
        said = self.chance(0.9) if unusual else subject.is_shape and self.chance(0.08)
        material = self.pick(MATERIALS[subject.material]) if said else ""
        return _with_article(_named(subject, self.pick(SUBJECTS[subject.name]), colour=colour, material=material))

    def subjects(self) -> str:
        said = " and ".join(self.subject(each) for each in self.scene.subjects)
        if len(self.scene.subjects) > 1 and self.scene.action != "colliding" and self.chance(0.4):
            said += self.pick((" together", " side by side"))
        return said

    def action(self) -> str:
        if self.scene.action == "rolling" and self.chance(0.6):
            return _plain_action(self.scene)
        phrases = ACTIONS[self.scene.action]
        if len(self.scene.subjects) > 1:
            phrases = tuple(phrase for phrase in phrases if not phrase.startswith(_VERBS))
        return self.pick(phrases)

    def place(self) -> str:
        return self.pick(PLACES[self.scene.place])

    def extras(self) -> list[str]:
        """Voice, music or silence, camera and look, as far as somebody would say them, in any order."""
        scene, parts = self.scene, []
        if scene.sound != "natural" and self.chance(0.95):
            parts.append(self._music())
        if self.chance(0.9 if scene.camera != "still" else 0.12):
            parts.append(self.pick(CAMERAS[scene.camera]))
        if self.chance(0.95 if scene.look != "flat" else 0.15):
            parts.append(self.pick(LOOKS[scene.look]))
        if scene.sound == "natural" and scene.voice is None and self.chance(0.15):
            parts.append(f"the sound of {AMBIENCES[scene.place][0]}")
        self.rng.shuffle(parts)
        return parts

    def _music(self) -> str:
        said = self.pick(SOUNDS[self.scene.sound])
        if self.scene.tempo and self.chance(0.6):
            tempo = self.pick(TEMPOS[self.scene.tempo][:1])
            for start in ("to a ", "to ", "with "):
                if said.startswith(start):
                    return f"{start}{tempo} {said[len(start) :]}"
            return f"{tempo} {said}"
        return said

    def finish(self, text: str) -> str:
        if self.chance(0.25):
            text = text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")
        return text

    def terse(self) -> str:
        """Two to six words: subject or action only, or one of them with the place."""
        what = self.pick(("something", "something", "someone")) if self.scene.subject.is_talker else "something"
        choice = int(self.rng.integers(4))
        if choice == 0:
            return f"{what} {self.action()} {self.place()}"
        if choice == 1:
            return self.subjects()
        if choice == 2:
            return f"{self.subjects().removeprefix('a ').removeprefix('an ')} {self.action()}"
        return f"{self.subjects()} {self.place()}"

    def sentence(self) -> str:
        """What people mostly type: one sentence, with or without commas."""
        first, place = f"{self.subjects()} {self.action()}", self.place() if self.chance(0.93) else ""
        if self.scene.voice and self.chance(0.9):
            first += f" {self.pick(VOICES[self.scene.voice])}"
        core = f"{place}, {first}" if place and self.chance(0.15) else f"{first} {place}".strip()
        parts = self.extras()
        if parts and self.chance(0.15):
            core = f"{parts.pop()}: {core}"
        joint = ", " if self.chance(0.8) else " "
        return self.finish(joint.join([core, *parts]))

    def story(self) -> str:
        """Several sentences, as a careful writer or another model would expand a prompt."""
        scene = self.scene
        parts = [f"{self.pick(('the scene shows', 'we see', 'a clip of'))} {self.subjects()} {self.place()}."]
        pronoun, be = ("they", "are") if len(scene.subjects) > 1 else ("it", "is")
        parts.append(f"{pronoun} {be} {_plain_action(scene)}.")
        if len(scene.subjects) == 1 and scene.subject.colour and self.chance(0.3):
            parts.append(f"its colour is {self.pick(COLOURS[scene.subject.colour])}.")
        if len(scene.subjects) == 1 and scene.subject.is_shape and self.chance(0.3):
            parts.append(f"it is made of {MATERIALS[scene.subject.material][-1]}.")
        if scene.voice:
            parts.append(f"we hear it {self.pick(VOICES[scene.voice])}.")
        if scene.sound != "natural":
            parts.append(f"{self._music()}.")
        elif scene.voice is None and self.chance(0.6):
            parts.append(f"we hear {self.pick(AMBIENCES[scene.place])}.")
        if scene.camera != "still" or self.chance(0.4):
            parts.append(f"{self.pick(CAMERAS[scene.camera])}.")
        if scene.look != "flat" or self.chance(0.4):
            parts.append(f"{self.pick(LOOKS[scene.look])}.")
        if self.chance(0.2):
            parts.append(self.pick(("nothing else happens.", "there is nothing else to see and hear in this short video.")))
        text = " ".join(parts)
        return ". ".join(part[:1].upper() + part[1:] for part in text.split(". ")) if self.chance(0.6) else text
