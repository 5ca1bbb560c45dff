"""The page: what people see and touch in a browser."""

from studio.ui.layout import build_page
from studio.ui.theme import page_options

__all__ = ["build_page", "page_options"]
