"""What happens when in a clip: small enough to be kept with it, and read without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Moments(BaseModel):
    """What happens when in a clip, in seconds from its beginning, as its sync is measured from it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    impacts_s: tuple[float, ...]
    """Things are seen to touch."""
    beats_s: tuple[float, ...]
    """The picture moves as on a beat."""
    heard_s: tuple[float, ...]
    """Something begins to sound."""
    mouth: tuple[float, ...] | None = None
    """How far the mouth is open, 0..1 a frame; ``null`` where nobody is heard to speak."""
