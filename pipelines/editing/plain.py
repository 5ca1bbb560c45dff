"""Edits of frames and samples that are there: no model sees them."""

from __future__ import annotations

import cv2
import librosa
import numpy as np

from pipelines.clip_io import Media, Sound
from pipelines.contract import InvalidRequest
from pipelines.editing.colour import matched
from pipelines.editing.layout import heard, joined, silence
from pipelines.editing.plan import EditPlan
from pipelines.edits import Crop, Dub, Edit, Interpolate, Join, MatchColour, Mute, ReplaceSound, ShiftSound, Speed, Trim
from pipelines.optical_flow import DenseFlow


def edited(edit: Edit, plan: EditPlan, source: Media, other: Media | None) -> Media:
    """The clip after ``edit``. Its streams are exactly as long as ``plan.shape`` says."""
    shape = plan.shape
    frames, sound = source.frames, source.sound
    match edit:
        case Trim(start_s=start_s):
            first = round(start_s * shape.frame_rate)
            frames = None if frames is None else frames[first : first + shape.num_frames]
            sound = None if sound is None else heard(sound, first / shape.frame_rate, shape.duration_s)
        case Join():
            assert other is not None
            layout = joined(plan, source, other)
            frames, sound = layout.frames, layout.sound
        case Crop(left=left, top=top, width=width, height=height) if frames is not None:
            frames = frames[:, top : top + height, left : left + width]
        case MatchColour(start_s=start_s, end_s=end_s) if frames is not None:
            start = min(round(start_s * shape.frame_rate), len(frames) - 1)
            end = len(frames) if end_s is None else min(round(end_s * shape.frame_rate), len(frames))
            frames = matched(frames, start, max(start + 1, end))
        case Mute():
            sound = None
        case ReplaceSound() | Dub():
            assert other is not None and other.sound is not None
            sound = heard(other.sound, 0.0, shape.duration_s)
        case ShiftSound(offset_s=offset_s) if sound is not None:
            sound = heard(sound, -offset_s, shape.duration_s)
        case Speed(factor=factor):
            frames = None if frames is None else frames[_nearest(len(frames), shape.num_frames)]
            sound = None if sound is None else stretched(sound, factor, shape.duration_s)
        case Interpolate(factor=factor) if frames is not None:
            frames = interpolated(frames, factor)
        case _:
            raise InvalidRequest(f"edit {edit.kind!r} does not fit this clip; choose another.", field="edit")
    if shape.has_audio and sound is None:
        sound = silence(shape.duration_s)
    return Media(frames, sound, shape.frame_rate)


def _nearest(count: int, wanted: int) -> np.ndarray:
    """Which of ``count`` frames is shown at each of ``wanted`` moments."""
    return np.minimum((np.arange(wanted) * count / wanted).astype(int), count - 1)


def stretched(sound: Sound, factor: float, duration_s: float) -> Sound:
    """Sound ``factor`` times as fast at its own pitch (phase vocoder), ``duration_s`` long."""
    if factor == 1:
        return heard(sound, 0.0, duration_s)
    samples = np.stack([librosa.effects.time_stretch(y=channel, rate=factor) for channel in sound.samples.astype(np.float32)])
    return heard(Sound(samples, sound.sample_rate), 0.0, duration_s)


def interpolated(frames: np.ndarray, factor: int) -> np.ndarray:
    """``factor`` times as many frames: those that are there, bit for bit, and between each two the ones on the way.

    Each new frame is both neighbours warped along dense optical flow (DIS; Kroeger et al. 2016, arXiv:1603.03590) to its moment
    and blended; the last frame stands still for its whole time.
    """
    flow = DenseFlow()
    height, width = frames.shape[1:3]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    result = np.repeat(frames, factor, axis=0)
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    for index in range(len(frames) - 1):
        ahead = flow.between(greys[index], greys[index + 1])
        back = flow.between(greys[index + 1], greys[index])
        for step in range(1, factor):
            share = step / factor
            one = _warped(frames[index], x - share * ahead[..., 0], y - share * ahead[..., 1])
            two = _warped(frames[index + 1], x - (1 - share) * back[..., 0], y - (1 - share) * back[..., 1])
            result[index * factor + step] = np.round((1 - share) * one + share * two).astype(np.uint8)
    return result


def _warped(frame: np.ndarray, to_x: np.ndarray, to_y: np.ndarray) -> np.ndarray:
    warped: np.ndarray = cv2.remap(frame.astype(np.float32), to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped
