/* The Edit tab: one clip on a time axis, a range of it marked, and the tools that make another take of it. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, refill, api, attempt, words, toast, places } = studio;
  const FINAL = ["done", "failed", "cancelled"];
  const now = { clip: null, family: null, factors: [], frame: 0, from: 0, to: 0, tool: "retake", zoom: 1, peaks: [], before: false, keys: [], redo: [] };
  let root = null,
    source = null,
    planning = 0,
    turn = 0, // what was asked for before the latest change is answered in vain
    wanted = null; // the clip that was opened last, also while it is still on its way

  const rate = () => now.clip.frame_rate;
  const last = () => now.clip.num_frames - 1;
  const clock = (frame) => `${(frame / rate()).toFixed(2)} s`;
  const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

  /* ---- the viewer: a video that stands on frames, and a canvas to paint on ---- */
  const video = h("video", { playsinline: true, preload: "auto", "aria-label": "The clip that is edited" });
  const paper = h("canvas", { class: "paper", hidden: true, "aria-label": "Paint on the frame", tabindex: "0" });
  const counter = h("output", { class: "counter", "aria-live": "off" });
  const badge = h("span", { class: "badge", hidden: true }, "Before");
  const playing = button("Play or pause the range", "play", () => (video.paused ? play() : pause()), { "data-key": "play" });

  function show(frame) {
    now.frame = clamp(Math.round(frame), 0, last());
    video.currentTime = (now.frame + 0.5) / rate();
    drawPlayhead();
  }

  function play() {
    if (now.frame < now.from || now.frame >= now.to) show(now.from);
    video.play().catch(() => {});
    requestAnimationFrame(follow);
  }

  function pause() {
    video.pause();
    show(now.frame);
  }

  /* Loops over what is marked. */
  function follow() {
    if (video.paused) return;
    now.frame = clamp(Math.floor(video.currentTime * rate()), 0, last());
    if (now.frame > now.to || video.ended) video.currentTime = (now.from + 0.5) / rate();
    drawPlayhead();
    requestAnimationFrame(follow);
  }
  video.addEventListener("play", () => playing.replaceChildren(icon("pause")));
  video.addEventListener("pause", () => playing.replaceChildren(icon("play")));
  video.addEventListener("ended", () => play());

  /* ---- the time axis: frames, sound, marks ---- */
  const strip = h("img", { class: "edit-strip", alt: "The clip's frames", draggable: "false" });
  const wave = h("canvas", { class: "edit-wave", "aria-hidden": "true" });
  const range = h("div", { class: "edit-range", "aria-hidden": "true" });
  const head = h("div", { class: "edit-head", "aria-hidden": "true" });
  const axis = h(
    "div",
    {
      class: "edit-axis", role: "slider", tabindex: "0", "aria-label": "Frame", "aria-valuemin": "0",
      onkeydown: (event) => keyed(event), onpointerdown: (event) => drag(event),
    },
    strip, wave, range, head,
  );
  const rail = h("div", { class: "edit-rail" }, axis);

  const frameAt = (event) => {
    const box = axis.getBoundingClientRect();
    return clamp(Math.floor(((event.clientX - box.left) / box.width) * now.clip.num_frames), 0, last());
  };

  /* A press goes to a frame; drawing along the axis marks what lies between. */
  function drag(event) {
    if (event.button !== 0) return;
    axis.setPointerCapture(event.pointerId);
    video.pause();
    const begun = frameAt(event);
    show(begun);
    const move = (at) => {
      const here = frameAt(at);
      if (here !== begun) mark(Math.min(begun, here), Math.max(begun, here));
      show(here);
    };
    axis.addEventListener("pointermove", move);
    axis.addEventListener("pointerup", () => axis.removeEventListener("pointermove", move), { once: true });
  }

  const KEYS = {
    ArrowLeft: () => show(now.frame - 1),
    ArrowRight: () => show(now.frame + 1),
    Home: () => show(0),
    End: () => show(last()),
    " ": () => (video.paused ? play() : pause()),
    i: () => mark(now.frame, Math.max(now.frame, now.to)),
    o: () => mark(Math.min(now.from, now.frame), now.frame),
  };
  function keyed(event) {
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (event.key.startsWith("Arrow")) video.pause();
    act();
  }

  function mark(from, to) {
    Object.assign(now, { from: clamp(from, 0, last()), to: clamp(to, 0, last()) });
    drawRange();
    plan();
  }

  function drawPlayhead() {
    const { num_frames: frames } = now.clip;
    head.style.left = `${(100 * (now.frame + 0.5)) / frames}%`;
    counter.textContent = `frame ${now.frame} of ${last()} · ${clock(now.frame)}`;
    axis.setAttribute("aria-valuemax", String(last()));
    axis.setAttribute("aria-valuenow", String(now.frame));
    axis.setAttribute("aria-valuetext", `frame ${now.frame}, ${clock(now.frame)}`);
    studio.editing.moved?.(now.clip, now.frame);
  }

  function drawRange() {
    const { num_frames: frames } = now.clip;
    range.style.left = `${(100 * now.from) / frames}%`;
    range.style.width = `${(100 * (now.to + 1 - now.from)) / frames}%`;
    marks.textContent = `${clock(now.from)} – ${clock(now.to + 1)}`;
  }

  /* As many frames as fit side by side at their own shape. */
  function drawStrip() {
    strip.hidden = !now.clip.has_video;
    if (strip.hidden) return;
    const wide = (64 * now.clip.width) / now.clip.height, most = Math.min(now.clip.num_frames, 120);
    const frames = clamp(Math.round((rail.clientWidth * now.zoom) / wide), 2, most);
    strip.src = `/api/v1/clips/${now.clip.id}/strip?frames=${frames}`;
  }

  function drawWave() {
    wave.hidden = !now.peaks.length;
    if (wave.hidden) return;
    const width = (wave.width = 2 * wave.clientWidth || 1200), height = (wave.height = 88), ink = wave.getContext("2d");
    ink.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--sound");
    now.peaks.forEach((peak, index) => {
      const half = Math.max(1, (peak * height) / 2 - 2), step = width / now.peaks.length;
      ink.fillRect(index * step, height / 2 - half, Math.max(1, step - 1), 2 * half);
    });
  }

  const marks = h("output", { class: "counter" });
  const zoom = (by) => {
    now.zoom = clamp(now.zoom * by, 1, 8);
    axis.style.width = `${100 * now.zoom}%`;
    drawStrip();
    drawWave();
    rail.scrollLeft = head.offsetLeft - rail.clientWidth / 2;
  };
  const controls = h(
    "div",
    { class: "edit-controls" },
    button("One frame back", "back", () => show(now.frame - 1)),
    playing,
    button("One frame on", "on", () => show(now.frame + 1)),
    counter,
    button("Mark in", null, KEYS.i, { text: true, class: "button small", title: "I" }),
    button("Mark out", null, KEYS.o, { text: true, class: "button small", title: "O" }),
    marks,
    button("Everything", null, () => mark(0, last()), { text: true, class: "button small quiet" }),
    h("span", { class: "spring" }),
    button("Zoom out", "minus", () => zoom(0.5)),
    button("Zoom in", "plus", () => zoom(2)),
  );

  const read = (name) => panel.querySelector(`[name="${name}"]`)?.value;
  const { TOOLS, makers } = studio.editTools({ now, read, plan: () => plan() });

  const tools = h("nav", { class: "edit-tools", "aria-label": "Tools" });
  const panel = h("div", { class: "edit-panel" });
  const notices = h("div", { class: "edit-notices", role: "status" });
  const progress = h("div", { class: "bar", role: "progressbar", "aria-label": "Progress of the take", "aria-valuemin": "0", "aria-valuemax": "100", hidden: true }, h("i"));
  const make = button("Make it", null, () => submit(), { text: true, class: "button primary", id: "make-take" });
  const prompt = h("textarea", { class: "text", name: "prompt", rows: "3", maxlength: "4000", oninput: plan });
  const seed = h("input", { class: "text", name: "seed", type: "number", min: "0", max: "4294967295", placeholder: "a new one each time" });

  function drawTools() {
    const groups = [...new Set(Object.values(TOOLS).map((tool) => tool.group))];
    refill(
      tools,
      groups.map((group) =>
        h(
          "div", { class: "edit-group" }, h("h3", {}, group),
          Object.entries(TOOLS).filter(([, tool]) => tool.group === group && (tool.fits?.() ?? true)).map(([name, tool]) =>
            h("button", { type: "button", class: "chip", "aria-pressed": String(now.tool === name), onclick: () => choose(name) }, tool.title)),
        ),
      ),
    );
  }

  function choose(name) {
    now.tool = name;
    const tool = TOOLS[name];
    panel.replaceChildren(
      h("h2", {}, tool.title), h("p", { class: "hint" }, tool.text),
      ...(tool.paints ? [brushes(tool.paints)] : []),
      ...(tool.words ? [h("label", { class: "edit-field" }, "What it shows and sounds like", prompt), h("label", { class: "edit-field" }, "Seed", seed), makers(tool)] : []),
      h("div", { class: "edit-fields" }, tool.fields?.() ?? []),
      make, progress, notices,
    );
    studio.paintOn(tool.paints ?? null);
    drawTools();
    plan();
  }

  const asked = () => ({
    source: `clip:${now.clip.id}`,
    edit: TOOLS[now.tool].edit(),
    ...(read("model") ? { model: read("model") } : {}),
    ...(TOOLS[now.tool].words ? { ...(prompt.value.trim() ? { prompt: prompt.value } : {}), ...(seed.value ? { seed: Number(seed.value) } : {}) } : {}),
  });

  /* Says beside the button what would come of it, as soon as something changes. */
  function plan() {
    clearTimeout(planning);
    const mine = (turn += 1);
    planning = setTimeout(async () => {
      if (!now.clip || !panel.isConnected) return;
      const lacks = TOOLS[now.tool].lacks?.() ?? "";
      make.disabled = Boolean(lacks);
      if (lacks) return notices.replaceChildren(h("p", { class: "hint" }, lacks));
      try {
        const found = await api("/edits/plan", { method: "POST", json: asked() });
        if (mine !== turn) return undefined;
        const seconds = found.request.num_frames / found.request.frame_rate;
        make.disabled = false;
        notices.replaceChildren(
          h("p", { class: "hint" }, `Makes a clip of ${seconds.toFixed(2)} s, ${words.size(found.request)}.`),
          ...found.notices.map((text) => h("p", { class: "hint" }, text)),
        );
      } catch (error) {
        if (!(error instanceof studio.Failure)) throw error;
        if (mine !== turn) return undefined;
        make.disabled = true;
        notices.replaceChildren(h("p", { class: "hint bad" }, error.message));
      }
      return undefined;
    }, 150);
  }

  async function submit(body = asked()) {
    const edited = now.clip;
    await attempt(async () => {
      make.disabled = true;
      watch(await api("/edits", { method: "POST", json: body }), edited);
    });
    plan();
  }
  const seams = studio.seamGuard({ submit, show: (at_s) => show(at_s * rate()) });
  axis.append(seams.marks);

  /* The bar is the latest take's; of those before it the end is told all the same. */
  function watch(job, edited) {
    const mine = (source = new EventSource(`/api/v1/jobs/${job.id}/events`));
    progress.hidden = false;
    for (const kind of ["state", "progress", ...FINAL])
      mine.addEventListener(kind, (event) => {
        const { job: fresh } = JSON.parse(event.data);
        const percent = Math.round(100 * (fresh.progress?.fraction ?? 0));
        if (mine === source) {
          progress.firstChild.style.width = `${percent}%`;
          progress.setAttribute("aria-valuenow", String(percent));
          progress.hidden = FINAL.includes(fresh.state);
        }
        if (!FINAL.includes(fresh.state)) return;
        mine.close();
        if (fresh.state === "done") shown(fresh.result, edited).then(() => studio.clipEdited(fresh.result));
        else if (fresh.error) toast(fresh.error.message, { kind: "bad", seconds: 10 });
      });
  }

  /* Who went on to another clip meanwhile stays there, and is told. */
  async function shown(take, edited) {
    const show = () => open(take.id, { keepTool: true });
    if (wanted === edited.id) await show();
    else toast(`The take of “${words.title(edited)}” is finished.`, { seconds: 12, action: { label: "Show it", run: show } });
  }

  /* ---- takes: where the clip came from, what came of it, and the way back ---- */
  const takes = h("div", { class: "edit-takes", role: "list", "aria-label": "Takes" });
  const flip = button("Before", null, () => compare(!now.before), { text: true, class: "button small", "aria-pressed": "false" });
  const undo = button("Undo", "undo", () => {
    now.redo.push(now.clip.id);
    open(now.family.ancestors.at(-1).id, { keepTool: true, keepRedo: true });
  }, { text: true, class: "button small" });
  const redo = button("Redo", "redo", () => open(now.redo.pop(), { keepTool: true, keepRedo: true }), { text: true, class: "button small" });
  const title = h("h2", { class: "edit-title" });
  const exporting = studio.exportMenu(() => now.clip);

  function compare(on) {
    const parent = now.family.ancestors.at(-1);
    now.before = on && Boolean(parent);
    badge.hidden = !now.before;
    flip.setAttribute("aria-pressed", String(now.before));
    video.src = now.before ? parent.urls.file : now.clip.urls.file;
    show(now.frame);
  }

  function drawTakes() {
    const { ancestors, siblings, clip, edits } = now.family;
    const tile = (each, what) =>
      h(
        "button",
        { type: "button", class: "take", role: "listitem", "aria-current": String(each.id === clip.id), "data-clip": each.id, onclick: () => open(each.id, { keepTool: true }) },
        h("img", { src: each.urls.thumbnail, alt: "" }), h("span", {}, what(each)),
      );
    const made = (each) => (each.request.kind === "edit" ? (TOOLS[each.request.edit.kind]?.title ?? each.request.edit.kind) : "Original");
    refill(takes, ancestors.map((each) => tile(each, made)), tile(clip, made), siblings.map((each) => tile(each, (one) => `or ${made(one)}`)), edits.map((each) => tile(each, (one) => `→ ${made(one)}`)));
    undo.disabled = flip.disabled = !ancestors.length;
    redo.disabled = !now.redo.length;
  }

  async function open(id, { keepTool = false, keepRedo = false } = {}) {
    wanted = id;
    await attempt(async () => {
      const family = await api(`/clips/${id}/family`);
      const { clip } = family;
      const heard = clip.has_audio ? (await api(`/clips/${id}/waveform?points=${Math.min(4000, 6 * clip.num_frames)}`)).peaks : [];
      const factors = clip.has_video ? await studio.upscaleFactors(clip.request.model) : [];
      if (wanted !== id) return; // another clip was opened meanwhile
      Object.assign(now, { clip, family, factors, peaks: heard, before: false, keys: [], mask: null, endMask: null });
      if (!keepRedo) now.redo = [];
      if (!root.querySelector(".edit-desk")) layOut();
      title.textContent = words.title(clip);
      video.src = clip.urls.file;
      badge.hidden = true;
      prompt.value = clip.request.prompt;
      const third = Math.floor(clip.num_frames / 3);
      if (!keepTool || now.to > last()) Object.assign(now, { from: third, to: Math.min(last(), 2 * third) });
      show(Math.min(now.frame, last()));
      drawRange();
      drawTakes();
      seams.draw(clip);
      choose(keepTool && (TOOLS[now.tool].fits?.() ?? true) ? now.tool : "retake");
      requestAnimationFrame(() => {
        drawStrip();
        drawWave();
      });
      history.replaceState(null, "", `#edit=${id}`);
    });
    if (wanted === id) wanted = now.clip?.id ?? null; // a clip that could not be opened is not waited for
  }

  function layOut() {
    root.replaceChildren(
      h(
        "div", { class: "edit-desk" },
        h(
          "section", { class: "edit-view", "aria-label": "Clip and time axis" },
          h("div", { class: "edit-bar" }, title, undo, redo, flip, exporting, studio.openVideo()),
          h("div", { class: "screen" }, video, paper, badge),
          controls, rail, seams.guard, takes,
        ),
        h("section", { class: "edit-side", "aria-label": "What to do" }, tools, panel),
      ),
    );
  }

  /* Without a clip the tab says how to get one; the newest is a press away. */
  function empty() {
    const first = button("Edit the newest clip", "film", () =>
      attempt(async () => {
        const { clips: [newest] } = await api("/clips?limit=1");
        if (newest) await open(newest.id);
        else toast("There is no clip yet. Make one in Create first.");
      }), { text: true, class: "button primary" });
    root.replaceChildren(
      h("div", { class: "empty" }, icon("film"), h("h2", {}, "Choose a clip to edit"),
        h("p", {}, "Press Edit beside a clip in Create or in the Library. Mark a range, retake it from new words, paint on a frame, extend it, loop it: the clip itself always stays as it was."), first, studio.openVideo()),
    );
  }

  /* What was kept of the painting: keyframes with how closely each is followed, or the masks of a region. */
  const keyframes = {
    list: () => now.keys.map(({ frame, strength }) => ({ id: frame, title: `Frame ${frame}`, jump: () => show(frame), strength })),
    keeper: () => {
      const { frame, clip } = now;
      return (image) => {
        if (now.clip === clip) now.keys = [...now.keys.filter((key) => key.frame !== frame), { frame, image, strength: 1 }].sort((a, b) => a.frame - b.frame);
      };
    },
    drop: (frame) => { now.keys = now.keys.filter((key) => key.frame !== frame); },
    follow: (frame, strength) => { now.keys.find((key) => key.frame === frame).strength = strength; },
  };
  const masks = {
    list: () => [
      now.mask && { id: "mask", title: "Mask", jump: () => show(now.from) },
      now.endMask && { id: "endMask", title: "Mask at the end", jump: () => show(now.to) },
    ].filter(Boolean),
    keeper: (atEnd) => {
      const { clip } = now;
      return (image) => { if (now.clip === clip) now[atEnd ? "endMask" : "mask"] = image; };
    },
    drop: (name) => { now[name] = null; },
  };
  const brushes = (kind) => studio.brushes(kind, kind === "mask" ? masks : keyframes, plan);
  studio.editing = { video, paper, now, show };
  studio.editClip = (clip) => {
    document.querySelector('[role=tab][data-tab-id="edit"]')?.click();
    const begin = () => (root ? open(clip.id) : new Promise((soon) => setTimeout(soon, 50)).then(begin));
    return begin();
  };
  new ResizeObserver(() => now.clip && drawWave()).observe(rail);
  places.edit = (element) => {
    root = element.querySelector(".edit");
    empty();
    const [, id] = location.hash.match(/^#edit=([0-9a-f]{32})$/) ?? [];
    if (id) studio.editClip({ id });
  };
  /* A tab that is not shown is not there yet: after a reload the address alone knows that somebody was editing. */
  const again = () => {
    const tab = document.querySelector('[role=tab][data-tab-id="edit"]');
    if (tab) tab.click();
    else setTimeout(again, 100);
  };
  if (location.hash.startsWith("#edit=")) again();
})();
