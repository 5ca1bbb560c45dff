"""The Create tab: the form on the left, the player in the middle, what was measured on the right, the queue below."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from pipelines.registry import ModelSpec
from studio.studio import Studio
from studio.ui.answers import LESSENED, MODEL_BOUND, Answers, duration_note, first_model, model_label, samples_of, visibility
from studio.ui.fields import component_for, explanation_of, title_of, varied_fields
from studio.ui.form import ADVANCED, MODALITIES, NAMES, Values, defaults_of, duration_grid, sizes_of
from studio.ui.theme import ASSETS

EXAMPLE_CLIP = ASSETS / "media" / "example.mp4"


@dataclass(frozen=True)
class Composer:
    """The form's components by name, what writes into the prompt, and where a handler leaves its answer for the page."""

    fields: dict[str, gr.components.Component]
    words: gr.HTML
    prompting: gr.HTML
    examples: gr.HTML
    memory: gr.HTML
    grid: gr.HTML
    generate: gr.Button
    outcome: gr.HTML
    bridge: gr.HTML

    @property
    def inputs(self) -> list[gr.components.Component]:
        """The components in the order of ``NAMES``."""
        return [self.fields[name] for name in NAMES]


def build(studio: Studio) -> Composer:
    """Place the tab's components."""
    spec = first_model(studio)
    start = defaults_of(spec)
    with gr.Row(elem_id="desk"):
        with gr.Column(elem_id="composer"):
            with gr.Column(elem_id="composer-fields"):
                fields, (words, prompting, examples) = _prompt(studio, start, spec)
                fields |= _settings(studio, start, spec)
                with gr.Accordion("Advanced", open=False, elem_id="advanced"):
                    fields |= {name: _advanced(name, start, spec) for name in ADVANCED}
            with gr.Row(elem_id="actions"):
                generate = gr.Button("Generate", variant="primary", elem_id="generate")
                grid = _grid(studio)
                cancel = gr.Button("Cancel", elem_id="cancel")
            memory = _memory()
        _place("stage", {"data-example": _example_address()})
        _place("card")
        _place("dock")
    outcome = gr.HTML(None, html_template="<div></div>", js_on_load=None, elem_id="outcome")
    bridge = gr.HTML(html_template="<div></div>", js_on_load="window.studio.mount('bridge', element, trigger)", elem_id="bridge")
    cancel.click(None, js="() => { window.studio.cancelWatched() }")
    return Composer(
        fields,
        words=words,
        prompting=prompting,
        examples=examples,
        memory=memory,
        grid=grid,
        generate=generate,
        outcome=outcome,
        bridge=bridge,
    )


def connect(page: gr.Blocks, studio: Studio, composer: Composer, tabs: gr.Tabs, models: gr.HTML) -> None:
    """Wire the form to the studio; ``models`` sends a model to it.

    Handlers only submit and read; the work itself happens in the job table.
    """
    fields, inputs = composer.fields, composer.inputs
    spec_bound = [*inputs, composer.examples]
    answers = Answers(studio)
    quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    answer = "(outcome) => { window.studio.answered(outcome) }"
    composer.generate.click(
        answers.submit, inputs, [composer.outcome, fields["seed"]], js="(...values) => window.studio.asked(values)", **quick
    ).then(None, composer.outcome, js=answer)
    composer.bridge.submit(answers.restore, None, [composer.outcome, tabs, *spec_bound], **quick).then(
        None, composer.outcome, js=answer
    )
    for writer in (composer.examples, composer.words):
        writer.select(None, writer, fields["prompt"], js="(writer) => writer.chosen")
    fields["loras"].select(None, None, fields["prompt"], js="() => window.studio.styledPrompt")
    pair = [fields["prompt"], fields["original_prompt"]]
    composer.prompting.select(None, composer.prompting, pair, js="(writer) => [writer.chosen, writer.original]")
    composer.memory.submit(answers.weigh, inputs, composer.memory, **quick)
    composer.memory.select(answers.lessen, inputs, [fields[name] for name in LESSENED], **quick)
    composer.grid.submit(answers.tell, inputs, composer.grid, **quick)
    other = f"(...values) => window.studio.chosen({json.dumps(NAMES)}, values)"
    fields["model"].input(answers.adopt, inputs, spec_bound, js=other, **quick)
    models.submit(answers.use, inputs, [tabs, *spec_bound], **quick)
    fields["frame_rate"].input(
        answers.regrid, [fields["model"], fields["frame_rate"], fields["duration"]], fields["duration"], **quick
    )
    fields["seed"].input(None, None, fields["seed_lock"], js="() => true")
    keep = f"(...values) => {{ window.studio.keepDraft({json.dumps(NAMES)}, values) }}"
    gr.on([each.change for each in inputs], None, inputs, js=keep)
    # The draft is put back by the browser alone, at once, so that nothing that is typed meanwhile is overwritten.
    known = [each.id for each in studio.catalogue]
    recall = f"(...values) => window.studio.recall({json.dumps(NAMES)}, {json.dumps(known)}, values)"
    bounded = [*(fields[name] for name in ("model", "size", "duration", *MODEL_BOUND)), composer.examples]
    begun = f"() => window.studio.begun({json.dumps(known[0])})"
    page.load(None, inputs, inputs, js=recall).then(
        answers.refit, [fields["model"], fields["frame_rate"]], bounded, **quick
    ).then(None, js=begun)
    composer.bridge.select(answers.use, inputs, [tabs, *spec_bound], **quick)


