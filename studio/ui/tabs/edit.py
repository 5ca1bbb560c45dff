"""The Edit tab: one clip on a time axis. It is drawn by ``assets/edit.js`` and ``assets/paint.js`` from the API."""

from __future__ import annotations

import gradio as gr


def build() -> None:
    """Place the editor; it is empty until a clip is sent to it."""
    gr.HTML(
        html_template='<section class="edit" aria-label="Edit"></section>',
        js_on_load="window.studio.mount('edit', element)",
        elem_id="edit",
        apply_default_css=False,
    )
