"""What can be told of a clip while it is denoised, from a few frames of its predicted clean latents: sharpness, motion, match."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.metrics.picture import sharpness
from pipelines.metrics.semantic import Named, named, semantic_metrics
from pipelines.metrics.temporal import fastest
from pipelines.optical_flow import FAST, DenseFlow
from pipelines.prompting.timeline import timeline_of
from pipelines.vocabulary import Vocabulary

_KINDS = ("subject", "colour", "place", "look")  # what a still shows
_LARGEST_SIDE = 128


class Live:
    """The measures of ``catalogue.LIVE`` for one run; what the prompt names is worked out once."""

    def __init__(self, prompt: str, vocabulary: Vocabulary | None, frame_rate: float) -> None:
        asked = named(prompt, vocabulary) if vocabulary is not None else {}
        self._asked: Named = {kind: concepts for kind, concepts in asked.items() if kind in _KINDS}
        self._frame_rate = frame_rate

    def of(self, frames_FHWC: np.ndarray) -> dict[str, float]:
        """Measures of neighbouring frames ``[F, H, W, 3]`` uint8; a single one has no motion."""
        luma = cv2.cvtColor(frames_FHWC[-1], cv2.COLOR_RGB2GRAY)
        found = {"live.sharpness": sharpness(luma)}
        if len(frames_FHWC) > 1:
            found["live.motion"] = self._motion(frames_FHWC[-2:])
        return {name: round(value, 4) for name, value in (found | self._match(frames_FHWC[-2:])).items()}

    def _motion(self, pair_FHWC: np.ndarray) -> float:
        height, width = pair_FHWC.shape[1:3]
        scale = min(1.0, _LARGEST_SIDE / max(height, width))
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        one, two = (
            cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for frame in pair_FHWC
        )
        return fastest(DenseFlow(FAST).between(one, two)) * self._frame_rate / max(size)

    def _match(self, frames_FHWC: np.ndarray) -> dict[str, float]:
        """How sure the readers are of what the prompt names and a still shows; nothing where it names none of that."""
        if not self._asked:
            return {}
        import torch

        from pipelines.metrics.readers import CLASSES, load_readers, with_change

        readers = load_readers()
        with torch.inference_mode():
            clip = torch.from_numpy(frames_FHWC).permute(0, 3, 1, 2)[None].float() / 255
            what, _ = readers.picture.look(with_change(clip)[0])
            logits = readers.picture.stills(what.mean(0, keepdim=True))
            logits["subject"] = readers.subject(clip[0]).mean(0, keepdim=True)
            sure = {name: dict(zip(CLASSES[name], logits[name][0].softmax(0).tolist(), strict=True)) for name in _KINDS}
        shares = [value for name, value in semantic_metrics(self._asked, sure).items() if name != "semantic.match"]
        return {"live.match": float(np.mean(shares))} if shares else {}


def words_at(prompt: str, moment_s: float) -> str:
    """What ``prompt`` asks for at a moment: all of it, or of a time-stamped one the segment that is nearest."""
    timeline = timeline_of(prompt)
    if timeline is None:
        return prompt
    return min(timeline.spoken(), key=lambda each: max(each.start_s - moment_s, moment_s - each.end_s)).text
