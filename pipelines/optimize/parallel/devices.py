"""Which devices share a clip, and whether this machine has them."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.contract import InvalidRequest
from pipelines.optimize.parallel.layout import AUTO, OFF, Layout, read_devices, read_layout


@dataclass(frozen=True)
class Devices:
    """The settings ``device`` (of one worker) and ``parallel`` as they are written."""

    device: str = "auto"
    parallel: str = AUTO

    @property
    def first(self) -> str:
        """Where rank 0 works, and everything that is not shared out."""
        return self.device.split("+")[0].strip()

    def names(self) -> tuple[str, ...]:
        """All that share a clip, one where ``parallel`` is off.

        Raises ``InvalidRequest`` where the settings do not agree or the machine has no such devices.
        """
        devices = read_devices(self.device)
        if self.parallel == OFF or len(devices) == 1:
            return devices[:1]
        import torch  # what starts worker processes reads these settings without it

        read_layout(self.parallel, len(devices))
        found = torch.cuda.device_count()
        missing = [each for each in devices if each.startswith("cuda:") and int(each[5:]) >= found]
        if missing:
            there = f"this machine has {found} CUDA GPU{'s' * (found != 1)}"
            raise InvalidRequest(f"device names {' and '.join(missing)}, but {there}: name those it has.", field="device")
        return devices

    def layout(self) -> Layout | None:
        """The layout that is asked for; ``None`` where it is to be chosen."""
        return read_layout(self.parallel, len(self.names()))
