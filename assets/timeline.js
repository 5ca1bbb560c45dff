/* The project at the bottom of the Edit tab: shots in a row, their takes, every change undone and done again. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, refill, api, attempt, words, toast, places } = studio;
  const now = { list: [], project: null, shot: null, naming: false, newer: [], opening: null };
  const SAVED = "studio.project";
  const DONE = {
    rename_project: "the new name", add_shot: "the new shot", remove_shot: "the removal", move_shot: "the move", rename_shot: "the shot's name",
    add_take: "the new take", remove_take: "the removal of a take", choose_take: "the choice of a take", trim_shot: "the trim", split_shot: "the split",
  };
  let root = null,
    line = Promise.resolve();

  const selected = () => now.project?.shots.find((shot) => shot.id === now.shot) ?? null;
  const { takeOf } = studio;
  const KINDS = { generate: "Original", import: "From a file", gone: "Deleted" };
  const made = (take) => KINDS[take.made] ?? take.made[0].toUpperCase() + take.made.slice(1).replace("-", " ");

  /* ---- the project and its changes, one after the other ---- */
  function use(project) {
    now.project = project;
    if (project) localStorage.setItem(SAVED, project.id);
    else localStorage.removeItem(SAVED);
    if (!selected()) Object.assign(now, { shot: null, newer: [] });
    draw();
  }

  const inTurn = (act) => (line = line.then(() => attempt(act)));

  /* A project that was changed in another tab is shown as it is there, and the sentence says so. */
  async function step(path, body = {}) {
    const { id, revision } = now.project;
    try {
      use(await api(`/projects/${id}${path}`, { method: "POST", json: { revision, ...body } }));
    } catch (error) {
      if (error.field === "revision") use(await api(`/projects/${id}`));
      else draw();
      throw error;
    }
    return now.project;
  }
  const change = (operation) => inTurn(() => step("/changes", { operation }));
  const undo = () => now.project?.undo && inTurn(() => step("/undo"));
  const redo = () => now.project?.redo && inTurn(() => step("/redo"));

  async function list() {
    now.list = (await api("/projects")).projects;
  }

  const open = (id) =>
    inTurn(async () => {
      Object.assign(now, { shot: null, newer: [], naming: false });
      use(id ? await api(`/projects/${id}`) : null);
    });

  const create = () =>
    inTurn(async () => {
      const project = await api("/projects", { method: "POST", json: { name: `Project ${now.list.length + 1}` } });
      await list();
      now.naming = true;
      use(project);
      name.select();
    });

  const remove = () =>
    inTurn(async () => {
      const { id, name: gone } = now.project;
      await api(`/projects/${id}`, { method: "DELETE" });
      await list();
      use(null);
      const back = async () => {
        use(await api(`/projects/${id}/undelete`, { method: "POST" }));
        await list();
        draw();
      };
      toast(`${gone} is in the trash.`, { seconds: 12, action: { label: "Undo", run: () => inTurn(back) } });
    });

  studio.importProject = (file) =>
    inTurn(async () => {
      toast(`Bringing ${file.name} in…`);
      const project = await api("/projects/import", { method: "POST", body: file });
      await list();
      document.querySelector('[role=tab][data-tab-id="edit"]')?.click();
      use(project);
      toast(`${project.name} is here, with ${project.shots.length} ${project.shots.length === 1 ? "shot" : "shots"}.`);
    });

  /* A finished edit of a take becomes a take of its shot. */
  studio.clipEdited = (clip) => {
    const source = clip.request.source?.replace("clip:", "");
    const holds = (shot) => shot?.takes.some((take) => take.id === source);
    const shot = holds(selected()) ? selected() : now.project?.shots.find(holds);
    if (!shot) return;
    const add = () =>
      change({ op: "add_take", shot: shot.id, clip: clip.id }).then((project) => {
        if (project) toast(`A new take of ${shot.name}.`, { action: { label: "Undo", run: undo } });
      });
    // What was undone could not be done again afterwards; an edit that ends in the background does not decide that.
    if (now.project.redo) toast(`A new take of ${shot.name} is made. Adding it gives up what can be done again.`, { seconds: 30, action: { label: "Add", run: add } });
    else add();
  };

  function addShown() {
    const clip = studio.editing.now.clip;
    if (!clip) return toast("Open a clip above first: press Edit beside it in Create or in the Library.");
    const operation = { op: "add_shot", clip: clip.id, name: words.title(clip).slice(0, 60) };
    return now.project ? change(operation) : create().then(() => now.project && change(operation));
  }

  /* ---- the bar: which project, and what is done to all of it ---- */
  const chooser = h("select", { class: "text", "aria-label": "Project", onchange: () => (chooser.value === "+" ? create() : open(chooser.value)) });
  const name = h("input", {
    class: "text", "aria-label": "Name of the project", maxlength: "200",
    onkeydown: (event) => {
      if (event.key === "Enter") name.blur();
      if (event.key === "Escape") {
        name.value = now.project.name;
        name.blur();
      }
    },
    onblur: () => {
      now.naming = false;
      if (name.value.trim() === now.project?.name) return draw();
      return change({ op: "rename_project", name: name.value }).then(() => inTurn(async () => (await list(), draw())));
    },
  });
  const rename = button("Rename", null, () => {
    now.naming = true;
    draw();
    name.select();
  }, { text: true, class: "button small quiet", title: "Rename the project" });
  const bin = button("Delete the project", "trash", remove);
  const back = button("Undo in the project", "undo", undo);
  const forth = button("Redo in the project", "redo", redo);
  const add = button("Add this clip", "plus", addShown, { text: true, class: "button small" });
  const play = button("Play all", "play", () => studio.playShots(now.project), { text: true, class: "button small" });
  const cut = button("Split the shot at the playhead", "cut", () => split(), { title: "Split the shot at the playhead (S)" });
  const zooms = h("span", { class: "timeline-zoom" });
  const total = h("span", { class: "count", role: "status" });
  const file = h("input", {
    type: "file", accept: ".aiprod", class: "hidden-file", "aria-label": "Import a project", tabindex: "-1",
    onchange: () => {
      if (file.files[0]) studio.importProject(file.files[0]);
      file.value = "";
    },
  });
  const bring = button("Import", "file", () => file.click(), { text: true, class: "button small", title: "Bring in an .aiprod file; or drop it onto the page" });
  const some = (project) => project.shots.length > 0;
  const exporting = studio.exportMenu(() => now.project, {
    label: "Export project",
    address: (project, format) => `/api/v1/projects/${project.id}/export?format=${format.name}`,
    formats: [
      { name: "film", title: "Film", what: "One MP4 of all shots", fits: (project) => project.shots.some((shot) => takeOf(shot).has_video) },
      { name: "aiprod", title: "Project file", what: "Everything in one .aiprod, to keep or to move", fits: () => true },
      { name: "otio", title: "OpenTimelineIO", what: "Timeline and clips for other editors", fits: some },
      { name: "fcpxml", title: "Final Cut Pro XML", what: "Timeline and clips in a ZIP", fits: some },
      { name: "srt", title: "SRT captions", what: "Every shot's prompt at its time", fits: some },
    ],
  });
  const bar = h(
    "div", { class: "timeline-bar" },
    h("span", { class: "timeline-which" }, chooser, name, rename, bin), back, forth, cut, add, play, total,
    h("span", { class: "spring" }), zooms, exporting, bring, file,
  );

  /* ---- the shots ---- */
  const panel = h("div", { class: "shot-panel", role: "group" });
  const indexOf = (id) => now.project.shots.findIndex((shot) => shot.id === id);
  function move(id, to) {
    const from = indexOf(id);
    const index = Math.max(0, Math.min(now.project.shots.length - 1, to));
    return index === from ? undefined : change({ op: "move_shot", shot: id, index });
  }

  /* The shot is open: its take stands in the editor at this frame, or where it is if that frame is shown, or at its first one. */
  async function press(shot, frame = null) {
    Object.assign(now, { shot: shot.id, newer: [] });
    draw();
    const take = takeOf(shot), { editing } = studio;
    if (take.state === "gone") return toast(`The take that ${shot.name} shows was deleted for good. Choose another one.`);
    now.opening = shot.id;
    if (editing.now.clip?.id !== shot.chosen) await studio.editClip({ id: shot.chosen });
    now.opening = null;
    if (editing.now.clip?.id !== shot.chosen) return undefined;
    const first = Math.round((shot.start_s ?? 0) * take.frame_rate), last = first + Math.round(shot.duration_s * take.frame_rate) - 1;
    const here = editing.now.frame;
    editing.show(frame ?? (here < first || here > last ? first : here));
    const known = new Set(selected()?.takes.map((each) => each.id));
    now.newer = now.shot === shot.id ? editing.now.family.edits.filter((clip) => !known.has(clip.id)) : now.newer;
    return drawPanel();
  }

  /* While the hand moves, only the take that is open already follows; where it comes to rest, the shot there is opened. */
  function seek(shot, frame, settled) {
    if (studio.editing.now.clip?.id === shot.chosen && now.shot === shot.id) studio.editing.show(frame);
    else if (settled) press(shot, frame);
  }
  const lane = studio.shotLane({ shots: () => now.project?.shots ?? [], current: () => now.shot, press, change, move, seek });
  studio.editing.moved = (clip, frame) => {
    const shot = selected();
    if (shot && shot.chosen === clip.id && !now.opening) lane.stand(shot, frame);
  };
  zooms.append(lane.counter, button("Show more time", "minus", () => lane.zoomBy(0.5)), button("Show less time", "plus", () => lane.zoomBy(2)));

  function split() {
    const found = lane.under();
    return found && change({ op: "split_shot", shot: found.shot.id, at_s: found.second });
  }

  /* ---- the shot that is open ---- */
  function drawPanel() {
    const shot = selected();
    panel.hidden = !shot;
    if (!shot) return panel.replaceChildren();
    const take = takeOf(shot);
    panel.setAttribute("aria-label", `Shot ${indexOf(shot.id) + 1}`);
    const trim = (start_s, end_s) => change({ op: "trim_shot", shot: shot.id, start_s, end_s });
    const seconds = (label, value, set) =>
      h("label", {}, label, h("input", {
        class: "text", type: "number", min: "0", step: "0.01", value: value ?? "", placeholder: label === "In" ? "0" : take.duration_s?.toFixed(2) ?? "",
        "data-key": label, "aria-label": `${label}, seconds`, onchange: (event) => set(event.target.value === "" ? null : Number(event.target.value)),
      }));
    const marked = () => {
      const { clip, from, to } = studio.editing.now;
      if (clip?.id !== shot.chosen) return toast("Open this shot's take first: press the shot.");
      return trim(from / clip.frame_rate, Math.min((to + 1) / clip.frame_rate, clip.duration_s));
    };
    const takes = h("div", { class: "shot-reel", role: "group", "aria-label": "Takes" }, shot.takes.map((each, index) => face(shot, each, index)));
    return refill(
      panel,
      h(
        "div", {},
        h("input", {
          class: "text", "aria-label": "Name of the shot", maxlength: "200", value: shot.name, "data-key": "name",
          onchange: (event) => change({ op: "rename_shot", shot: shot.id, name: event.target.value }),
          onkeydown: (event) => event.key === "Enter" && event.target.blur(),
        }),
        button("Move the shot left", "back", () => move(shot.id, indexOf(shot.id) - 1)),
        button("Move the shot right", "on", () => move(shot.id, indexOf(shot.id) + 1)),
        button("Remove the shot", "trash", () => change({ op: "remove_shot", shot: shot.id })),
      ),
      h(
        "div", {},
        takes,
        shot.takes.length > 1 ? button("Remove this take from the shot", "trash", () => removeTake(shot)) : null,
        now.newer.length ? button(`Add ${now.newer.length} newer`, "plus", () => addNewer(shot), { text: true, class: "button small", title: "Edits of this take that are not takes yet" }) : null,
      ),
      h(
        "div", {},
        seconds("In", shot.start_s, (value) => trim(value, shot.end_s)),
        seconds("Out", shot.end_s, (value) => trim(shot.start_s, value)),
        button("Marked range", "cut", marked, { text: true, class: "button small", title: "Show only the range that is marked above" }),
      ),
    );
  }

  /* A take among the others: what it is, and of which take it was made. */
  function face(shot, take, index) {
    const from = shot.takes.findIndex((each) => each.id === take.source);
    const said = `Take ${index + 1}: ${made(take)}${from < 0 ? "" : ` of take ${from + 1}`}`;
    return h(
      "button",
      {
        type: "button", class: `reel-take ${take.state}`, "aria-label": said, title: said, "aria-pressed": String(take.id === shot.chosen),
        "data-key": take.id, onclick: () => chooseTake(shot, take.id),
      },
      take.state === "gone" ? icon("film") : h("img", { src: `/api/v1/clips/${take.id}/thumbnail`, alt: "" }),
      h("span", {}, `${index + 1}  ${made(take)}${from < 0 ? "" : ` ← ${from + 1}`}`),
    );
  }

  async function chooseTake(shot, clip) {
    const project = await change({ op: "choose_take", shot: shot.id, clip });
    if (project && selected()?.chosen === clip) press(selected());
  }

  async function removeTake(shot) {
    const project = await change({ op: "remove_take", shot: shot.id, clip: shot.chosen });
    if (project && selected()?.id === shot.id) press(selected());
  }

  async function addNewer(shot) {
    for (const clip of now.newer) await change({ op: "add_take", shot: shot.id, clip: clip.id });
    if (selected()) press(selected());
  }

  function draw() {
    if (!root) return;
    const { project, naming } = now;
    const known = project && !now.list.some((each) => each.id === project.id) ? [project, ...now.list] : now.list;
    chooser.replaceChildren(
      h("option", { value: "" }, known.length ? "No project open" : "No project yet"),
      ...known.map((each) => h("option", { value: each.id }, each.id === project?.id ? project.name : each.name)),
      h("option", { value: "+" }, "New project…"),
    );
    chooser.value = project?.id ?? "";
    chooser.hidden = naming && Boolean(project);
    name.hidden = !chooser.hidden;
    if (document.activeElement !== name) name.value = project?.name ?? "";
    for (const each of [rename, bin, back, forth, cut, play, zooms, exporting]) each.hidden = !project;
    rename.hidden ||= naming;
    back.disabled = !project?.undo;
    forth.disabled = !project?.redo;
    back.title = project?.undo ? `Undo ${DONE[project.undo]}` : "Nothing to undo";
    forth.title = project?.redo ? `Do ${DONE[project.redo]} again` : "Nothing to redo";
    play.disabled = cut.disabled = !project?.shots.length;
    const count = project?.shots.length ?? 0;
    total.textContent = project ? `${count} ${count === 1 ? "shot" : "shots"} · ${words.seconds(project.duration_s)}` : "";
    root.dataset.open = String(Boolean(project));
    document.documentElement.dataset.timeline = project ? "open" : "closed";
    lane.draw();
    drawPanel();
  }

  /* ---- keys, other tabs, and the beginning ---- */
  document.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase(), hasCommand = event.ctrlKey || event.metaKey;
    if (event.altKey || !(hasCommand ? ["z", "y"] : ["s"]).includes(key) || !root?.offsetParent || !now.project) return;
    if (event.target.closest("input, textarea, select, dialog, .paper")) return;
    event.preventDefault();
    if (key === "s") split();
    else if (key === "y" || event.shiftKey) redo();
    else undo();
  });

  /* What happened elsewhere meanwhile: another tab, the command line, a clip thrown away. */
  const refresh = () =>
    root?.offsetParent && !now.naming && !root.contains(document.activeElement) &&
    inTurn(async () => {
      await list();
      if (now.project && !now.list.some((each) => each.id === now.project.id)) use(null);
      else if (now.project) use(await api(`/projects/${now.project.id}`));
      else draw();
    });
  addEventListener("focus", refresh);

  places.timeline = (element) => {
    root = element.querySelector(".timeline");
    root.replaceChildren(bar, h("div", { class: "timeline-body" }, lane.rail, panel));
    draw();
    new IntersectionObserver(([seen]) => seen.isIntersecting && refresh()).observe(root);
    inTurn(async () => {
      await list();
      const last = now.list.find((each) => each.id === localStorage.getItem(SAVED));
      if (last && !now.project) use(await api(`/projects/${last.id}`));
      else draw();
    });
  };
})();
