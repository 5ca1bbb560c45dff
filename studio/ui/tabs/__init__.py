"""One tab a file, each with ``build(studio)``."""