def _place(part: str, attributes: dict[str, str] | None = None) -> None:
    """A place that ``assets/stage.js`` draws in."""
    extra = "".join(f' {name}="{value}"' for name, value in (attributes or {}).items())
    gr.HTML(
        html_template=f'<section class="{part}"{extra}></section>',
        js_on_load=f"window.studio.mount('{part}', element)",
        elem_id=part,
        apply_default_css=False,
    )


def _example_address() -> str:
    """Where the page finds the example clip that a first visit shows; empty where the studio came without one."""
    if not EXAMPLE_CLIP.is_file():
        return ""
    gr.set_static_paths([EXAMPLE_CLIP])
    return f"/gradio_api/file={EXAMPLE_CLIP}"


def _words(studio: Studio) -> gr.HTML:
    """Where the page says which words the model does not know, for the models that know certain words only."""
    bound = " ".join(each.id for each in studio.catalogue if each.has_vocabulary)
    return gr.HTML(
        None,
        html_template=f'<div class="words" data-models="{bound}" hidden></div>',
        js_on_load="window.studio.mount('words', element, trigger, props)",
        elem_id="words",
        apply_default_css=False,
    )


def _prompting(studio: Studio) -> gr.HTML:
    """Where the page shows what was read in the prompt, and offers to say more; with the names of the models that can."""
    bound = " ".join(each.id for each in studio.catalogue if each.has_vocabulary)
    named = {"enhancer": studio.prompts.enhancer, "translator": studio.prompts.translator, "bound": bound}
    names = "".join(f' data-{name}="{_spelled(value)}"' for name, value in named.items() if value)
    return gr.HTML(
        None,
        html_template=f'<div class="prompting"{names}></div>',
        js_on_load="window.studio.mount('prompting', element, trigger, props)",
        elem_id="prompting",
        apply_default_css=False,
    )


def _spelled(text: str) -> str:
    """``text`` inside an attribute of a template, where braces and dollars mean something too."""
    return "".join(letter if letter.isalnum() or letter in " ._-" else f"&#{ord(letter)};" for letter in text)


def _memory() -> gr.HTML:
    """Where the page shows what the clip would take of the memory."""
    return gr.HTML(
        None,
        html_template='<div class="memory" hidden></div>',
        js_on_load="window.studio.mount('memory', element, trigger, props, watch)",
        elem_id="memory",
        apply_default_css=False,
    )


def _grid(studio: Studio) -> gr.HTML:
    """Where the page offers grids, with what can be varied and what of it some models cannot use."""
    varied = varied_fields()
    lacks = {spec.id: [each["field"] for each in varied if not spec.takes(each["field"])] for spec in studio.catalogue}
    told = {"varied": varied, "lacks": lacks}
    return gr.HTML(
        None,
        html_template=f'<div class="grid-tool" data-told="{_spelled(json.dumps(told))}"></div>',
        js_on_load="window.studio.mount('grid', element, trigger, props, watch)",
        elem_id="grid-tool",
        apply_default_css=False,
    )


