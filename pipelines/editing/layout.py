"""The laid-out clip: a source's frames and samples where the finished clip will have them, with the holes that a model fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import soxr
from PIL import Image

from pipelines.clip_io import Media, Sound
from pipelines.contract import InvalidRequest
from pipelines.editing.plan import EditPlan, Shape, Window
from pipelines.edits import Edit, Extend, Join, Keyframes, Loop, Region

_CHANGED = 24  # of 255: less is the grain of a codec and no brush stroke


@dataclass(frozen=True)
class Guide:
    """An image ``[H, W, 3]`` uint8 that the clip passes through, and how closely, 0..1."""

    image: np.ndarray
    strength: float


@dataclass(frozen=True)
class Layout:
    """The clip before anything is imagined: ``frames`` ``[T, H, W, 3]`` uint8, its sound, and what bounds the new.

    ``region`` ``[T, H, W]``, 0..1, says where the picture may change within the imagined frames; ``None`` is everywhere.
    ``turned`` is by how many frames the clip was turned round, to be turned back at the end.
    """

    frames: np.ndarray | None
    sound: Sound | None
    region: np.ndarray | None = None
    guides: Mapping[int, Guide] = field(default_factory=dict)
    turned: int = 0


def lay_out(edit: Edit, plan: EditPlan, source: Media, other: Media | None, image_path: Callable[[str], Path]) -> Layout:
    """Place ``source`` and ``other`` as ``plan`` says; ``image_path`` finds the images that ``edit`` names."""
    shape = plan.shape
    match edit:
        case Extend(direction=direction):
            return _extended(shape, source, at_end=direction == "forward")
        case Join():
            assert other is not None
            return joined(plan, source, other)
        case Loop():
            turn = shape.num_frames // 2
            frames = None if source.frames is None else np.roll(source.frames, -turn, axis=0)
            return Layout(frames, _turned(_sound(source, shape), shape, -turn), turned=turn)
        case Region():
            return Layout(source.frames, _sound(source, shape), _masks(edit, plan, image_path))
        case Keyframes():
            guides = {each.frame: Guide(_image(image_path(each.image), shape), each.strength) for each in edit.keyframes}
            return Layout(source.frames, _sound(source, shape), guides=guides)
        case _:
            return Layout(source.frames, _sound(source, shape))


def seen(layout: Layout, window: Window, group: int) -> np.ndarray:
    """What the model is shown of the layout, ``[window.num_frames, window.height, window.width, 3]`` uint8.

    Painted changes last for the whole ``group`` of frames that are one latent; past the end the last frame is repeated.
    """
    assert layout.frames is not None
    index = np.minimum(window.start + np.arange(window.num_frames), len(layout.frames) - 1)
    shown = layout.frames[index].copy()
    for frame, guide in layout.guides.items():
        within = frame - window.start
        if not 0 <= within < window.num_frames:
            continue
        changed = np.abs(guide.image.astype(np.int16) - layout.frames[frame]).max(-1, keepdims=True) > _CHANGED
        first, last = frames_of_latent(latent_of_frame(within, group), group)
        for each in range(first, last):
            shown[each] = guide.image if each == within else np.where(changed, guide.image, shown[each])
    return resized(shown, window.height, window.width)


def latent_of_frame(frame: int, group: int) -> int:
    """The latent that holds a frame: the first alone, then ``group`` at a time (the video VAE is causal)."""
    return (frame + group - 1) // group


def frames_of_latent(latent: int, group: int) -> tuple[int, int]:
    """First frame of a latent, and the one after its last."""
    return (0, 1) if latent == 0 else ((latent - 1) * group + 1, latent * group + 1)


def resized(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """``[F, H, W, C]`` at another size; areas are averaged on the way down."""
    if frames.shape[1:3] == (height, width):
        return frames
    method = cv2.INTER_AREA if height < frames.shape[1] else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (width, height), interpolation=method) for frame in frames])


def heard(sound: Sound, start_s: float, duration_s: float) -> Sound:
    """A stretch of ``sound``, with silence where there is none."""
    first, count = round(start_s * sound.sample_rate), round(duration_s * sound.sample_rate)
    part = sound.samples[:, max(0, first) : max(0, first + count)]
    before = max(0, -first)
    return Sound(np.pad(part, ((0, 0), (before, max(0, count - part.shape[1] - before))))[:, :count], sound.sample_rate)


def _sound(media: Media, shape: Shape) -> Sound | None:
    """The sound exactly as long as the picture; silence for a clip that is to get one."""
    if media.sound is not None:
        return heard(media.sound, 0.0, shape.duration_s)
    return silence(shape.duration_s) if shape.has_audio else None


def silence(duration_s: float, sample_rate: int = 48_000) -> Sound:
    """Nothing to hear, on one channel."""
    return Sound(np.zeros((1, round(duration_s * sample_rate)), np.float32), sample_rate)


def _turned(sound: Sound | None, shape: Shape, frames: int) -> Sound | None:
    if sound is None:
        return None
    return Sound(np.roll(sound.samples, round(frames / shape.frame_rate * sound.sample_rate), axis=1), sound.sample_rate)


def turned_back(layout: Layout, shape: Shape, frames: np.ndarray | None, sound: Sound | None) -> Media:
    """A finished layout as a clip that begins at its beginning."""
    if layout.turned:
        frames = None if frames is None else np.roll(frames, layout.turned, axis=0)
        sound = _turned(sound, shape, layout.turned)
    return Media(frames, sound, shape.frame_rate)


def _extended(shape: Shape, source: Media, *, at_end: bool) -> Layout:
    frames = sound = None
    if source.frames is not None:
        added = shape.num_frames - len(source.frames)
        frames = np.pad(source.frames, ((0, added) if at_end else (added, 0), (0, 0), (0, 0), (0, 0)), mode="edge")
    if source.sound is not None:
        length_s = source.sound.samples.shape[1] / source.sound.sample_rate
        sound = heard(source.sound, 0.0 if at_end else length_s - shape.duration_s, shape.duration_s)
    return Layout(frames, sound)


def joined(plan: EditPlan, source: Media, other: Media) -> Layout:
    """Both clips with the gap between them that the plan leaves; across it the picture fades from one to the other."""
    shape = plan.shape
    frames = sound = None
    first = round(shape.num_frames if source.frames is None else len(source.frames))
    if source.frames is not None and other.frames is not None:
        between = plan.video.end - plan.video.start
        follows = other.frames[_resampled(len(other.frames), shape.num_frames - len(source.frames) - between)]
        follows = cover(follows, shape.height, shape.width)
        share = np.linspace(0, 1, between + 2)[1:-1, None, None, None]
        blend = ((1 - share) * source.frames[-1] + share * follows[0]).round().astype(np.uint8)
        frames = np.concatenate([source.frames, blend, follows])
        first = len(source.frames)
    if shape.has_audio:
        gap = plan.audio.end - plan.audio.start
        one = source.sound or silence(first / shape.frame_rate)
        two = other.sound or silence((shape.num_frames - first - gap) / shape.frame_rate, one.sample_rate)
        sound = _after(heard(one, 0.0, first / shape.frame_rate), gap / shape.frame_rate, two, shape.duration_s)
    return Layout(frames, sound)


def _after(one: Sound, gap_s: float, two: Sound, duration_s: float) -> Sound:
    """``two`` after ``one`` and a silent gap, at the rate and with the channels of ``one``."""
    samples = soxr.resample(two.samples.T, two.sample_rate, one.sample_rate).T
    if len(samples) != len(one.samples):
        samples = np.repeat(samples.mean(0, keepdims=True), len(one.samples), axis=0)
    gap = np.zeros((len(one.samples), round(gap_s * one.sample_rate)), np.float32)
    return heard(Sound(np.concatenate([one.samples, gap, samples], axis=1), one.sample_rate), 0.0, duration_s)


def _resampled(count: int, wanted: int) -> np.ndarray:
    """Which of ``count`` frames stand for ``wanted`` over the same time."""
    return np.minimum(((np.arange(wanted) + 0.5) * count / wanted).astype(int), count - 1)


def cover(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Frames scaled to fill ``height x width`` and cut in the middle."""
    scale = max(height / frames.shape[1], width / frames.shape[2])
    large = resized(frames, max(height, round(frames.shape[1] * scale)), max(width, round(frames.shape[2] * scale)))
    top, left = (large.shape[1] - height) // 2, (large.shape[2] - width) // 2
    return large[:, top : top + height, left : left + width]


