"""The Models tab: which models there are, what of them is here, what fits. It is drawn by ``assets/models.js`` from the API."""

from __future__ import annotations

import gradio as gr


def build() -> gr.HTML:
    """Place the models; it fills itself when the tab is opened, and submits the id of a model that shall be used."""
    return gr.HTML(
        html_template='<section class="models" aria-label="Models"></section>',
        js_on_load="window.studio.mount('models', element, trigger)",
        elem_id="models",
        apply_default_css=False,
    )
