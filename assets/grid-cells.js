/* The clips of a grid: a still that plays under the pointer or at a press, its main measurements, and what can be done with it. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button } = studio;
  const MAIN = ["semantic.match", "sync.offset_ms", "picture.sharpness", "temporal.flicker", "sound.lufs"];
  const SHOWN = 3;
  const STATES = { queued: "waiting", cancelled: "cancelled", deleted: "deleted" };
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let heard = null; // the one cell that plays with its sound

  const clipOf = (cell) => (cell.job.state === "done" && cell.job.result && !cell.job.result.deleted_at ? cell.job.result : null);
  const badness = (metric, value) => ({ near: Math.abs(value - (metric.target ?? 0)), lower: value, higher: -value })[metric.better];

  /* How good each clip is among them by a measurement: its place, 1 the best, and 0..1 between worst and best. */
  function ranked(cells, metric) {
    const measured = cells.filter((cell) => clipOf(cell)?.measurements[metric?.name] !== undefined);
    const bad = new Map(measured.map((cell) => [cell.job.id, badness(metric, clipOf(cell).measurements[metric.name])]));
    const order = [...bad.values()].sort((a, b) => a - b);
    const [least, most] = [order[0], order.at(-1)];
    return new Map([...bad].map(([id, value]) => [id, { place: order.indexOf(value) + 1, share: most > least ? (most - value) / (most - least) : 1 }]));
  }

  /* A value as the form calls it. */
  function said(axis, value) {
    const choice = studio.gridVaried?.find((each) => each.field === axis.field)?.choices.find(([, each]) => each === value);
    if (choice) return choice[0].split(":")[0];
    if (value === null) return "default";
    return typeof value === "number" ? String(Math.round(1e4 * value) / 1e4) : typeof value === "object" ? "another stack" : value;
  }
  const heads = (axes, cell) => axes.map((axis) => `${axis.title} ${said(axis, cell.settings[axis.field])}`).join(", ") || "the clip";

  /* One cell that is drawn anew only where something about it is new, so that what plays goes on. */
  function mountCell(axes, deeds) {
    const face = h("button", { type: "button", class: "xy-face" });
    const where = h("p", { class: "xy-where" });
    const numbers = h("dl", { class: "xy-numbers" });
    const tools = h("div", { class: "xy-tools" });
    const element = h("figure", { class: "xy-cell" }, face, h("figcaption", {}, where, numbers, tools));
    let now = null, told = "", video = null;

    const play = (loud) => {
      const clip = now && clipOf(now);
      if (!clip) return;
      if (!video) {
        video = h("video", { src: clip.urls.file, loop: true, playsinline: true, poster: clip.urls.thumbnail, "aria-hidden": "true", tabindex: "-1" });
        face.append(video);
      }
      video.muted = !loud;
      video.play().catch(() => {});
      face.setAttribute("aria-pressed", String(loud));
    };
    const stop = () => {
      video?.remove();
      video = null;
      if (heard === stop) heard = null;
      face.setAttribute("aria-pressed", "false");
    };
    face.addEventListener("click", () => {
      if (!clipOf(now)) return;
      if (heard === stop) return void stop();
      heard?.();
      heard = stop;
      play(true);
    });
    element.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && heard !== stop && !calm.matches && play(false));
    element.addEventListener("pointerleave", () => heard !== stop && stop());

    const fill = ({ metric, rank, catalogue, picked, best }) => {
      const clip = clipOf(now), job = now.job;
      const state = clip ? "done" : job.state === "done" ? "deleted" : job.state;
      element.dataset.state = state;
      element.dataset.job = job.id;
      if (clip) element.dataset.clip = clip.id;
      element.classList.toggle("best", Boolean(clip) && clip.id === best);
      element.style.setProperty("--share", rank ? String(rank.share) : "0");
      const name = heads(axes, now);
      face.setAttribute("aria-label", clip ? `Play with sound: ${name}` : `${name}: ${state === "failed" ? "failed" : (STATES[state] ?? "being made")}`);
      face.disabled = !clip;
      const percent = Math.round(100 * (job.progress?.fraction ?? 0));
      const version = job.progress?.preview_version ?? 0;
      const still = clip ? clip.urls.thumbnail : state === "running" && version ? `/api/v1/jobs/${job.id}/preview?v=${version}` : null;
      face.replaceChildren(
        ...(still ? [h("img", { src: still, alt: "" })] : []),
        ...(clip ? [] : [h("span", { class: "xy-state" }, state === "running" ? `${percent} %` : state === "failed" ? (job.error?.message ?? "failed") : STATES[state])]),
        ...(state === "running" ? [h("i", { class: "xy-bar", style: `width: ${percent}%` })] : []),
        ...(rank ? [h("span", { class: "xy-rank" }, clip?.id === best ? "best" : rank.place === 1 ? "as good" : `${rank.place}.`)] : []),
        ...(video ? [video] : []),
      );
      where.textContent = name;
      const names = [...new Set([metric?.name, ...MAIN].filter(Boolean))].filter((each) => clip?.measurements[each] !== undefined).slice(0, SHOWN);
      numbers.replaceChildren(
        ...names.map((each) => {
          const of = catalogue.byName[each];
          return h("div", { class: each === metric?.name ? "chosen" : null, title: of.definition }, h("dt", {}, of.title), h("dd", {}, studio.shownValue(of, clip.measurements[each])));
        }),
      );
      if (!clip) return void tools.replaceChildren();
      studio.refill(
        tools,
        button(`Open in the player: ${name}`, "film", () => deeds.open(clip)),
        button(clip.favourite ? `Remove from favourites: ${name}` : `Keep as a favourite: ${name}`, "heart", () => deeds.keep(clip), { "aria-pressed": String(clip.favourite), "data-key": "keep" }),
        h("label", { class: "xy-pick" }, h("input", { type: "checkbox", "aria-label": `Compare: ${name}`, ...(picked ? { checked: true } : {}), onchange: () => deeds.pick(clip) }), "Compare"),
      );
    };
    const update = (cell, look) => {
      now = cell;
      const { job } = cell;
      const key = JSON.stringify([job.state, job.progress?.fraction, job.progress?.preview_version, job.result, look.metric?.name, look.rank, look.picked, look.best]);
      if (key === told) return;
      told = key;
      fill(look);
    };
    return { element, update, stop };
  }

  /* Two axes make a table with heads; one axis, or the order of a measurement, a list that wraps. */
  const head = (axis, value, scope) => h("th", { scope }, h("span", { title: said(axis, value) }, said(axis, value)));
  function layOut(grid, cells, order) {
    if (grid.axes.length === 2 && !order) {
      const [down, across] = grid.axes, columns = across.values.length;
      return h(
        "div", { class: "xy-scroll", tabindex: "0", role: "region", "aria-label": "Clips of the grid" },
        h(
          "table", { class: "xy-table", style: `--columns: ${columns}` },
          h("thead", {}, h("tr", {}, h("td", {}), h("th", { colspan: columns, class: "xy-title" }, across.title)),
            h("tr", {}, h("th", { class: "xy-title" }, down.title), across.values.map((value) => head(across, value, "col")))),
          h("tbody", {}, down.values.map((value, row) => h("tr", {}, head(down, value, "row"),
            cells.slice(row * columns, (row + 1) * columns).map((cell) => h("td", {}, cell.element))))),
        ),
      );
    }
    const shown = order ? order.map((at) => cells[at]) : cells;
    return h("ul", { class: "xy-list", "aria-label": "Clips of the grid" }, shown.map((cell) => h("li", {}, cell.element)));
  }

  studio.gridCells = { clipOf, ranked, mountCell, layOut, heads };
})();
