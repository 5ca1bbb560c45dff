/* The grid tool beside Generate: what to vary, then a table of clips that fills itself. The group is in the studio's database: this only
   watches, so a reload, another tab or a closed page lose nothing. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, api, attempt, words, toast, places, Failure } = studio;
  const { clipOf, ranked, mountCell, layOut, heads } = studio.gridCells;
  const LOOK_MS = 1200, AWAY_MS = 4000, PATIENCE_MS = 15000, MOST_COMPARED = 6;
  const KEEP = "studio.keep"; // grids whose best is to be kept once they are finished, each with the measurement
  const kept = () => JSON.parse(localStorage.getItem(KEEP) ?? "{}");
  let told = null, trigger = null, waiting = null, turn = 0;
  let grid = null, cells = [], picked = new Set(), by = "", sorted = false, timer = 0, last = null, drawn = "";

  const opener = h("button", { type: "button", class: "button xy-open", onclick: () => open() }, icon("grid"), h("span", {}, "Grid"));
  const main = h("div", { class: "xy-main" });
  const earlier = h("select", { class: "text xy-earlier", "aria-label": "Earlier grids", hidden: true, onchange: () => earlier.value && show(earlier.value) });
  const fresh = button("New grid", "plus", () => setUp(), { text: true, class: "button small xy-new", hidden: true });
  const dialog = h(
    "dialog", { class: "xy", "aria-labelledby": "xy-title" },
    h("div", { class: "xy-head" }, h("h2", { id: "xy-title" }, "Grid"), fresh, earlier, button("Close", "close", () => dialog.close())),
    main,
  );
  dialog.addEventListener("close", () => {
    cells.forEach((cell) => cell.stop());
    if (location.hash.startsWith("#grid=")) history.replaceState(null, "", location.pathname + location.search);
  });

  /* What the form stands for: the server reads it, as for Generate. */
  const formBody = () =>
    new Promise((resolve, reject) => {
      const mine = (turn += 1);
      waiting = { turn, resolve, reject };
      setTimeout(() => waiting?.turn === mine && reject(new Failure("The studio does not answer. Check that it is still running, then try again.")), PATIENCE_MS);
      trigger("submit", { turn });
    });
  const answered = (value) => {
    if (!value || value.turn !== waiting?.turn) return;
    if (value.error) waiting.reject(Object.assign(new Failure(value.error.message), { field: value.error.field }));
    else waiting.resolve(value.body);
    waiting = null;
  };

  const raise = () => {
    if (!dialog.isConnected) document.body.append(dialog);
    if (!dialog.open) dialog.showModal();
  };

  const open = () =>
    attempt(async () => {
      const { grids } = await api("/grids?limit=30");
      const active = grids.find((each) => each.unfinished);
      if (last ?? active) await show(last ?? active.id);
      else await setUp();
    });

  const setUp = () =>
    attempt(async () => {
      const [body, catalogue, models] = await Promise.all([formBody(), studio.known(), studio.models()]);
      grid = null;
      raise();
      await list();
      const judged = measuredOn(catalogue, body, models.find((each) => each.id === body.model));
      main.replaceChildren(studio.gridSetup(told, body, judged, make));
      fresh.hidden = true;
      main.querySelector("select")?.focus();
    });

  /* The measurements that clips of the form will have. */
  const measuredOn = (catalogue, body, model) => {
    const lacking = { video: ["sound", "both"], audio: ["picture", "both"] }[body.modality] ?? [];
    const isRead = ({ name }) => (name.match(/^semantic\.(clip|siglip)$/) ? name === catalogue.judge : model?.has_vocabulary);
    const isPart = ({ name }) => /^(length\.|sync\.(impact|beat|lip))/.test(name);
    return catalogue.metrics.filter((each) => !lacking.includes(each.needs) && !isPart(each) && (each.needs !== "words" || isRead(each)));
  };

  const make = (asked, keepBy) =>
    attempt(async () => {
      const made = await api("/grids", { method: "POST", json: asked });
      if (keepBy) {
        localStorage.setItem(KEEP, JSON.stringify({ ...kept(), [made.id]: keepBy }));
        by = keepBy;
      }
      studio.refresh();
      await show(made.id);
    });

  async function list() {
    const { grids } = await api("/grids?limit=30");
    const line = (each) => `${words.when(each.created_at)}: ${each.prompt.slice(0, 50)} (${each.clips})`;
    earlier.replaceChildren(h("option", { value: "" }, "Earlier grids"), ...grids.map((each) => h("option", { value: each.id }, line(each))));
    earlier.hidden = !grids.length;
    earlier.value = grid?.id ?? "";
  }

  const show = (id) =>
    attempt(async () => {
      const catalogue = await studio.known();
      grid = await api(`/grids/${id}`);
      last = id;
      raise();
      history.replaceState(null, "", `#grid=${id}`);
      await list();
      fresh.hidden = false;
      picked = new Set();
      sorted = false;
      drawn = "";
      cells.forEach((cell) => cell.stop());
      cells = grid.cells.map(() => mountCell(grid.axes, deeds));
      main.replaceChildren(...board(catalogue));
      draw(catalogue);
      look();
    });

  const deeds = {
    open: (clip) => {
      dialog.close();
      studio.showClip(clip, { play: true });
    },
    keep: (clip) =>
      attempt(async () => {
        studio.clipChanged(await api(`/clips/${clip.id}`, { method: "PATCH", json: { favourite: !clip.favourite } }));
        await follow();
      }),
    pick: (clip) => {
      picked[picked.has(clip.id) ? "delete" : "add"](clip.id);
      follow();
    },
  };

  /* ---- the tools over the clips; made once, filled at every look ---- */
  const parts = {};
  function board(catalogue) {
    const prompt = grid.axes.some((axis) => axis.field === "prompt") ? "" : grid.cells[0].job.request.prompt;
    parts.say = h("p", { class: "xy-said", role: "status" });
    parts.bar = h("div", { class: "bar", role: "progressbar", "aria-label": "Progress of the grid", "aria-valuemin": "0", "aria-valuemax": "100" }, h("i"));
    const ask = (what) => () => attempt(async () => ((grid = await api(`/grids/${grid.id}/${what}`, { method: "POST" })), draw(catalogue), studio.refresh(), follow()));
    parts.cancel = button("Cancel the rest", "close", ask("cancel"), { text: true, class: "button small xy-cancel" });
    parts.again = button("Make the missing", "reuse", ask("retry"), { text: true, class: "button small xy-again", title: "Those that failed or were cancelled" });
    parts.by = h("select", { class: "text", "aria-label": "Colour by", onchange: () => ((by = parts.by.value), localStorage.setItem("studio.gridBy", by), draw(catalogue)) });
    parts.sort = h("button", { type: "button", class: "chip", "aria-pressed": "false", onclick: () => ((sorted = !sorted), draw(catalogue)) }, "Best first");
    parts.keep = button("Keep the best", "heart", () => keepBest(by), { text: true, class: "button small xy-keep" });
    parts.compare = button("Compare", "image", () => studio.compareClips(...cells.keys().map((at) => clipOf(grid.cells[at])).filter((clip) => clip && picked.has(clip.id))), { text: true, class: "button small xy-compare" });
    parts.save = h("a", { class: "button small xy-save", download: "" }, icon("download"), "Save as PNG");
    parts.place = h("div", { class: "xy-place" });
    return [
      prompt ? h("p", { class: "xy-prompt" }, prompt) : "",
      h("div", { class: "xy-progress" }, parts.say, parts.bar, parts.cancel, parts.again),
      h("div", { class: "xy-bar-tools" }, h("label", {}, "Colour by ", parts.by), parts.sort, parts.keep, parts.compare, parts.save),
      parts.place,
    ];
  }

  const unfinished = () => grid.cells.filter((cell) => ["queued", "running"].includes(cell.job.state)).length;

  function draw(catalogue) {
    const clips = grid.cells.map(clipOf).filter(Boolean);
    const measured = catalogue.metrics.filter((metric) => metric.group !== "length" && clips.some((clip) => clip.measurements[metric.name] !== undefined));
    by = measured.some((metric) => metric.name === by) || !measured.length ? by : (measured.find((metric) => metric.name === localStorage.getItem("studio.gridBy")) ?? measured.find((metric) => metric.name === "semantic.match") ?? measured[0]).name;
    const metric = measured.find((each) => each.name === by) ?? null;
    if (parts.by.options.length !== measured.length) parts.by.replaceChildren(...measured.map((each) => h("option", { value: each.name }, each.title)));
    parts.by.value = by;
    parts.by.parentElement.hidden = !measured.length;
    const ranks = ranked(grid.cells, metric);
    const best = grid.cells.find((cell) => ranks.get(cell.job.id)?.place === 1)?.job.result.id ?? null;
    grid.cells.forEach((cell, at) => cells[at].update(cell, { metric, rank: ranks.get(cell.job.id) ?? null, catalogue, picked: picked.has(clipOf(cell)?.id), best }));
    const place = (at) => ranks.get(grid.cells[at].job.id)?.place ?? 999;
    const order = sorted ? grid.cells.map((_, at) => at).sort((a, b) => place(a) - place(b)) : null;
    if (drawn !== JSON.stringify(order)) parts.place.replaceChildren(layOut(grid, cells, order));
    drawn = JSON.stringify(order);
    const left = unfinished(), count = grid.cells.length, percent = Math.round((100 * grid.cells.reduce((sum, { job }) => sum + (job.state === "running" ? (job.progress?.fraction ?? 0) : job.state === "queued" ? 0 : 1), 0)) / count);
    const text = left ? `${count - left} of ${count}${remaining(left)}` : summary(clips.length, count);
    if (parts.say.textContent !== text) parts.say.textContent = text;
    parts.bar.hidden = parts.cancel.hidden = !left;
    parts.again.hidden = left > 0 || !grid.cells.some(({ job }) => ["failed", "cancelled"].includes(job.state));
    parts.bar.firstChild.style.width = `${percent}%`;
    parts.bar.setAttribute("aria-valuenow", String(percent));
    parts.sort.setAttribute("aria-pressed", String(sorted));
    parts.sort.disabled = !metric;
    parts.keep.disabled = left > 0 || !metric;
    parts.keep.title = left ? "As soon as the grid is finished" : "";
    parts.compare.disabled = picked.size < 2 || picked.size > MOST_COMPARED;
    parts.compare.lastChild.textContent = picked.size ? `Compare ${picked.size}` : "Compare";
    parts.compare.title = picked.size > MOST_COMPARED ? `${MOST_COMPARED} at a time at most` : "Mark two clips or more";
    parts.save.href = `/api/v1/grids/${grid.id}/sheet${metric ? `?best=${metric.name}` : ""}`;
  }

  function remaining(left) {
    const took = grid.cells.map(({ job }) => job).filter((job) => job.state === "done").map((job) => (new Date(job.finished_at) - new Date(job.started_at)) / 1000);
    return took.length ? `, ${words.left((left * took.reduce((sum, s) => sum + s, 0)) / took.length)}` : "";
  }

  function summary(made, count) {
    const failed = grid.cells.filter((cell) => cell.job.state === "failed").length;
    return `${made === count ? count : `${made} of ${count}`} ${count === 1 ? "clip" : "clips"}${failed ? `, ${failed} failed` : ""}`;
  }

  const keepBest = (name) =>
    attempt(async () => {
      const found = await api(`/grids/${grid.id}/best`, { method: "POST", json: { best: name } });
      grid = found;
      draw(await studio.known());
      const cell = found.cells.find((each) => each.job.result?.id === found.best);
      studio.clipChanged(cell.job.result);
      toast(`Kept as a favourite: ${heads(found.axes, cell)}.`);
    });

  /* ---- keeping up: quickly while the grid is looked at, now and then otherwise ---- */
  async function follow() {
    const id = grid?.id;
    if (!id) return;
    const found = await api(`/grids/${id}`);
    if (grid?.id !== id) return;
    grid = found;
    draw(await studio.known());
    const wanted = kept()[id];
    if (wanted && !unfinished()) {
      const rest = kept();
      delete rest[id];
      localStorage.setItem(KEEP, JSON.stringify(rest));
      if (grid.cells.some(clipOf)) await keepBest(wanted);
    }
  }

  async function look() {
    clearTimeout(timer);
    let busy = false;
    try {
      if (dialog.open && grid) {
        await follow();
        busy = unfinished() > 0;
      }
      if (studio.now.queue.jobs.length || opener.dataset.busy) await count();
    } catch (error) {
      if (!(error instanceof Failure)) throw error; // the studio is away: the next look finds it again
    } finally {
      clearTimeout(timer);
      timer = setTimeout(look, document.hidden ? 15000 : busy ? LOOK_MS : AWAY_MS);
    }
  }

  /* The button says how far the grid is that is being made. */
  async function count() {
    const { grids } = await api("/grids?limit=5");
    const active = grids.filter((each) => each.unfinished).at(-1);
    const text = active ? `${active.clips - active.unfinished}/${active.clips}` : "Grid";
    opener.lastChild.textContent = text;
    opener.setAttribute("aria-label", active ? `Grid: ${text.replace("/", " of ")} clips made` : "Grid");
    if (active) opener.dataset.busy = "true";
    else delete opener.dataset.busy;
  }

  places.grid = (element, ask, props, watch) => {
    const place = element.querySelector(".grid-tool");
    told = JSON.parse(place.dataset.told);
    studio.gridVaried = told.varied;
    trigger = ask;
    place.replaceChildren(opener);
    watch("value", () => answered(props.value));
    const [, id] = location.hash.match(/^#grid=([0-9a-f]{32})$/) ?? [];
    if (id) show(id).then(look); // a grid that is gone is told, and the button goes on
    else look();
  };
})();