def _image(path: Path, shape: Shape) -> np.ndarray:
    """A stored image as a frame of the clip. Raises ``InvalidRequest`` where it cannot be read."""
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
            pixels = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise InvalidRequest(f"edit names an image that cannot be read ({error}); upload it again.", field="edit") from error
    return cover(pixels[None], shape.height, shape.width)[0]


def _masks(edit: Region, plan: EditPlan, image_path: Callable[[str], Path]) -> np.ndarray:
    """The mask of each frame, ``[T, H, W]`` float32, 0..1: none outside the range, from the first mask to the second within."""
    shape, span = plan.shape, plan.video
    begins = _image(image_path(edit.mask), shape).mean(-1).astype(np.float32) / 255
    ends = begins if edit.end_mask is None else _image(image_path(edit.end_mask), shape).mean(-1).astype(np.float32) / 255
    if begins.max() < 0.5 and ends.max() < 0.5:
        raise InvalidRequest("mask is black everywhere; paint white what may change.", field="mask")
    masks = np.zeros((shape.num_frames, shape.height, shape.width), np.float32)
    for frame, share in zip(range(span.start, span.end), np.linspace(0, 1, span.end - span.start), strict=True):
        masks[frame] = _between(begins, ends, float(share))
    return masks


def _between(one: np.ndarray, two: np.ndarray, share: float) -> np.ndarray:
    """The shape between two: moved along with their middles, its outline between theirs."""
    if share == 0 or one is two:
        return one
    way = _middle(two) - _middle(one)
    near, far = _signed_distance(_shifted(one, share * way)), _signed_distance(_shifted(two, (share - 1) * way))
    mask: np.ndarray = np.clip((1 - share) * near + share * far + 0.5, 0, 1).astype(np.float32)
    return mask


def _middle(mask: np.ndarray) -> np.ndarray:
    """Column and row of the middle of what is white."""
    rows, columns = np.nonzero(mask > 0.5)
    return np.array([columns.mean(), rows.mean()]) if len(rows) else np.array(mask.shape[::-1]) / 2


def _shifted(mask: np.ndarray, by: np.ndarray) -> np.ndarray:
    moved: np.ndarray = cv2.warpAffine(mask, np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float32), mask.shape[::-1])
    return moved


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Pixels to the mask's edge, above 0 within."""
    inside = (mask > 0.5).astype(np.uint8)
    if inside.all() or not inside.any():
        return np.full(mask.shape, 1e3 if inside.any() else -1e3, np.float32)
    near = cv2.distanceTransform(inside, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    result: np.ndarray = near
    return result
