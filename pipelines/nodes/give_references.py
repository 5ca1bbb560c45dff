"""Images and clips that the transformer is shown beside the clip that it imagines: in-context conditioning."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pipelines.contract import Event, InvalidRequest, Progress
from pipelines.graph import Context, Node, Wire


class GiveReferences(Node):
    """``references`` as clean tokens after the clip's own; a LoRA among ``loras`` may say that it was shown them smaller."""

    model: str
    weights: str
    references: tuple[str, ...]
    loras: tuple[str, ...]
    height: int
    width: int
    num_frames: int
    frame_rate: float
    given: Wire | None = None

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Returns a ``Given``. Raises ``InvalidRequest`` for what cannot be read, or does not fit the model's grid."""
        from pipelines.conditioning import Given, give_references
        from pipelines.models.ltx2.latents import Canvas

        yield Progress("encode", 0, 1)
        model = context.model(self.model)
        canvas = Canvas.of(model, height=self.height, width=self.width, num_frames=self.num_frames, frame_rate=self.frame_rate)
        scale = self._scale(context)
        side = scale * model.vae.spatial_compression_ratio
        for name, pixels in (("height", self.height), ("width", self.width)):
            if pixels % side:
                raise InvalidRequest(
                    f"{name} is {pixels}; its LoRA is shown references {scale} times smaller: use a multiple of {side}.",
                    field=name,
                )
        shown = [self._shown(context, reference, scale, model.vae.temporal_compression_ratio) for reference in self.references]
        given = give_references(model, shown, canvas, inputs.get("given") or Given(), scale)
        yield Progress("encode", 1, 1)
        return given

    def _shown(self, context: Context, reference: str, scale: int, group: int) -> Any:
        import numpy as np

        from pipelines.conditioning import cover
        from pipelines.showing import covered, frames_of, picture_of

        height, width = self.height // scale, self.width // scale
        if not reference.startswith("clip:"):
            return np.array(cover(picture_of(context.media_path(reference)), height, width))[None]
        frames = frames_of(context.source_path(reference), self.num_frames, self.frame_rate)
        return covered(frames[: (len(frames) - 1) // group * group + 1], height, width)

    def _scale(self, context: Context) -> int:
        from pipelines.lora.file import reference_scale

        scales = {reference_scale(context.source_path(lora)) for lora in self.loras} - {1}
        if len(scales) > 1:
            raise InvalidRequest("loras want references of different sizes: take one of them out.", field="loras")
        return scales.pop() if scales else 1
