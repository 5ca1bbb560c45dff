"""How ranks are divided, and the settings that say so."""

from __future__ import annotations

import pytest

from pipelines.contract import InvalidRequest
from pipelines.optimize.parallel.devices import Devices
from pipelines.optimize.parallel.layout import Layout, read_devices, read_layout, shares


def test_every_rank_has_a_place_of_its_own():
    layout = Layout(branches=2, ring=3, ulysses=2, tensor=2)
    places = [layout.place(rank) for rank in range(layout.size)]
    assert layout.size == 24 and len(set(places)) == 24
    assert [layout.rank(place) for place in places] == list(range(24))
    assert layout.leaders() == (0, 12)
    assert (places[1].tensor, places[2].ulysses) == (1, 1), "those that talk most are neighbours"


def test_shares_differ_by_one_at_most_and_lose_nothing():
    assert [list(shares(count, 4)) for count in (13, 3, 0)] == [[4, 3, 3, 3], [1, 1, 1, 0], [0, 0, 0, 0]]


def test_a_setting_reads_back_as_it_is_written():
    for layout in (Layout(branches=2, ulysses=4), Layout(ring=3), Layout(tensor=2)):
        assert read_layout(str(layout), layout.size) == layout
    assert read_layout("auto", 8) is None and read_layout("off", 8) == Layout()


@pytest.mark.parametrize("text", ["ulises=2", "ulysses", "ulysses=0", "ulysses=2,ulysses=2", "", "branches=two"])
def test_a_setting_that_says_nothing_is_refused(text):
    with pytest.raises(InvalidRequest, match=r"say auto, off, text, or degrees of branches, ring, ulysses, tensor"):
        read_layout(text, 2)


def test_a_setting_that_takes_another_number_of_devices_is_refused():
    with pytest.raises(InvalidRequest, match="takes 4 devices, but device names 2: make the two agree"):
        read_layout("ulysses=4", 2)


def test_devices_that_can_work_together():
    assert read_devices("cuda:0 + cuda:3") == ("cuda:0", "cuda:3") and read_devices("auto") == ("auto",)
    for text in ("cuda:0+cuda:0", "cuda+cuda", "cuda:0+cpu", "mps+mps", "auto+cuda:1"):
        with pytest.raises(InvalidRequest, match=r"different GPUs by number, such as cuda:0\+cuda:1"):
            read_devices(text)


def test_a_gpu_that_is_not_here_is_refused_in_one_sentence():
    with pytest.raises(
        InvalidRequest, match=r"cuda:98 and cuda:99, but this machine has \d+ CUDA GPUs?: (name those|say cpu)"
    ) as told:
        Devices("cuda:98+cuda:99").names()
    assert told.value.field == "device"
    assert Devices("cpu+cpu", "off").names() == ("cpu",)
