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
  const installs = {};
  const asking = new Set();
  const POLL_MS = 1000;
  const path = (model, verb) => `/models/${encodeURIComponent(model.id)}/${verb}`;
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
      fact("Download", model.download_bytes ? size(model.download_bytes) : "Size not known"),
      fact("Licence", model.licence),
      fact("Makes", `Picture${model.is_silent ? ", no sound" : " and sound"}`),
      model.begins_with.includes("words") ? null : fact("Needs", "A first frame"),
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
      verdicts[model.id] = { text: (await api(path(model, "verify"), { method: "POST" })).sentence };
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      verdicts[model.id] = { text: error.message, bad: true };
    } finally {
      reading.delete(model.id);
    }
    draw();
  }

  /* ---- installing: a licence to accept, then a bar until it is here ---- */
  const running = () => models.find((model) => installs[model.id]?.state === "running");
  let timer = 0;
  const follow = () => {
    clearTimeout(timer);
    timer = setTimeout(poll, POLL_MS);
  };

  async function poll() {
    const model = running();
    if (!model) return;
    await attempt(async () => (installs[model.id] = await api(path(model, "install"))));
    if (running()) {
      draw();
      follow();
    } else {
      if (installs[model.id].state === "done") toast(`${model.title} is installed.`);
      load();
    }
  }

  const install = (model) =>
    attempt(async () => {
      installs[model.id] = await api(path(model, "install"), { method: "POST", json: { accept_licence: true } });
      asking.delete(model.id);
      draw();
      follow();
    });

  const stop = (model) =>
    attempt(async () => {
      installs[model.id] = await api(path(model, "install/cancel"), { method: "POST" });
      toast("Stopped. What was fetched is kept: Install goes on from there.");
      load();
    });

  function consent(model) {
    const go = button("Install", null, () => install(model), {
      text: true,
      class: "button primary",
      disabled: true,
      "aria-label": `Install ${model.title} now`,
    });
    const box = h("input", { type: "checkbox", onchange: () => (go.disabled = !box.checked), "aria-label": `I accept the ${model.licence}` });
    const never = button("Not now", null, () => { asking.delete(model.id); draw(); }, { text: true, class: "button quiet" });
    return h("div", { class: "model-consent" }, h("label", {}, box, h("span", {}, `I accept the ${model.licence}.`)), go, never);
  }

  function progress(model, told) {
    const share = told.total_bytes ? (100 * told.done_bytes) / told.total_bytes : 0;
    const text = told.total_bytes ? `${size(told.done_bytes)} of ${size(told.total_bytes)}` : "Asking the hub …";
    const bar = h(
      "div",
      {
        class: "model-bar",
        role: "progressbar",
        "aria-label": `Installing ${model.title}`,
        "aria-valuenow": share.toFixed(0),
        "aria-valuetext": text,
        "aria-valuemin": "0",
        "aria-valuemax": "100",
      },
      h("i", { style: `width: ${share}%` }),
    );
    const cancel = button("Cancel", null, () => stop(model), {
      text: true,
      class: "button small",
      "aria-label": `Stop installing ${model.title}`,
    });
    return h("div", { class: "model-progress" }, bar, h("span", {}, text), cancel);
  }

  function installation(model, state) {
    const told = installs[model.id];
    if (!state?.may_verify || model.is_local) return null;
    if (told?.state === "running") return progress(model, told);
    if (asking.has(model.id)) return consent(model);
    return told?.state === "failed" && state.state !== "here" ? h("p", { class: "model-verdict bad", role: "alert" }, told.fault) : null;
  }

  function tools(model, state) {
    const fetchable = state?.may_verify && !model.is_local && state.state !== "here" && installs[model.id]?.state !== "running";
    const fetch = button("Install", null, () => { asking.add(model.id); draw(); }, { text: true, class: "button", "aria-label": `Install ${model.title}` });
    const take = button("Use", null, () => use(model), { text: true, class: "button primary", "aria-label": `Use ${model.title}` });
    const check = button(reading.has(model.id) ? "Verifying …" : "Verify", null, () => verify(model), {
      text: true,
      class: "button",
      "aria-label": `Verify ${model.title}`,
      disabled: reading.has(model.id),
    });
    return h("div", { class: "model-tools" }, take, state?.may_verify && state.state !== "absent" ? check : null, fetchable && !asking.has(model.id) ? fetch : null);
  }

  function card(model) {
    const state = states[model.id];
    const badge = state ? h("span", { class: "model-state", "data-state": state.state }, STATES[state.state]) : null;
    const fits = state ? h("p", { class: "model-fits", "data-fits": String(state.fits) }, h("b", {}, `${FITS[state.fits]}. `), state.memory) : null;
    const fetched = state && state.state !== "here" && !model.is_local ? h("p", { class: "hint" }, "Install it, or it is downloaded when its first clip is made.") : null;
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
      installation(model, state),
      tools(model, state),
    );
  }

  const accepts = () => new Set([...list.querySelectorAll(".model-consent input:checked")].map((box) => box.closest(".model").dataset.model));
  function draw() {
    const accepted = accepts();
    refill(list, ...models.map(card));
    list.querySelectorAll(".model-consent input").forEach((box) => accepted.has(box.closest(".model").dataset.model) && box.click());
  }

  async function load() {
    if (loading) return;
    loading = true;
    try {
      await attempt(async () => {
        models = await api("/models");
        if (!list.children.length) draw();
        const told = await Promise.all(models.map((model) => api(path(model, "state"))));
        told.forEach((state) => (states[state.id] = state));
        const distant = models.filter((model) => !model.is_local);
        await Promise.all(distant.map(async (model) => (installs[model.id] = await api(path(model, "install")))));
        if (running()) follow();
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
