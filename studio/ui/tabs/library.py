"""The Library tab: every clip that was made. It is drawn by ``assets/library.js`` from the API."""

from __future__ import annotations

import gradio as gr


def build() -> None:
    """Place the library; it fills itself when the tab is opened."""
    gr.HTML(
        html_template='<section class="library" aria-label="Library"></section>',
        js_on_load="window.studio.mount('library', element)",
        elem_id="library",
        apply_default_css=False,
    )
