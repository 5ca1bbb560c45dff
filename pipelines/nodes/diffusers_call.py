"""A whole clip by a pipeline of diffusers: for families that the studio has no loop of its own for."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any

from pipelines.contract import Event, InvalidRequest, Progress
from pipelines.editing.plan import EditPlan
from pipelines.graph import Context, Node, Wire
from pipelines.optimize.memory import SPARING


class DiffusersCall(Node):
    """The pipeline of ``model`` called with ``arguments`` (``family.Call``).

    The noise is drawn on the CPU from ``seed``, so that it is the same on every device. Some pipelines also throw torch's own
    dice, whatever generator they are given: they are set by the seed meanwhile.
    """

    model: str
    weights: str
    arguments: Mapping[str, str | int | float | bool | None]
    passes: int
    """How often the pipeline goes through its steps."""
    seed: int
    height: int
    width: int
    num_frames: int
    frame_rate: float
    first_frame: str | None
    last_frame: str | None = None
    fills: bool = False
    """Whether the pipeline takes a video and a mask (``Call.fills``)."""
    layout: Wire | None = None
    plan: EditPlan | None = None
    """Of an edit: the clip whose window is filled, and what of it is imagined."""
    references: tuple[str, ...] = ()
    """What the pipeline is shown: images of things; one that fills also a clip that it follows."""
    roles: tuple[str, ...] = ()
    """What each clip among the references is for, where the pipeline makes a character act."""

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Media``; yields a step at a time, so that closing cancels within one."""
        import torch

        from pipelines.calling import called
        from pipelines.editing.holes import holes_of
        from pipelines.models.called import adjusted, check_texts, tiled

        yield Progress("encode", 0, 1)
        model = context.model(self.model)
        check_texts(model, self.arguments)
        pipeline = model.pipeline_for(image=self.first_frame is not None)
        arguments = adjusted(pipeline, self.arguments)
        picture, ending = self._picture(context, "first_frame"), self._picture(context, "last_frame")
        if self.fills and (picture is not None or ending is not None or self.references):
            arguments |= self._begun(context, picture, ending)
        elif picture is not None:
            arguments |= {"image": picture}
        elif self.roles:
            arguments |= self._acting(context, model)
        elif self.references:
            arguments |= {"reference_images": self._things(context)}
        elif self.plan is not None:
            arguments |= _filled(holes_of(inputs["layout"], self.plan, model.spec.frame_multiple))
        arguments |= {"generator": torch.Generator("cpu").manual_seed(self.seed), "output_type": "np"}
        decoding = "decode sound" if model.spec.is_for_sound else "decode picture"
        with (
            torch.random.fork_rng([model.device] if model.device.type == "cuda" else []),
            tiled(pipeline, context.thrift == SPARING),
            closing(called(pipeline, arguments, self.passes)) as steps,
        ):
            torch.manual_seed(self.seed)
            output = yield from _told(steps, decoding)
        media = self._media(output, model)
        yield Progress(decoding, 1, 1)
        return media

    def _picture(self, context: Context, name: str) -> Any:
        """The image of the field ``name``, cut to the clip's shape; ``None`` where there is none."""
        from pipelines.conditioning import cover
        from pipelines.showing import picture_of

        reference = getattr(self, name)
        return None if reference is None else cover(picture_of(context.media_path(reference), name), self.height, self.width)

    def _begun(self, context: Context, picture: Any, ending: Any) -> dict[str, Any]:
        """A clip that begins and ends with pictures, if there are any, follows a clip and shows the things of its references."""
        import numpy as np

        from pipelines.editing.holes import between
        from pipelines.showing import covered, frames_of

        followed = [
            covered(frames_of(context.source_path(each), self.num_frames, self.frame_rate), self.height, self.width)
            for each in self.references
            if each.startswith("clip:")
        ]
        things = self._things(context)
        shape = self.num_frames, self.height, self.width
        ends = {frame: np.asarray(each) for frame, each in ((0, picture), (-1, ending)) if each is not None}
        holes = between(shape, ends, *followed)
        return _filled(holes) | ({"reference_images": things} if things else {})

    def _acting(self, context: Context, model: Any) -> dict[str, Any]:
        """A character and how it moves; a clip that is shorter than the new one stands still at its end.

        Without a face it is shown a black one, away from which the pipeline also guides.
        """
        import numpy as np
        from PIL import Image

        from pipelines.showing import covered, frames_of

        face = (model.pipeline.transformer.config.motion_encoder_size,) * 2
        films = {"face": np.zeros((1, *face, 3), np.uint8)}
        clips = (each for each in self.references if each.startswith("clip:"))
        for role, clip in zip(self.roles, clips, strict=False):
            frames = frames_of(context.source_path(clip), self.num_frames, self.frame_rate)
            films[role] = covered(frames, *(face if role == "face" else (self.height, self.width)))
        shown = {
            f"{role}_video": [Image.fromarray(frames[min(k, len(frames) - 1)]) for k in range(self.num_frames)]
            for role, frames in films.items()
        }
        (character,) = self._things(context)
        length, _ = model.spec.call.pieces
        mode = "replace" if "mask" in films else "animate"
        return {"image": character, "mode": mode, "segment_frame_length": min(length, self.num_frames), **shown}

    def _things(self, context: Context) -> list[Any]:
        """The images among the references."""
        from pipelines.showing import picture_of

        return [picture_of(context.media_path(each)) for each in self.references if not each.startswith("clip:")]

    def _media(self, output: Any, model: Any) -> Any:
        """Frames ``[F, H, W, 3]`` uint8 and sound, where the pipeline makes them. Raises ``InvalidRequest`` for another shape."""
        import numpy as np

        from pipelines.clip_io import Media, Sound

        if model.spec.is_for_sound:
            return Media(None, Sound(np.atleast_2d(output.audios[0]), model.sample_rate), self.frame_rate)
        frames = (output.frames[0] * 255).round().astype(np.uint8)
        if frames.shape[:3] != (self.num_frames, self.height, self.width):
            made = " x ".join(map(str, frames.shape[:3]))
            raise InvalidRequest(
                f"num_frames, height and width do not suit {model.spec.title}, which made {made}: use what it makes.",
                field="num_frames",
            )
        samples = getattr(output, "audio", None)
        return Media(frames, None if samples is None else Sound(np.atleast_2d(samples[0]), model.sample_rate), self.frame_rate)


def _filled(holes: Any) -> dict[str, Any]:
    """What a pipeline that fills is given."""
    from PIL import Image

    mask = holes.mask.astype("uint8") * 255
    return {"video": [Image.fromarray(each) for each in holes.frames], "mask": [Image.fromarray(each) for each in mask]}


def _told(steps: Generator[Any, None, Any], decoding: str) -> Generator[Event, None, Any]:
    """The steps of a call as events: the first tells that the texts are read, the last that ``decoding`` comes next."""
    while True:
        try:
            step = next(steps)
        except StopIteration as finished:
            return finished.value
        if step.index == 0:
            yield Progress("encode", 1, 1)
        yield Progress("denoise", step.index, step.total)
        if step.index == step.total:
            yield Progress(decoding, 0, 1)
