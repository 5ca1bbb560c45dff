/* The Models tab: one card a model. What of it is here, what it needs against what is free, and what can be done with it. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, api, attempt, places, refill, toast, Failure } = studio;
  const size = (bytes) => (bytes < 1e8 ? studio.words.bytes(bytes) : `${(bytes / 1e9).toFixed(bytes < 1e10 ? 1 : 0)} GB`);
  const BITS = { none: "As they are", bf16: "16 bits", int16: "16 bits", fp8: "8 bits", int8: "8 bits", int4: "4 bits" };
  const AWAY = { text: ", those that read prompts only while they are used", blocks: ", block by block", disk: ", block by block from the disk" };
  const FITS = { true: "Fits", false: "Does not fit", null: "Not known yet" };
  const STATES = { here: "Here", "partly here": "Partly here", absent: "Not here" };
  let root = null;
  let models = [];
  let use = null;
  let loading = false;
  const states = {};
  const checks = {};
  const installs = {};
  let chosen = null;
  const leaving = new Set();
  const asking = new Set();
  const POLL_MS = 1000;
  const path = (model, verb) => `/models/${encodeURIComponent(model.id)}/${verb}`;
  const list = h("div", { class: "models-list" });
  const note = h("p", { class: "hint models-note", role: "status" });
  const others = studio.foundFolder(size);

  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

  function lacks(state) {
    if (!state.missing.length) return null;
    const [first, ...rest] = state.missing;
    return h("p", { class: "model-missing", title: state.missing.join(", ") }, `It lacks ${first}${rest.length ? ` and ${rest.length} more` : ""}.`);
  }

  /* What a model begins with that words alone do not suffice for. */
  function need({ references }) {
    if (references.roles.length) return `A character and its ${references.roles[0]}`;
    return references.are_needed ? "An image to work from" : "A first frame";
  }

  function facts(model, state) {
    return h(
      "dl",
      { class: "model-facts" },
      fact("Download", model.download_bytes ? size(model.download_bytes) : "Size not known"),
      fact("Licence", model.licence),
      fact("Makes", model.is_for_sound ? "Sound alone" : `Picture${model.is_silent ? ", no sound" : " and sound"}`),
      model.begins_with.includes("words") ? null : fact("Needs", need(model)),
      state?.needs_bytes ? fact("Memory", size(state.needs_bytes)) : null,
      state ? fact("Weights", BITS[state.quantization] ? BITS[state.quantization] + (AWAY[state.offload] ?? "") : "Chosen when loaded") : null,
    );
  }

  /* What the latest look through its files found, and when. */
  function verdict(model) {
    const told = checks[model.id];
    const text = told?.sentence && told.state !== "running" ? `${told.sentence} ${when(told.finished_at)}` : "";
    return h("p", { class: `model-verdict${told?.state === "failed" ? " bad" : ""}`, role: "status" }, text);
  }
  const when = (time) => `(${new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })})`;

  const verify = (model) =>
    attempt(async () => {
      checks[model.id] = await api(path(model, "verify"), { method: "POST" });
      draw();
      follow();
    });

  const stopVerifying = (model) =>
    attempt(async () => {
      await api(path(model, "verify/cancel"), { method: "POST" });
      checks[model.id] = await api(path(model, "verify"));
      draw();
    });

  /* ---- the model that new forms start with ---- */
  const makeDefault = (model) =>
    attempt(async () => {
      chosen = await api("/models/default", { method: "PUT", json: { model: model.id } });
      toast(`New forms start with ${model.title}.`);
      draw();
    });

  /* ---- removing: said what it frees, and asked again ---- */
  const remove = (model) =>
    attempt(async () => {
      const told = await api(`/models/${encodeURIComponent(model.id)}?sure=true`, { method: "DELETE" });
      toast(told.sentence);
    }).finally(() => {
      leaving.delete(model.id);
      load();
    });

  function farewell(model, state) {
    const never = button("Keep it", null, () => { leaving.delete(model.id); draw(); }, { text: true, class: "button quiet" });
    const go = button("Remove", null, () => remove(model), { text: true, class: "button danger", "aria-label": `Remove ${model.title} now` });
    const words = `Delete ${size(state.on_disk_bytes)}? To use ${model.title} again it has to be fetched again.`;
    return h("div", { class: "model-consent", role: "group", "aria-label": `Remove ${model.title}` }, h("p", {}, words), go, never);
  }

  /* ---- installing: a licence to accept, then a bar until it is here ---- */
  const running = (told) => models.find((model) => told[model.id]?.state === "running");
  let timer = 0;
  const follow = () => {
    clearTimeout(timer);
    timer = setTimeout(poll, POLL_MS);
  };

  async function poll() {
    const [fetched, read] = [running(installs), running(checks)];
    await attempt(async () => {
      if (fetched) installs[fetched.id] = await api(path(fetched, "install"));
      if (read) checks[read.id] = await api(path(read, "verify"));
    });
    if (fetched && installs[fetched.id].state === "done") toast(`${fetched.title} is installed.`);
    if (fetched && !running(installs)) load();
    else draw();
    if (running(installs) || running(checks)) follow();
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

  function progress(model, told, [doing, asking, stopped]) {
    const isChecking = (told.checked_bytes ?? null) !== null; // fetched whole, and now read against what was published
    const done = isChecking ? told.checked_bytes : told.done_bytes;
    const share = told.total_bytes ? Math.min(100, (100 * done) / told.total_bytes) : 0;
    const text = told.total_bytes ? `${isChecking ? "Checked " : ""}${size(done)} of ${size(told.total_bytes)}` : asking;
    const bar = h(
      "div",
      {
        class: "model-bar",
        role: "progressbar",
        "aria-label": `${doing} ${model.title}`,
        "aria-valuenow": share.toFixed(0),
        "aria-valuetext": text,
        "aria-valuemin": "0",
        "aria-valuemax": "100",
      },
      h("i", { style: `width: ${share}%` }),
    );
    const cancel = button("Cancel", null, () => stopped(model), {
      text: true,
      class: "button small",
      "aria-label": `Stop ${doing.toLowerCase()} ${model.title}`,
    });
    return h("div", { class: "model-progress" }, bar, h("span", {}, text), cancel);
  }

  function installation(model, state) {
    const told = installs[model.id];
    if (!state?.may_verify || model.is_local) return null;
    if (told?.state === "running") return progress(model, told, ["Installing", "Asking the hub …", stop]);
    if (asking.has(model.id)) return consent(model);
    return told?.state === "failed" && state.state !== "here" ? h("p", { class: "model-verdict bad", role: "alert" }, told.fault) : null;
  }

  function tools(model, state) {
    const fetchable = state?.may_verify && !model.is_local && state.state !== "here" && installs[model.id]?.state !== "running";
    const fetch = button("Install", null, () => { asking.add(model.id); draw(); }, { text: true, class: "button primary", "aria-label": `Install ${model.title}` });
    const take = button("Use", null, () => use(model), { text: true, class: `button${fetchable ? "" : " primary"}`, "aria-label": `Use ${model.title}` });
    const more = (label, act, offered) =>
      offered ? button(label, null, act, { text: true, class: "button", "aria-label": `${label} ${model.title}`.replace("Make default", "Make default:") }) : null;
    const owned = state?.may_verify;
    const busy = installs[model.id]?.state === "running" || checks[model.id]?.state === "running";
    const go = () => { leaving.add(model.id); draw(); };
    return h(
      "div",
      { class: "model-tools" },
      take,
      more("Verify", () => verify(model), owned && state.state !== "absent" && !busy),
      more("Make default", () => makeDefault(model), owned && state.state === "here" && chosen?.model !== model.id),
      more("Remove", go, owned && state.is_removable && !busy && !leaving.has(model.id)),
      fetchable && !asking.has(model.id) ? fetch : null,
    );
  }

  /* What installing would fetch, and whether the disk has room for it. */
  function room(model, state) {
    const { to_fetch_bytes: left, disk_free_bytes: free } = state;
    if (free === null) return null; // guests install nothing
    const isTight = left !== null && left > free;
    const text = `Its files are fetched when you install it; the disk has ${size(free)} free${isTight ? `, which is too little for ${size(left)}` : ""}.`;
    return h("p", { class: isTight ? "model-verdict bad" : "hint" }, text);
  }

  function card(model) {
    const state = states[model.id];
    const badge = state ? h("span", { class: "model-state", "data-state": state.state }, STATES[state.state]) : null;
    const first = chosen?.model === model.id ? h("span", { class: "model-default" }, "Default") : null;
    const check = checks[model.id]?.state === "running" ? progress(model, checks[model.id], ["Verifying", "Looking at its files …", stopVerifying]) : null;
    const fits = state ? h("p", { class: "model-fits", "data-fits": String(state.fits) }, h("b", {}, `${FITS[state.fits]}. `), state.memory) : null;
    const fetched = state && state.state !== "here" && !model.is_local ? room(model, state) : null;
    return h(
      "article",
      { class: "model", "data-model": model.id, "aria-labelledby": `model-${model.id}` },
      h("div", { class: "model-head" }, h("h2", { id: `model-${model.id}` }, model.title), first, badge),
      h("p", { class: "model-what" }, model.description),
      state ? lacks(state) : null,
      fetched,
      facts(model, state),
      fits,
      verdict(model),
      check,
      installation(model, state),
      leaving.has(model.id) && state ? farewell(model, state) : null,
      tools(model, state),
    );
  }

  const accepts = () => new Set([...list.querySelectorAll(".model-consent input:checked")].map((box) => box.closest(".model").dataset.model));
  function draw() {
    const accepted = accepts();
    refill(list, ...models.map(card));
    note.textContent = chosen?.sentence ?? "";
    others.hidden = !Object.values(states).some((state) => state.may_verify); // folders of this machine are its owner's business
    list.querySelectorAll(".model-consent input").forEach((box) => accepted.has(box.closest(".model").dataset.model) && box.click());
  }

  async function load() {
    if (loading) return;
    loading = true;
    try {
      await attempt(async () => {
        models = await api("/models");
        chosen = await api("/models/default");
        if (!list.children.length) draw();
        const told = await Promise.all(models.map((model) => api(path(model, "state"))));
        told.forEach((state) => (states[state.id] = state));
        const distant = models.filter((model) => !model.is_local);
        await Promise.all(distant.map(async (model) => (installs[model.id] = await api(path(model, "install")))));
        await Promise.all(models.map(async (model) => (checks[model.id] = await api(path(model, "verify")))));
        if (running(installs) || running(checks)) follow();
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
      note,
      list,
      others,
    );
    new IntersectionObserver(([seen]) => seen.isIntersecting && load()).observe(root); // what is free changes
  };
})();
