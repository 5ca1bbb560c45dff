"""The rooms of ``tests/studio`` serve the fault tests too."""

from tests.studio.conftest import busy, idle, settings, small

__all__ = ["busy", "idle", "settings", "small"]
