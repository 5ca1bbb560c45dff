"""The Library tab: every clip that was made. It is drawn by ``assets/library.js`` from the API."""

from __future__ import annotations

import gradio as gr

from studio.studio import Studio


def build(studio: Studio) -> None:
    """Place the library; it fills itself when the tab is opened. Its orders are those of what this studio measures."""
    judge = studio.quality.judge or ""
    gr.HTML(
        html_template=f'<section class="library" aria-label="Library" data-judge="{judge}"></section>',
        js_on_load="window.studio.mount('library', element)",
        elem_id="library",
        apply_default_css=False,
    )
