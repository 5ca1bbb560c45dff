"""A clip between two pictures: the embedded model begins with one and comes to the other, and what fills holes is given both."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.clip_io import read_media, read_request
from pipelines.contract import Done, GenerationRequest, InvalidRequest
from pipelines.editing.holes import between
from pipelines.engine import Engine
from pipelines.registry import ModelCatalogue
from pipelines.world import Scene, make_clip
from pipelines.world.scene import Subject

HERE = ModelCatalogue.with_folders({})


def picture(place: str, colour: str) -> np.ndarray:
    """A frame that the model could have made itself."""
    return make_clip(Scene((Subject("ball", colour=colour),), place, "standing still"), size=128).frames[0]


def stored(folder: Path, pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    folder.mkdir(exist_ok=True)
    (folder / f"{digest}.png").write_bytes(buffer.getvalue())
    return f"sha256:{digest}"


def apart(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - two).mean())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(HERE, media_dir=tmp_path_factory.mktemp("ends") / "media", device="cpu")


@pytest.mark.parametrize("ends", [("first_frame", "last_frame"), ("last_frame",)])
def test_a_clip_comes_to_its_last_frame(engine: Engine, tmp_path: Path, ends: tuple[str, ...]) -> None:
    pictures = {"first_frame": picture("grass", "red"), "last_frame": picture("night", "yellow")}
    given = {name: stored(engine.media_path("sha256:0").parent, pictures[name]) for name in ends}
    request = HERE.complete(GenerationRequest(prompt="a ball", seed=3, num_frames=17, num_inference_steps=4, crf=12, **given))
    *_, done = engine.run(request, tmp_path / "clip.mp4")
    assert isinstance(done, Done)
    frames = read_media(done.result.path).frames
    first, last = pictures.values()
    assert apart(frames[-1], last) < 0.2 * apart(frames[-1], first)
    if "first_frame" in ends:
        assert apart(frames[0], first) < 0.2 * apart(frames[0], last)
    else:  # nothing but the end is given
        assert apart(frames[0], last) > 4 * apart(frames[-1], last)
    kept, images = read_request(done.result.path)
    assert kept == request and set(images) == set(given.values())


def test_one_moment_is_not_both(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="needs a clip of at least 5 frames to come to it, and num_frames is 1") as refused:
        HERE.complete(GenerationRequest(prompt="a ball", num_frames=1, last_frame=stored(tmp_path, picture("sea", "red"))))
    assert refused.value.field == "last_frame"
    for model in ("wan-2.2-5b", "ltx-2.5-dfr"):
        with pytest.raises(InvalidRequest, match=r"last_frame is set, but .* has no use for it"):
            HERE.complete(GenerationRequest(prompt="a ball", model=model, modality="video", last_frame="sha256:" + "0" * 64))


def test_what_fills_holes_is_given_both_ends() -> None:
    first, last = np.zeros((4, 6, 3), np.uint8), np.full((4, 6, 3), 255, np.uint8)
    holes = between((9, 4, 6), {0: first, -1: last})
    assert not holes.mask[[0, 8]].any() and holes.mask[1:8].all()
    assert holes.frames[0].max() == 0 and holes.frames[8].min() == 255 and (holes.frames[1:8] == 128).all()
