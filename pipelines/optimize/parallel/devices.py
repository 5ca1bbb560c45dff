"""Which devices share a clip, and whether this machine has them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipelines.contract import InvalidRequest
from pipelines.optimize.parallel.layout import AUTO, OFF, TEXT, Layout, read_devices, read_layout


@dataclass(frozen=True)
class Devices:
    """The settings ``device`` (of one worker) and ``parallel`` as they are written; weights that come from files lie below
    ``files``.
    """

    device: str = "auto"
    parallel: str = AUTO
    files: Path = Path(tempfile.gettempdir()) / "aiprod-offload"

    @property
    def first(self) -> str:
        """Where rank 0 works, and everything that is not shared out."""
        return self.device.split("+")[0].strip()

    def names(self) -> tuple[str, ...]:
        """All that share the transformer's work, one where ``parallel`` is off.

        Raises ``InvalidRequest`` where the settings do not agree or the machine has no such devices.
        """
        devices = self._present()
        return devices[:-1] if self._has_reader else devices

    def reader(self) -> str | None:
        """The device that does nothing but read texts; ``None`` where the first reads them. Raises as ``names``."""
        return self._present()[-1] if self._has_reader else None

    def layout(self) -> Layout | None:
        """The layout that is asked for; ``None`` where it is to be chosen."""
        return read_layout(self._shared, len(self.names()))

    @property
    def _has_reader(self) -> bool:
        return TEXT in self.parallel.split(",")

    @property
    def _shared(self) -> str:
        """How the others share a clip."""
        return ",".join(part for part in self.parallel.split(",") if part != TEXT) or AUTO

    def _present(self) -> tuple[str, ...]:
        devices = read_devices(self.device)
        if self._has_reader and len(devices) == 1:
            raise InvalidRequest(
                f"parallel is {self.parallel!r}, which needs a device for texts alone, but device names one: name two or more.",
                field="parallel",
            )
        if self.parallel == OFF or len(devices) == 1:
            devices = devices[:1]
        else:
            read_layout(self._shared, len(devices) - self._has_reader)
        if not devices[0].startswith("cuda"):
            return devices
        import torch  # what starts worker processes reads these settings without it

        found = torch.cuda.device_count()
        missing = [each for each in devices if int(each.partition(":")[2] or 0) >= found]
        if missing:
            there = f"this machine has {found} CUDA GPU{'s' * (found != 1)}"
            instead = "name those it has" if found else "say cpu, or auto"
            raise InvalidRequest(f"device names {' and '.join(missing)}, but {there}: {instead}.", field="device")
        return devices
