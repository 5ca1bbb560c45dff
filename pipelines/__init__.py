"""Everything that touches torch, behind a torch-free door: contract, registry and graph."""

import os

# Before torch is loaded: GNU's OpenMP threads spin 300,000 times while they wait for each other, so on a machine that does
# anything else at the same time (a browser will do) a clip can take 50 times as long. Never to spin costs the double on an
# idle machine; to spin for some microseconds costs a tenth there and stays usable on a busy one (docs/log.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
