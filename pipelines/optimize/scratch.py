"""Folders for files that are worth nothing without the process that wrote them. No torch."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil


def own_folder(files: Path) -> Path:
    """The folder in ``files`` of this process."""
    own = files / str(os.getpid())
    own.mkdir(parents=True, exist_ok=True)
    return own


def leave(files: Path, process: int) -> None:
    """Remove the folder of a process that has ended or is about to."""
    shutil.rmtree(files / str(process), ignore_errors=True)


def sweep(files: Path) -> None:
    """Remove the folders of processes that ended without a farewell."""
    for each in files.iterdir() if files.is_dir() else ():
        if each.name.isdigit() and not psutil.pid_exists(int(each.name)):
            shutil.rmtree(each, ignore_errors=True)
