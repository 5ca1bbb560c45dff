"""What every test shares: the repository on the path, no network, quiet libraries."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Test workers, and the studios and ranks that they start, share the cores: with a thread for each core in every one of them
    # a clip takes two to five times as long (docs/log.md, how threads wait).
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Two processes that compile librosa's kernels for the first time at once write halves of different pairs into one cache, and
# crash on them (numba issue 10128): each test worker has a cache of its own.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ["NUMBA_CACHE_DIR"] = str(Path(__file__).parent.parent / ".pytest_cache" / f"numba-{_WORKER}")  # not the parent's
# What somebody keeps in their own cache of hub models changes no test, and no test touches it.
os.environ["HF_HUB_CACHE"] = str(Path(__file__).parent.parent / ".pytest_cache" / f"hub-{_WORKER}")
