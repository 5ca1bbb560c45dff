"""How a group of ranks is divided, and which rank stands where in it. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from pipelines.contract import InvalidRequest


@dataclass(frozen=True)
class Layout:
    """Degrees whose product is the number of ranks.

    ``branches`` share out the guidance branches of a step; ``ring`` and ``ulysses`` the tokens of a clip; ``tensor`` the width of
    the feed-forwards.
    """

    branches: int = 1
    ring: int = 1
    ulysses: int = 1
    tensor: int = 1

    @property
    def size(self) -> int:
        """Ranks that it takes."""
        return self.branches * self.sequence * self.tensor

    @property
    def sequence(self) -> int:
        """Parts that the tokens are split into."""
        return self.ring * self.ulysses

    def place(self, rank: int) -> Place:
        """Where ``rank`` stands; neighbours in tensor and Ulysses, which talk most, are neighbours in rank."""
        rest, tensor = divmod(rank, self.tensor)
        rest, ulysses = divmod(rest, self.ulysses)
        branch, ring = divmod(rest, self.ring)
        return Place(branch, ring, ulysses, tensor)

    def rank(self, place: Place) -> int:
        """The inverse of ``place``."""
        return ((place.branch * self.ring + place.ring) * self.ulysses + place.ulysses) * self.tensor + place.tensor

    def leaders(self) -> tuple[int, ...]:
        """The first rank of every branch: it holds the branch's results."""
        return tuple(self.rank(Place(branch, 0, 0, 0)) for branch in range(self.branches))

    def __str__(self) -> str:
        """As it is written in the setting: ``branches=2,ulysses=4``."""
        return ",".join(f"{each.name}={getattr(self, each.name)}" for each in fields(self) if getattr(self, each.name) > 1) or "1"


@dataclass(frozen=True)
class Place:
    """A rank's number along each degree of its layout."""

    branch: int
    ring: int
    ulysses: int
    tensor: int


AUTO, OFF, TEXT = "auto", "off", "text"


def read_layout(text: str, size: int) -> Layout | None:
    """The layout that the setting ``parallel`` names for ``size`` ranks; ``None`` where it is to be chosen.

    Raises ``InvalidRequest``.
    """
    if text == AUTO:
        return None
    if text == OFF:
        return Layout()
    names = [each.name for each in fields(Layout)]
    degrees: dict[str, int] = {}
    for part in text.split(","):
        name, _, degree = (each.strip() for each in part.partition("="))
        if name not in names or not degree.isdecimal() or int(degree) < 1 or name in degrees:
            raise InvalidRequest(
                f"parallel is {text!r}: say auto, off, text, or degrees of {', '.join(names)}, such as branches=2,ulysses=2.",
                field="parallel",
            )
        degrees[name] = int(degree)
    layout = Layout(**degrees)
    if layout.size != size:
        raise InvalidRequest(
            f"parallel is {text!r}, which takes {layout.size} devices, but device names {size}: make the two agree.",
            field="parallel",
        )
    return layout


def read_devices(text: str) -> tuple[str, ...]:
    """The devices of one worker, from ``cuda:0+cuda:1``. Raises ``InvalidRequest`` where they cannot work together."""
    devices = tuple(device.strip() for device in text.split("+"))
    if len(devices) == 1:
        return devices
    kinds = {device.partition(":")[0] for device in devices}
    numbered = all(device.partition(":")[2].isdecimal() for device in devices)
    if kinds == {"cpu"} or (kinds == {"cuda"} and numbered and len(set(devices)) == len(devices)):
        return devices
    raise InvalidRequest(
        f"device is {text!r}: several devices for one clip are different GPUs by number, such as cuda:0+cuda:1.", field="device"
    )


def shares(count: int, parts: int) -> Sequence[int]:
    """``count`` as ``parts`` whole numbers that differ by 1 at most, larger ones first: how ``torch.tensor_split`` splits."""
    least, more = divmod(count, parts)
    return [least + (index < more) for index in range(parts)]
