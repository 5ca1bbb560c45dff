"""Every measurement of a clip: what it is called, what it means, and when it is good. Standard library only.

The table drives the quality card, the order of the library and ``docs/metrics.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "near"]
Needs = Literal["picture", "sound", "both", "words"]
Verdict = Literal["good", "fair", "poor"]
CONFIDENT = 0.95
"""From this ``sync.confidence`` on an offset counts as measured."""


@dataclass(frozen=True)
class Metric:
    """One measurement; ``span`` is what it usually lies in, ``good`` and ``fair`` are where it is so (``None``: no judgement).

    ``needs`` says which clips have it: those with a picture, with sound, with both, or with a model that has a vocabulary.
    ``target`` is the best value of those that are better ``near`` one.
    """

    name: str
    title: str
    unit: str
    span: tuple[float, float]
    better: Better
    needs: Needs
    definition: str
    source: str
    good: tuple[float, float] | None = None
    fair: tuple[float, float] | None = None
    target: float | None = None

    @property
    def group(self) -> str:
        """The part of the card that it is shown in: the first word of its name."""
        return self.name.partition(".")[0]

    def verdict(self, value: float) -> Verdict | None:
        """Whether ``value`` is good, fair or poor; ``None`` where that depends on what was asked for."""
        if self.good is None or self.fair is None:
            return None
        if self.good[0] <= value <= self.good[1]:
            return "good"
        return "fair" if self.fair[0] <= value <= self.fair[1] else "poor"

    def badness(self, value: float) -> float:
        """A number that is smaller the better ``value`` is."""
        if self.better == "near":
            return abs(value - (self.target or 0.0))
        return value if self.better == "lower" else -value


# Good and fair limits; the latter hold on 98 or 99 of 100 places in rendered clips where nobody made anything.
_SEAM_COLOUR, _SEAM_SHARPNESS, _SEAM_MOTION = (0.5, 1.5), (1.15, 1.3), (0.2, 0.7)
_LAI = "Lai et al. 2018, arXiv:1808.00449"
_LOUDNESS = "ITU-R BS.1770-4, by pyloudnorm"
_OURS = "this studio"
_EVERY = 1e9


def _kind(kind: str, title: str, events: str) -> tuple[Metric, Metric]:
    """Offset and confidence of one kind of event."""
    what = f"The same, from {events} alone."
    return (
        Metric(f"sync.{kind}_ms", f"{title} offset", "ms", (-500, 500), "near", "both", what, _OURS, target=0.0),
        Metric(f"sync.{kind}_confidence", f"{title} confidence", "share", (0, 1), "higher", "both", what, _OURS),
    )


_TEMPORAL = (
    Metric("temporal.warp_error", "Warp error", "grey levels", (0, 30), "lower", "picture",
           "Mean change of colours along the motion, where both frames show the same thing.", _LAI, (0, 6), (0, 14)),
    Metric("temporal.flicker", "Flicker", "grey levels", (0, 20), "lower", "picture",
           "Mean change from frame to frame of what does not move.", _LAI, (0, 3), (0, 8)),
    Metric("temporal.drift", "Long-range drift", "share", (0, 1), "lower", "picture",
           "How far the colours of the last quarter are from those of the first: half the difference of their histograms.",
           _OURS, (0, 0.35), (0, 0.6)),
    Metric("temporal.dynamic_degree", "Dynamic degree", "sides/s", (0, 1), "higher", "picture",
           "Speed of the fastest twentieth of the picture, in picture sides a second; 0 for a frozen clip.",
           "VBench, Huang et al. 2024, arXiv:2311.17982", (0.05, _EVERY), (0.01, _EVERY)),
)  # fmt: skip
_PICTURE = (
    Metric("picture.sharpness", "Sharpness", "grey levels", (0, 20), "higher", "picture",
           "Strength of edges that have a direction, over blocks of 8x8 pixels, where the picture's own noise would not make as "
           "much by chance; blur and noise both lower it.",
           "Zhu and Milanfar 2010, metric Q; Immerkaer 1996", (2.5, _EVERY), (0.8, _EVERY)),
    Metric("picture.brightness", "Brightness", "share", (0, 1), "near", "picture",
           "Mean luma, 0 black and 1 white.", "ITU-R BT.601", (0.15, 0.8), (0.07, 0.92), 0.45),
    Metric("picture.dark", "Underexposed", "share", (0, 1), "lower", "picture",
           "Share of pixels that are as good as black: luma under 3 %.", _OURS, (0, 0.25), (0, 0.6)),
    Metric("picture.blown", "Overexposed", "share", (0, 1), "lower", "picture",
           "Share of pixels that are as good as white: luma over 98 %.", _OURS, (0, 0.1), (0, 0.35)),
)  # fmt: skip
_SOUND = (
    Metric("sound.lufs", "Loudness", "LUFS", (-60, 0), "near", "sound",
           "Integrated loudness, gated, of sound of 0.4 s or more that is not silent.", _LOUDNESS, (-27, -10), (-40, -6), -16.0),
    Metric("sound.peak_dbfs", "Peak", "dBFS", (-60, 0), "lower", "sound",
           "The highest sample in dB of full scale; -120 for silence.", _OURS, (-_EVERY, -0.1), (-_EVERY, 3.0)),
    Metric("sound.clipped", "Clipped", "share", (0, 0.1), "lower", "sound",
           "Share of samples in runs of three or more at full scale.", _OURS, (0, 0.0001), (0, 0.002)),
    Metric("sound.silence", "Silence", "share", (0, 1), "lower", "sound",
           "Share of the time, in steps of 20 ms, that is quieter than -60 dBFS.", _OURS, (0, 0.3), (0, 0.8)),
)  # fmt: skip
_SYNC = (
    Metric("sync.offset_ms", "Sound against picture", "ms", (-500, 500), "near", "both",
           "By how much the sound is late (below 0: early), from the kind of event that says so most surely.",
           _OURS, (-60, 60), (-125, 125), 0.0),
    Metric("sync.confidence", "Sync confidence", "share", (0, 1), "higher", "both",
           "Share of soundtracks with the same events at random times that fit the picture worse at every offset.",
           "permutation test, corrected for the number of kinds", (CONFIDENT, 1), (0.8, 1)),
    *_kind("impact", "Impacts:", "contacts and onsets"),
    *_kind("beat", "Beats:", "motion peaks and onsets"),
    *_kind("lip", "Lips:", "the mouth's opening and loudness"),
)  # fmt: skip
_SEMANTIC = (
    Metric("semantic.match", "Follows the prompt", "share", (0, 1), "higher", "words",
           "Share of what the prompt names in the model's words that the readers see and hear in the clip.",
           "the studio's readers, docs/pocket.md", (0.75, 1), (0.5, 1)),
    *(Metric(f"semantic.{kind}", f"{kind.capitalize()} read", "share", (0, 1), "higher", "words",
             f"How sure the readers are of the {kind} that the prompt names.", "the studio's readers, docs/pocket.md")
      for kind in ("subject", "colour", "action", "place", "camera", "look", "sound")),
    *(Metric(f"semantic.{name.lower()}", f"Agreement ({name})", "cosine", span, "higher", "words",
             f"Mean cosine between what a {name} model sees in eight frames and what the prompt asks for at their moments; "
             "only where one is set up.", source)
      for name, span, source in (("CLIP", (0.0, 0.5), "Radford et al. 2021, arXiv:2103.00020; as Hessel et al. 2021"),
                                 ("SigLIP", (-0.1, 0.3), "Zhai et al. 2023, arXiv:2303.15343"))),
)  # fmt: skip
_SIDES = {"in": "kept frames go over into new ones", "out": "new frames go over into kept ones"}
_EDGE = {"in": "where the new begins", "out": "where the new ends"}
_SEAM = tuple(
    metric for side, where in _SIDES.items() for metric in (
        Metric(f"seam.{side}_s", f"Seam {_EDGE[side]}", "s", (0, 60), "lower", "picture",
               f"Where {where}; only clips that an edit made have it.", _OURS),
        Metric(f"seam.{side}_colour", f"Colour {_EDGE[side]}", "CIELAB", (0, 20), "lower", "picture",
               f"By how much the colours change more where {where} than between any other two frames within six of it: mean "
               "distance of 4x4 fields of the picture.", "CIE 1976", (0, _SEAM_COLOUR[0]), (0, _SEAM_COLOUR[1])),
        Metric(f"seam.{side}_sharpness", f"Sharpness {_EDGE[side]}", "times", (0, 2), "near", "picture",
               f"Sharpness of the new frames over that of the kept ones, up to six of each, where {where}.",
               "as picture.sharpness", (1 / _SEAM_SHARPNESS[0], _SEAM_SHARPNESS[0]),
               (1 / _SEAM_SHARPNESS[1], _SEAM_SHARPNESS[1]), 1.0),
        Metric(f"seam.{side}_motion", f"Motion {_EDGE[side]}", "sides/s", (0, 1), "lower", "picture",
               f"By how much the motion of the fastest twentieth of the picture changes more where {where} than elsewhere "
               "within six frames.", _OURS, (0, _SEAM_MOTION[0]), (0, _SEAM_MOTION[1])),
    )
)  # fmt: skip
_LENGTH = (
    Metric("length.picture_s", "Picture", "s", (0, 60), "higher", "picture", "Length of the picture.", _OURS),
    Metric("length.sound_s", "Sound", "s", (0, 60), "higher", "sound", "Length of the sound.", _OURS),
    Metric("length.difference_ms", "Ends apart", "ms", (0, 1000), "lower", "both",
           "How far apart picture and sound end.", _OURS, (0, 90), (0, 250)),
    Metric("length.card_s", "Measured in", "s", (0, 10), "lower", "picture", "Seconds that the measuring took.", _OURS),
)  # fmt: skip

LIVE = (
    Metric("live.sharpness", "Sharpness", "grey levels", (0, 20), "higher", "picture",
           "As picture.sharpness, of the middle frame of the clip that is predicted so far.", "Zhu and Milanfar 2010, metric Q"),
    Metric("live.motion", "Motion", "sides/s", (0, 1), "higher", "picture",
           "As temporal.dynamic_degree, between two frames in the middle of the clip that is predicted so far.",
           "VBench, Huang et al. 2024, arXiv:2311.17982"),
    Metric("live.match", "Match", "share", (0, 1), "higher", "words",
           "How sure the readers are of the subject, colour, place and look that the prompt names, the mean over those.",
           "the studio's readers, docs/pocket.md"),
)  # fmt: skip
"""What is measured while a clip is denoised, with every preview; not kept with the clip."""

METRICS: tuple[Metric, ...] = (*_SYNC, *_SEMANTIC, *_TEMPORAL, *_SEAM, *_PICTURE, *_SOUND, *_LENGTH)
"""Every measurement, in the order of the card."""
BY_NAME = {metric.name: metric for metric in METRICS}
JUDGES = {"clip": "semantic.clip", "siglip": "semantic.siglip", "siglip2": "semantic.siglip"}
"""What text-image models measure, by their kind in transformers."""
GROUPS = {
    "sync": "Together",
    "semantic": "As asked",
    "temporal": "Over time",
    "seam": "Seams",
    "picture": "Picture",
    "sound": "Sound",
    "length": "Length",
}
"""What the parts of the card are called."""
