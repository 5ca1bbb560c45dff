"""The Edit tab: one clip on a time axis, drawn by ``assets/edit.js``, ``edit-tools.js``, ``paint.js`` and ``upload.js``."""

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
    gr.HTML(
        html_template='<section class="timeline" aria-label="Project"></section>',
        js_on_load="window.studio.mount('timeline', element)",
        elem_id="timeline",
        apply_default_css=False,
    )
