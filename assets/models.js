/* The Models tab: one card a model. What of it is here, what it needs against what is free, and what can be done with it. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, api, attempt, places, refill, toast, Failure } = studio;
  const size = (bytes) => (bytes < 1e8 ? studio.words.bytes(bytes) : `${(bytes / 1e9).toFixed(bytes < 1e10 ? 1 : 0)} GB`);
  const BITS = { none: "As they are", bf16: "16 bits", int16: "16 bits", fp8: "8 bits", int8: "8 bits", int4: "4 bits" };
  const FITS = { true: "Fits", false: "Does not fit", null: "Not known yet" };
  const STATES = { here: "Here", "partly here": "Partly here", absent: "Not here" };
  let root = null;
  let models = [];
  let use = null;
  let loading = false;
  const states = {};
  const verdicts = {};
  const reading = new Set();
  const list = h("div", { class: "models-list" });

  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

  function lacks(state) {
    if (!state.missing.length) return null;
    const [first, ...rest] = state.missing;
    return h("p", { class: "model-missing", title: state.missing.join(", ") }, `It lacks ${first}${rest.length ? ` and ${rest.length} more` : ""}.`);
  }

  function facts(model, state) {
    return h(
      "dl",
      { class: "model-facts" },
      fact("Download", size(model.download_bytes)),
      fact("Licence", model.licence),
      state?.needs_bytes ? fact("Memory", size(state.needs_bytes)) : null,
      state ? fact("Weights", BITS[state.quantization] ?? "Chosen when loaded") : null,
    );
  }

  function verdict(id) {
    const told = verdicts[id];
    if (!told && !reading.has(id)) return h("p", { class: "model-verdict", role: "status" });
    return h("p", { class: `model-verdict${told?.bad ? " bad" : ""}`, role: "status" }, told?.text ?? "Reading its files …");
  }

  async function verify(model) {
    reading.add(model.id);
    delete verdicts[model.id];
    draw();
    try {
      verdicts[model.id] = { text: (await api(`/models/${encodeURIComponent(model.id)}/verify`, { method: "POST" })).sentence };
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      verdicts[model.id] = { text: error.message, bad: true };
    } finally {
      reading.delete(model.id);
    }
    draw();
  }

  function tools(model, state) {
    const take = button("Use", null, () => use(model), { text: true, class: "button primary", "aria-label": `Use ${model.title}` });
    const check = button(reading.has(model.id) ? "Verifying …" : "Verify", null, () => verify(model), {
      text: true,
      class: "button",
      "aria-label": `Verify ${model.title}`,
      disabled: reading.has(model.id),
    });
    return h("div", { class: "model-tools" }, take, state?.may_verify && state.state !== "absent" ? check : null);
  }

  function card(model) {
    const state = states[model.id];
    const badge = state ? h("span", { class: "model-state", "data-state": state.state }, STATES[state.state]) : null;
    const fits = state ? h("p", { class: "model-fits", "data-fits": String(state.fits) }, h("b", {}, `${FITS[state.fits]}. `), state.memory) : null;
    const fetched = state && state.state !== "here" && !model.is_local ? h("p", { class: "hint" }, "What lacks is downloaded when its first clip is made.") : null;
    return h(
      "article",
      { class: "model", "data-model": model.id, "aria-labelledby": `model-${model.id}` },
      h("div", { class: "model-head" }, h("h2", { id: `model-${model.id}` }, model.title), badge),
      h("p", { class: "model-what" }, model.description),
      state ? lacks(state) : null,
      fetched,
      facts(model, state),
      fits,
      verdict(model.id),
      tools(model, state),
    );
  }

  const draw = () => refill(list, ...models.map(card));

  async function load() {
    if (loading) return;
    loading = true;
    try {
      await attempt(async () => {
        models = await api("/models");
        if (!list.children.length) draw();
        const told = await Promise.all(models.map((model) => api(`/models/${encodeURIComponent(model.id)}/state`)));
        told.forEach((state) => (states[state.id] = state));
        draw();
      });
    } finally {
      loading = false;
    }
  }

  places.models = (element, trigger) => {
    root = element.querySelector(".models");
    use = (model) => {
      trigger("submit", { model: model.id });
      toast(`${model.title} is chosen, with its own settings. Your prompt is kept.`);
    };
    root.replaceChildren(
      h("p", { class: "hint" }, "“Fits” compares a clip with the model’s own settings with the memory that can be had now."),
      list,
    );
    new IntersectionObserver(([seen]) => seen.isIntersecting && load()).observe(root); // what is free changes
  };
})();
