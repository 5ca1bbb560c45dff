"""Other people's video and sound files made into clips of this studio, in a child process that may do little else.

``apart.py`` is the web process's side. The rest runs in the child, ``python -m studio.importing``: ``kinds`` tells a file's kind
by its first bytes, ``probe`` judges it by its header, ``timeline``, ``picture``, ``colour`` and ``sound`` decode it, ``fitting``
says what a model can take, ``convert`` writes the clip.
"""

from __future__ import annotations
