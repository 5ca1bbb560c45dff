"""Other people's files, whole ones and broken ones: each becomes the right clip or is refused in one sentence, and soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipelines.clip_io import read_media, read_request
from pipelines.contract import ImportRequest, InvalidRequest, Modality
from studio.importing.apart import Imported, import_apart
from studio.importing.order import Order
from tests.studio.importing.broken import BAD
from tests.studio.importing.foreign import GOOD, QUARTERS, TONE_HZ, Make, Right
from tests.studio.importing.orders import order_for

# All of them run side by side in one process of the suite; each has a child of its own.
pytestmark = pytest.mark.xdist_group("foreign")
_AT_A_TIME = 4


@dataclass(frozen=True)
class Outcome:
    """What came of a file, and how long that took."""

    clip: Path
    imported: Imported | None
    refusal: InvalidRequest | None
    seconds: float


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    folder = tmp_path_factory.mktemp("foreign")
    makers: dict[str, Make] = {name: make for name, (make, _) in (GOOD | BAD).items()}
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        yield {name: pool.submit(outcome, make, folder / f"{number}.mp4") for number, (name, make) in enumerate(makers.items())}
        pool.shutdown(cancel_futures=True)


def outcome(make: Make, path: Path) -> Outcome:
    make(path)
    order: Order = order_for(path, path.with_suffix(".clip.mp4"))
    clip, began = Path(order.target), time.monotonic()
    try:
        return Outcome(clip, import_apart(order), None, time.monotonic() - began)
    except InvalidRequest as refusal:
        return Outcome(clip, None, refusal, time.monotonic() - began)


@pytest.mark.parametrize("name", GOOD)
def test_a_whole_file_becomes_the_right_clip(outcomes: dict[str, Future[Outcome]], name: str) -> None:
    right: Right = GOOD[name][1]
    found = outcomes[name].result()
    assert found.imported is not None, found.refusal
    request, media = found.imported.request, read_media(found.clip)
    assert read_request(found.clip)[0] == request and isinstance(request, ImportRequest)
    assert request.frame_rate == pytest.approx(right.rate, rel=1e-4)
    assert right.frames in (None, request.num_frames)
    if right.quarters is None and right.sound_s is not None:
        assert media.frames is None and request.modality == Modality.AUDIO
    else:
        assert media.frames.shape == (request.num_frames, right.height, right.width, 3)
        assert (request.height, request.width) == (right.height, right.width)
        assert media.frame_rate == pytest.approx(right.rate, rel=1e-3)
        for number, quarter in enumerate(right.quarters or ()):
            shown = middle(media.frames, number)
            wanted = (255, 255, 255) if quarter == 3 and any("white" in text for text in right.says) else QUARTERS[quarter]
            assert np.abs(shown - wanted).max() < right.tolerance, (number, shown, wanted)
    assert (media.sound is None) == (right.sound_s is None)
    if media.sound is not None:
        samples, rate = media.sound.samples, media.sound.sample_rate
        heard = samples[:, np.abs(samples).max(axis=0) > 0.01].shape[1] / rate
        assert rate == 48000 and abs(samples.shape[1] / rate - request.duration_s) < 0.03
        assert abs(heard - (0.5 if "silence follows" in right.says else right.sound_s)) < 0.12
        assert abs(np.abs(np.fft.rfft(samples[0, :24000])).argmax() * rate / 24000 - TONE_HZ) <= 4
    told = " ".join(found.imported.notices)
    assert all(words in told for words in right.says), told
    assert right.says or not found.imported.notices, told


def middle(frames: np.ndarray, quarter: int) -> np.ndarray:
    """The mean colour in the middle of a quarter, over all frames."""
    height, width = frames.shape[1] // 2, frames.shape[2] // 2
    top, left = height * (quarter // 2), width * (quarter % 2)
    part = frames[:, top + height // 4 : top + 3 * height // 4, left + width // 4 : left + 3 * width // 4]
    return part.reshape(-1, 3).mean(axis=0)


@pytest.mark.parametrize("name", BAD)
def test_a_broken_file_is_refused_in_a_sentence(outcomes: dict[str, Future[Outcome]], name: str) -> None:
    words = BAD[name][1]
    found = outcomes[name].result()
    if found.imported is not None:
        assert words is None, f"became a clip: {found.imported}"
        request, media = found.imported.request, read_media(found.clip)
        assert media.frames is None or media.frames.shape[0] == request.num_frames
        assert media.frames is not None or media.sound is not None
        return
    assert found.refusal is not None and found.refusal.field == "video"
    sentence = found.refusal.message
    assert sentence.startswith("video ") and sentence.endswith(".") and "\n" not in sentence and len(sentence) < 250
    assert (words or "") in sentence
    assert "breaks what reads it" not in sentence and "cannot be made sense of within" not in sentence
    assert not found.clip.exists()
    assert found.seconds < 60  # the child is held to 10 s from when it stands ready


def test_nothing_but_the_file_itself_is_left_behind(outcomes: dict[str, Future[Outcome]]) -> None:
    folders = {found.result().clip.parent for found in outcomes.values()}
    left = [path.name for folder in folders for path in folder.iterdir() if path.name.startswith(".")]
    assert left == []
