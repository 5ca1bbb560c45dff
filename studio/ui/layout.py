"""The whole page: the header, the tabs, and the one door by which the page's scripts fill the form."""

from __future__ import annotations

import gradio as gr

from studio.studio import Studio
from studio.ui.tabs import create, edit, library, models

TITLE = "AIPROD Studio"


def build_page(studio: Studio) -> gr.Blocks:
    """The page of ``studio``; mount it with ``page_options()``."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        gr.HTML(
            html_template='<header class="top"></header>',
            js_on_load="window.studio.mount('header', element)",
            elem_id="top",
            apply_default_css=False,
        )
        with gr.Tabs(selected="create", elem_id="nav") as tabs:
            with gr.Tab("Create", id="create"):
                composer = create.build(studio)
            with gr.Tab("Edit", id="edit"):
                edit.build()
            with gr.Tab("Library", id="library"):
                library.build(studio)
            with gr.Tab("Models", id="models"):
                shelf = models.build()
        create.connect(page, studio, composer, tabs, shelf)
    return page
