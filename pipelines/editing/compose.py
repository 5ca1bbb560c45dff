"""The new put into the old: frames and samples outside what was imagined stay bit for bit, and the joins do not jump."""

from __future__ import annotations

import cv2
import numpy as np
import soxr

from pipelines.clip_io import Media, Sound
from pipelines.editing.layout import Layout, heard, resized, turned_back
from pipelines.editing.plan import EditPlan, Span, Window

_CARRY_FRAMES = 6
_ALIKE = 18.0  # of 255: how different two pixels may be to still show the same thing
_DETAIL_PX = 3.0
_FEATHER_PX = 3
_CROSSFADE_S = 0.012


def composed(layout: Layout, plan: EditPlan, made_frames: np.ndarray | None, made_sound: Sound | None) -> Media:
    """The finished clip. Where the layout has no picture at all, the window's is the whole of it."""
    frames, sound = layout.frames, layout.sound
    if made_frames is not None and not plan.video.is_empty:
        frames = _whole(plan, made_frames) if frames is None else compose_frames(layout, plan, made_frames)
    if made_sound is not None and sound is not None and not plan.audio.is_empty:
        sound = compose_sound(layout, plan, made_sound)
    kept = (frames if plan.shape.has_video else None, sound if plan.shape.has_audio else None)
    return turned_back(layout, plan.shape, *kept)


def _whole(plan: EditPlan, made: np.ndarray) -> np.ndarray:
    """A picture for a clip that had none, the last frame repeated where the clip is longer."""
    index = np.minimum(np.arange(plan.shape.num_frames), len(made) - 1)
    return resized(made[index], plan.shape.height, plan.shape.width)


def compose_frames(layout: Layout, plan: EditPlan, made: np.ndarray) -> np.ndarray:
    """The layout's frames with the imagined ones from the decoded window ``made`` ``[window frames, h, w, 3]`` uint8."""
    assert layout.frames is not None and plan.window is not None
    frames, span, window = layout.frames.copy(), plan.video, plan.window
    height, width = frames.shape[1:3]
    drawn = resized(made, height, width)
    detail = _Detail(layout.frames, drawn, span, window)
    for frame in range(span.start, span.end):
        new = detail.added(frame, drawn[frame - window.start])
        if layout.region is not None:
            new = _within(layout.region[frame], layout.frames[frame], new)
        guide = layout.guides.get(frame)
        if guide is not None:
            new = np.round((1 - guide.strength) * new.astype(np.float32) + guide.strength * guide.image).astype(np.uint8)
        frames[frame] = new
    return frames


class _Detail:
    """What the codec leaves out of the frames beside the imagined ones, carried a little way into those.

    A decoded frame lacks the finest detail of the source, so that a plain cut from one to the other jumps. The difference is
    known on the kept frames at both sides; where a new pixel still shows what the kept one shows, it is added, fading out.
    """

    def __init__(self, source: np.ndarray, drawn: np.ndarray, span: Span, window: Window) -> None:
        self._sides: list[tuple[int, np.ndarray, np.ndarray]] = []
        for at in (span.start - 1, span.end):
            if window.start <= at < min(window.start + window.num_frames, len(source)):
                shown = drawn[at - window.start].astype(np.float32)
                missing = source[at].astype(np.float32) - shown
                # Lost detail averages out over a few pixels. Where it does not, the two show different things: the frame shares a
                # latent with the hole and was imagined too.
                differs = np.abs(cv2.GaussianBlur(missing, (0, 0), _DETAIL_PX)).mean(-1)
                self._sides.append((at, shown, missing * np.exp(-np.square(differs / _ALIKE))[..., None]))

    def added(self, frame: int, new: np.ndarray) -> np.ndarray:
        """The new frame with the detail of its neighbours, ``[H, W, 3]`` uint8."""
        result = new.astype(np.float32)
        for at, shown, missing in self._sides:
            near = max(0.0, 1 - (abs(frame - at) - 1) / _CARRY_FRAMES)
            if near > 0:
                away = cv2.GaussianBlur(np.abs(new - shown).mean(-1), (0, 0), 1.5)
                result += near * np.exp(-np.square(away / _ALIKE))[..., None] * missing
        clipped: np.ndarray = np.clip(np.round(result), 0, 255).astype(np.uint8)
        return clipped


def _within(mask: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """``new`` where the mask ``[H, W]`` is white, ``old`` bit for bit where it is black, with a soft edge inside the white."""
    inside = (mask > 0.5).astype(np.uint8)
    share = np.clip(cv2.distanceTransform(inside, cv2.DIST_L2, 3) / _FEATHER_PX, 0, 1)[..., None] if not inside.all() else 1.0
    blended = share * new + (1 - share) * old.astype(np.float32)
    result: np.ndarray = np.round(blended).astype(np.uint8)
    return result


def compose_sound(layout: Layout, plan: EditPlan, made: Sound) -> Sound:
    """The layout's samples with the imagined stretch from the decoded window's sound ``made``."""
    assert layout.sound is not None and plan.window is not None
    base, shape = layout.sound, plan.shape
    rate = base.sample_rate
    start, end = (round(frame / shape.frame_rate * rate) for frame in (plan.audio.start, plan.audio.end))
    end = min(end, base.samples.shape[1])
    offset_s = plan.audio.start / shape.frame_rate - plan.window.start / shape.frame_rate
    new = _as_base(heard(made, offset_s, (end - start) / rate), base, end - start)
    samples = base.samples.copy()
    fade = min(round(_CROSSFADE_S * rate), (end - start) // 2)
    # The layout's own sound goes on under the first and last moments of the new, so that neither clicks.
    rise = np.ones(end - start, np.float32)
    ramp = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32)) ** 2
    if start > 0:
        rise[:fade] = ramp
    if end < base.samples.shape[1]:
        rise[len(rise) - fade :] = ramp[::-1]
    samples[:, start:end] = rise * new + (1 - rise) * base.samples[:, start:end]
    return Sound(samples, rate)


def _as_base(sound: Sound, base: Sound, count: int) -> np.ndarray:
    """Samples ``[channels, count]`` at the rate and with the channels of ``base``."""
    samples = soxr.resample(sound.samples.T, sound.sample_rate, base.sample_rate).T
    if len(samples) != len(base.samples):
        samples = np.repeat(samples.mean(0, keepdims=True), len(base.samples), axis=0)
    return np.pad(samples, ((0, 0), (0, max(0, count - samples.shape[1]))))[:, :count].astype(np.float32)
