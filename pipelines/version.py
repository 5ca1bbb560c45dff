"""Which code made a clip."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

VERSION = "0.1.0"


@cache
def code_version() -> str:
    """The release, and the commit where the code runs from a checkout."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return VERSION
    described = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False)
    return f"{VERSION}+{described.stdout.strip()}" if described.returncode == 0 else VERSION
