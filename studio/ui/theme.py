"""The studio's look: palette and type for Gradio's own components, and the style sheet and scripts of everything else."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils import colors, sizes

ASSETS = Path(__file__).parent.parent.parent / "assets"
STYLES = (
    *("style.css", "words.css", "prompting.css", "styles.css", "edit.css", "timeline.css", "quality.css", "live.css"),
    *("memory.css", "grid.css", "models.css"),
)
SCRIPTS = (
    "studio.js",
    "form.js",
    "words.js",
    "memory.js",
    "swaps.js",
    "prompting.js",
    "shelf.js",
    "styles.js",
    "card.js",
    "menu.js",
    "references.js",
    "enlarge.js",
    "live.js",
    "compare.js",
    "dock.js",
    "stage.js",
    "grid-setup.js",
    "grid-cells.js",
    "grid.js",
    "library.js",
    "export.js",
    "seams.js",
    "edit-tools.js",
    "edit.js",
    "timeline-lane.js",
    "timeline.js",
    "timeline-play.js",
    "paint.js",
    "upload.js",
    "found.js",
    "models.js",
)

_FONT = ("Inter", "ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
_MONO = ("ui-monospace", "SF Mono", "Cascadia Mono", "JetBrains Mono", "Menlo", "Consolas", "monospace")

# Picture is amber, sound is teal, everywhere on the page; the neutrals lean warm by day and cool by night.
_AMBER = colors.Color(
    name="amber",
    c50="#fff6ec",
    c100="#ffe8cf",
    c200="#ffd09d",
    c300="#ffb56b",
    c400="#ff9d4d",
    c500="#f2811d",
    c600="#c2540a",
    c700="#9c420b",
    c800="#7b360f",
    c900="#5f2c10",
    c950="#331505",
)
_INK = colors.Color(
    name="ink",
    c50="#f6f5f2",
    c100="#eceae5",
    c200="#dcd9d2",
    c300="#c3c1bc",
    c400="#8d919b",
    c500="#646a76",
    c600="#4a505b",
    c700="#2b303a",
    c800="#1c2028",
    c900="#15181e",
    c950="#0e1014",
)


def studio_theme() -> gr.themes.Base:
    """The Gradio theme; its surfaces read the same custom properties as ``assets/style.css``."""
    theme = gr.themes.Base(
        primary_hue=_AMBER,
        neutral_hue=_INK,
        text_size=sizes.text_md,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_md,
        font=_FONT,
        font_mono=_MONO,
    )
    both = {
        "body_background_fill": "var(--bg)",
        "body_text_color": "var(--text)",
        "body_text_color_subdued": "var(--muted)",
        "background_fill_primary": "var(--surface)",
        "background_fill_secondary": "var(--raised)",
        "border_color_primary": "var(--line)",
        "border_color_accent": "var(--accent)",
        "color_accent": "var(--accent)",
        "block_background_fill": "transparent",
        "block_border_width": "0px",
        "block_shadow": "none",
        "block_label_text_color": "var(--muted)",
        "block_title_text_color": "var(--text)",
        "block_info_text_color": "var(--muted)",
        "panel_background_fill": "transparent",
        "input_background_fill": "var(--field)",
        "input_background_fill_focus": "var(--field)",
        "input_border_width": "1px",
        "input_border_color": "var(--line)",
        "input_radius": "10px",
        "input_border_color_focus": "var(--accent)",
        "input_placeholder_color": "var(--faint)",
        "input_shadow_focus": "0 0 0 3px var(--ring)",
        "button_primary_background_fill": "var(--action)",
        "button_primary_background_fill_hover": "var(--action-hover)",
        "button_primary_text_color": "var(--on-action)",
        "button_primary_border_color": "transparent",
        "button_secondary_background_fill": "var(--raised)",
        "button_secondary_background_fill_hover": "var(--line)",
        "button_secondary_text_color": "var(--text)",
        "slider_color": "var(--accent)",
        "checkbox_background_color_selected": "var(--accent)",
        "checkbox_border_color_selected": "var(--accent)",
        "checkbox_label_background_fill": "transparent",
        "checkbox_label_background_fill_selected": "transparent",
        "checkbox_label_text_color": "var(--text)",
    }
    dark = {f"{name}_dark": value for name, value in both.items()}
    theme.set(**_known(theme, both), **_known(theme, dark))
    theme.name = "aiprod"
    return theme


def page_options() -> dict[str, Any]:
    """What mounting or launching the page needs besides the page: theme, head and footer.

    Style and scripts go into the head whole: Gradio rewrites the selectors of its ``css`` argument, and a page that asks
    nothing of other hosts and few things of its own opens sooner.
    """
    style = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in STYLES)
    scripts = "\n".join(f"<script>{(ASSETS / name).read_text(encoding='utf-8')}</script>" for name in SCRIPTS)
    return {"theme": studio_theme(), "head": f"<style>{style}</style>\n{scripts}", "footer_links": []}


def _known(theme: gr.themes.Base, wanted: dict[str, str]) -> dict[str, str]:
    """The settings that this version of Gradio's theme has; not every one has a dark twin."""
    known = inspect.signature(theme.set).parameters
    return {name: value for name, value in wanted.items() if name in known}
