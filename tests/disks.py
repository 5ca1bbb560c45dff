"""Real small disks for the tests that fill or lock one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """An empty disk in memory of ``size`` (as ``mount`` takes it), mounted at ``folder``; skips where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small disk is not permitted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def make_read_only(folder: Path) -> None:
    """Lock the disk mounted at ``folder``."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


def fill(folder: Path) -> Path:
    """Take every byte of the disk at ``folder``; returns the file that does, to be deleted."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while stream.write(b"\0" * size) == size:
                    pass
    return path
