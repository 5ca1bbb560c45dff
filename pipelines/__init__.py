"""Everything that touches torch, behind a torch-free door: contract, registry and graph."""

import os

# Before torch is loaded: GNU's OpenMP threads spin 300,000 times while they wait for each other, so on a machine that does
# anything else at the same time (a browser will do) a clip can take 50 times as long. Never to spin costs the double on an
# idle machine; to spin for some microseconds costs a tenth there and stays usable on a busy one (docs/log.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# numpy's own threads (OpenBLAS) go on spinning after every small product: a quality card cost a quarter more CPU time, all of it
# beside somebody else's work. What is large enough for threads here is torch's.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
