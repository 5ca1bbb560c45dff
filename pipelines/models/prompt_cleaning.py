"""A repair of diffusers 0.42.1: several pipelines clean prompts with ftfy without asking whether it is installed, and fail.

Theirs is replaced by the one of ``WanPipeline``, which asks. A test in ``test_families.py`` tells when this file can go.
"""

from __future__ import annotations

import sys

from diffusers.pipelines.wan.pipeline_wan import basic_clean


def repair(pipeline: type) -> None:
    """Make ``pipeline`` clean prompts where ftfy is not installed: its HTML is still undone, its encodings are taken as right."""
    module = sys.modules[pipeline.__module__]
    if hasattr(module, "basic_clean") and not hasattr(module, "ftfy"):
        module.basic_clean = basic_clean  # type: ignore[attr-defined]
