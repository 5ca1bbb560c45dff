"""The door: the command line, and ``demo`` for a hosted Space.

``python app.py`` opens the studio; ``python app.py --help`` names everything else.
"""

from __future__ import annotations

import os
import sys


def _hosted() -> bool:
    """Whether gradio itself starts this file: on a Hugging Face Space, or by its own reloading runner."""
    return bool(os.environ.get("SPACE_ID") or os.environ.get("GRADIO_WATCH_DIRS"))


if _hosted():
    from studio.settings import Settings
    from studio.studio import Studio
    from studio.web import create_demo

    demo = create_demo(Studio.open(Settings()))

if __name__ == "__main__":
    if _hosted() and len(sys.argv) == 1:
        demo.launch()
    else:
        from studio.cli import main

        main()