def _styles() -> gr.HTML:
    """Where styles are stacked; its value is the request's ``loras``."""
    return gr.HTML(
        [],
        html_template='<div class="styles"></div>',
        js_on_load="window.studio.mount('styles', element, trigger, props, watch)",
        elem_id="field-loras",
        apply_default_css=False,
    )


def _references(studio: Studio, spec: ModelSpec) -> gr.HTML:
    """Where images and clips are chosen that the model is shown; its value is the request's ``references``."""
    told = {each.id: asdict(each.references) for each in studio.catalogue if each.references}
    return gr.HTML(
        [],
        html_template=f'<div class="references" data-told="{_spelled(json.dumps(told))}"></div>',
        js_on_load="window.studio.mount('references', element, trigger, props, watch)",
        elem_id="field-references",
        apply_default_css=False,
        visible=visibility("references", spec),
    )


def _prompt(
    studio: Studio, start: Values, spec: ModelSpec
) -> tuple[dict[str, gr.components.Component], tuple[gr.HTML, gr.HTML, gr.HTML]]:
    """The prompt and what it is for; below it what writes into it: nearest words, enhancements, examples."""
    prompt = gr.Textbox(
        label=title_of("prompt"),
        info=explanation_of("prompt"),
        placeholder=f"{spec.examples[0]}" if spec.examples else "a red ball bouncing on grass",
        lines=3,
        max_lines=8,
        elem_id="field-prompt",
        value=start["prompt"],
        interactive=True,
    )
    original = gr.Textbox(label=title_of("original_prompt"), value=start["original_prompt"], visible=False)
    words, prompting, styles = _words(studio), _prompting(studio), _styles()
    # Every kind of Gradio component is more for the browser to load; the examples and the answers make do with HTML.
    examples = gr.HTML(
        samples_of(spec),
        html_template='<div class="examples"></div>',
        js_on_load="window.studio.mount('examples', element, trigger, props, watch)",
        elem_id="examples",
        apply_default_css=False,
    )
    modality = gr.Radio(
        list(MODALITIES),
        label=title_of("modality"),
        info=explanation_of("modality"),
        value=start["modality"],
        elem_id="field-modality",
        interactive=True,
    )
    fields = {"prompt": prompt, "original_prompt": original, "loras": styles, "modality": modality}
    return fields, (words, prompting, examples)


def _settings(studio: Studio, start: Values, spec: ModelSpec) -> dict[str, gr.components.Component]:
    shortest, longest, step = duration_grid(spec, spec.defaults.frame_rate)
    with gr.Row(elem_id="model-row"):
        model = gr.Dropdown(
            [(model_label(each), each.id) for each in studio.catalogue],
            label=title_of("model"),
            info=spec.description,
            value=spec.id,
            elem_id="field-model",
            interactive=True,
        )
        size = gr.Dropdown(
            sizes_of(spec),
            label="Size",
            info="In pixels. Type your own, such as 192 x 128.",
            value=start["size"],
            allow_custom_value=True,
            elem_id="field-size",
            interactive=True,
        )
    duration = gr.Slider(
        shortest,
        longest,
        step=step,
        label="Duration",
        info=duration_note(spec, spec.defaults.frame_rate),
        value=start["duration"],
        elem_id="field-duration",
        buttons=[],
        interactive=True,
    )
    with gr.Row(elem_id="seed-row"):
        seed = component_for("seed", info="Same seed, same settings: the same clip again.")
        lock = gr.Checkbox(
            label="Keep seed", info="Off: a new seed for every clip.", value=False, elem_id="field-seed_lock", interactive=True
        )
    with gr.Row(elem_id="ends"):
        ends = {
            name: gr.HTML(
                None,
                html_template=f'<div class="end-frame" data-name="{name}"></div>',
                js_on_load="window.studio.mount('endFrame', element, trigger, props, watch)",
                elem_id=f"field-{name}",
                visible=visibility(name, spec),
                apply_default_css=False,
            )
            for name in ("first_frame", "last_frame")
        }
    return {
        "model": model, "size": size, "duration": duration, "seed": seed, "seed_lock": lock, **ends,
        "references": _references(studio, spec),
    }  # fmt: skip


def _advanced(name: str, start: Values, spec: ModelSpec) -> gr.components.Component:
    return component_for(name, value=start[name], visible=visibility(name, spec))
