"""Wan Animate on a tiny twin of its real classes: a character acts as the pose and the face of clips, or takes a place in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.clip_io import read_origin
from pipelines.contract import Done, GenerationRequest, InvalidRequest, Progress
from pipelines.models.wan.twin import FACE
from pipelines.registry import ModelCatalogue, published_models
from pipelines.showing import covered, frames_of
from tests.pipelines.models.families import Case, Stand, stand_for
from tests.pipelines.models.test_sound_models import filmed

CLIPS = tuple("clip:" + letter * 32 for letter in "abcd")
ROLES = ("pose", "face", "background", "mask")
IMAGE = f"sha256:{'1' * 64}"


@pytest.fixture(scope="module")
def animate(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return stand_for(Case("wan", "animate", "WanAnimatePipeline", ("references",)), tmp_path_factory.mktemp("animate"))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Clips of 30 frames a second, the second of them shorter than what is made."""
    folder = tmp_path_factory.mktemp("films")
    colours = ((220, 40, 40), (40, 220, 40), (40, 40, 220), (255, 255, 255))
    return {
        clip: filmed(folder / f"{k}.mp4", seconds=0.2 if k == 1 else 1.0, rate=30.0, colour=colour)
        for k, (clip, colour) in enumerate(zip(CLIPS, colours, strict=True))
    }


@pytest.fixture(scope="module")
def character(animate: Stand) -> str:
    return animate.image()


def made(animate: Stand, films: dict[str, Path], path: Path, request: GenerationRequest) -> tuple[np.ndarray, list[Any]]:
    """Its frames before they are encoded, and the steps that were told."""
    engine = animate.engine()
    events = list(engine.run(request, path, films))
    assert isinstance(events[-1], Done) and read_origin(path).request == request
    (media,) = [media for media, _ in engine.cache._values.values() if hasattr(media, "frames")]
    return media.frames, [(e.step, e.total) for e in events if isinstance(e, Progress) and e.stage == "denoise"]


def plain(animate: Stand, films: dict[str, Path], request: GenerationRequest, **shown: Any) -> np.ndarray:
    """What diffusers makes by itself of the same clips, as its documentation has it."""
    pipeline = animate.pipeline(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    given: dict[str, Any] = {"face_video": [Image.new("RGB", (FACE, FACE))] * request.num_frames}
    for role, clip in zip(ROLES, request.clips(), strict=False):
        side = (FACE, FACE) if role == "face" else (request.height, request.width)
        frames = list(covered(frames_of(films[clip], request.num_frames, request.frame_rate), *side))
        frames += [frames[-1]] * (request.num_frames - len(frames))
        given[f"{role}_video"] = [Image.fromarray(frame) for frame in frames]
    with Image.open(animate.media / f"{request.images()[0].removeprefix('sha256:')}.png") as image:
        given["image"] = image.convert("RGB")
    names = ("prompt", "negative_prompt", "height", "width", "num_inference_steps", "guidance_scale")
    arguments = {name: getattr(request, name) for name in names} | given | shown
    generator = torch.Generator("cpu").manual_seed(request.seed)
    frames = pipeline(**arguments, generator=generator, output_type="np", max_sequence_length=512).frames[0]
    return (frames * 255).round().astype(np.uint8)


@pytest.mark.parametrize(("count", "mode"), [(1, "animate"), (2, "animate"), (4, "replace")])
def test_a_character_acts_as_diffusers_has_it(count, mode, animate, films, character, tmp_path):
    request = animate.request(references=[character, *CLIPS[:count]], guidance_scale=2.0)
    frames, steps = made(animate, films, tmp_path / "clip.mp4", request)
    expected = plain(animate, films, request, mode=mode, segment_frame_length=9)
    assert frames.shape == (9, 64, 96, 3) and (frames == expected).all() and steps == [(k, 3) for k in range(4)]


def test_every_clip_that_it_is_shown_counts(animate, films, character, tmp_path):
    seen = []
    for k, references in enumerate(([CLIPS[0]], [CLIPS[2]], CLIPS[:2], [CLIPS[0], CLIPS[3]], CLIPS)):
        request = animate.request(references=[character, *references])
        seen.append(made(animate, films, tmp_path / f"{k}.mp4", request)[0])
    assert all((one != other).any() for k, one in enumerate(seen) for other in seen[:k])


def test_a_long_act_is_made_in_pieces_with_one_progress(animate, films, character, tmp_path):
    request = animate.request(references=[character, *CLIPS[:2]], num_frames=81, height=32, width=32, num_inference_steps=1)
    frames, steps = made(animate, films, tmp_path / "clip.mp4", request)
    assert len(frames) == 81 and steps == [(0, 2), (1, 2), (1, 2), (2, 2)]
    assert (frames == plain(animate, films, request, mode="animate")).all()


def test_a_clip_that_is_gone_is_said_to_be_a_reference(animate, films, character, tmp_path):
    request = animate.request(references=[character, CLIPS[0]])
    with pytest.raises(InvalidRequest, match="references has a clip that is no longer in the library") as caught:
        list(animate.engine().run(request, tmp_path / "clip.mp4", {CLIPS[0]: tmp_path / "gone.mp4"}))
    assert caught.value.field == "references" and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("references", "says"),
    [
        ([], "references needs an image and a clip for Wan 2.2 Animate, 14 B: the character, and the pose that it takes on"),
        ([IMAGE], "references needs an image and a clip"),
        (CLIPS[:1], "references needs an image and a clip"),
        ([IMAGE, *CLIPS[:3]], "references has a background but no mask: add that clip behind it"),
        ([IMAGE, "sha256:" + "2" * 64, CLIPS[0]], "references has 2 images; Wan 2.2 Animate, 14 B takes 1 image"),
    ],
)
def test_what_is_missing_or_too_much_is_said(references, says):
    catalogue = ModelCatalogue(published_models())
    asked = GenerationRequest(prompt="a dance", model="wan-2.2-animate-14b", modality="video", references=references)
    with pytest.raises(InvalidRequest, match=says) as caught:
        catalogue.complete(asked)
    assert caught.value.field == "references"
