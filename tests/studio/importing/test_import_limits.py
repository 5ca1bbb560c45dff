"""The child of an import held to its bounds: too slow, too large, killed; and what it may not see of the studio."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import psutil
import pytest

from pipelines.contract import Conflict, InvalidRequest, StorageFull
from studio.importing.apart import import_apart
from studio.importing.order import Order
from tests.studio.importing.foreign import FAST, Film, write
from tests.studio.importing.orders import order_for


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """A clip of a second and a half in ordinary size."""
    write(tmp_path / "film.mp4", Film(size=(640, 360), frames=18, options=FAST, sounds=("aac",)))
    return order_for(tmp_path / "film.mp4", tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ({"probe_s": 0.0}, "made sense of within 0 s"),
        ({"convert_s": 0.01}, "takes over"),
    ],
)
def test_a_child_that_passes_a_bound_is_a_sentence(order: Order, bound: dict, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        import_apart(replace(order, **bound))
    assert refused.value.field == "video"
    assert not Path(order.target).exists()


def test_a_clip_that_takes_too_much_memory_is_a_sentence(tmp_path: Path) -> None:
    write(tmp_path / "film.mp4", Film(size=(512, 512), frames=59, rate=Fraction(1), options=FAST))  # 472 frames for the model
    order = replace(order_for(tmp_path / "film.mp4", tmp_path / "clip.mp4"), memory_bytes=700 * 1024**2)
    with pytest.raises(InvalidRequest, match=r"takes more than 0\.684 GB of memory"):
        import_apart(order)


def test_a_child_that_is_killed_is_a_sentence(order: Order) -> None:
    own = psutil.Process()

    def kill() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for child in own.children():
                if "studio.importing" in child.cmdline():
                    child.kill()
                    return
            time.sleep(0.001)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(InvalidRequest, match="SIGKILL"):
        import_apart(order)
    killer.join()


def test_a_clip_that_nobody_waits_for_is_given_up_and_nothing_half_written_stays(tmp_path: Path) -> None:
    write(tmp_path / "film.mp4", Film(size=(512, 512), frames=59, rate=Fraction(1), options=FAST))
    given_up, target = threading.Event(), tmp_path / "clips" / "clip.mp4"
    begun: list[Path] = []

    def give_up() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and not begun:
            begun.extend(target.parent.glob(".clip.*"))
            time.sleep(0.001)
        given_up.set()

    waiter = threading.Thread(target=give_up)
    waiter.start()
    with pytest.raises(Conflict, match="went away"):
        import_apart(order_for(tmp_path / "film.mp4", target), given_up)
    waiter.join()
    assert begun and list(target.parent.iterdir()) == []


def test_the_child_inherits_no_secrets(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    seen: list[dict[str, str]] = []

    def look() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end and not seen:
            for child in psutil.Process().children():
                try:
                    if "studio.importing" in child.cmdline() and child.environ():
                        seen.append(child.environ())
                except psutil.Error:
                    continue
            time.sleep(0.001)

    looker = threading.Thread(target=look)
    looker.start()
    import_apart(order)
    looker.join()
    assert seen and "HF_TOKEN" not in seen[0] and "PATH" in seen[0]


def test_a_folder_that_takes_no_clip_is_a_full_disk(order: Order, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises((StorageFull, InvalidRequest)):
        import_apart(replace(order, target=str(tmp_path / "file" / "clip.mp4")))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_longest_that_is_allowed_is_the_settings(order: Order) -> None:
    with pytest.raises(InvalidRequest, match=r"lasts 1\.5 s; the longest that can be opened is 1 s"):
        import_apart(replace(order, max_seconds=1.0))
