/* The Edit tab: one clip on a time axis, a range of it marked, and the tools that make another take of it. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, refill, api, attempt, words, toast, places } = studio;
  const FINAL = ["done", "failed", "cancelled"];
  const now = { clip: null, family: null, factors: [], frame: 0, from: 0, to: 0, tool: "retake", zoom: 1, peaks: [], before: false, keys: [], redo: [] };
  let root = null,
    source = null,
    planning = 0;

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

  /* ---- what a tool asks for, and the request that it makes of it ---- */
  const field = (name, label, value, limits = {}) =>
    h("label", { class: "edit-field" }, label, h("input", { class: "text", type: "number", name, value, step: "0.1", oninput: plan, ...limits }));
  const choice = (name, label, options) =>
    h(
      "label", { class: "edit-field" }, label,
      h("select", { class: "text", name, onchange: plan }, options.map(([value, text]) => h("option", { value }, text))),
    );
  const read = (name) => panel.querySelector(`[name="${name}"]`)?.value;
  const span = () => ({ start_s: now.from / rate(), end_s: Math.min((now.to + 1) / rate(), now.clip.duration_s) });
  const other = () => `clip:${read("other")}`;
  const editor = (model) => model.edits && model.id !== now.clip.request.model;
  const makers = (tool) => studio.withMakers(choice("model", "Made by", [["", "The clip's own model"]]), tool.suits ?? editor);

  const TOOLS = {
    retake: {
      group: "Range", title: "Retake", text: "Makes the marked range anew from the prompt and keeps the rest.", words: true,
      fields: () => [choice("part", "What", [["both", "Picture and sound"], ["video", "Picture only"], ["audio", "Sound only"]])],
      edit: () => ({ kind: "retake", ...span(), part: read("part") }),
    },
    trim: { group: "Range", title: "Trim", text: "Keeps the marked range only.", edit: () => ({ kind: "trim", ...span() }) },
    keyframes: {
      group: "Frame", title: "Paint a frame", text: "Paint on this frame or replace it; the clip follows.", words: true, paints: "colour",
      fields: () => [field("change", "How far the rest may change, 0 to 1", 0.8, { min: 0.05, max: 1, step: 0.05 })],
      edit: () => ({ kind: "keyframes", keyframes: now.keys.map(({ frame, image }) => ({ frame, image })), change: Number(read("change")) }),
      lacks: () => (now.keys.length ? "" : "Paint on the frame or choose an image, then press Keep this frame."),
    },
    region: {
      group: "Frame", title: "Region", text: "Paint over what may change within the marked range; everything else stays.", words: true, paints: "mask",
      edit: () => ({ kind: "region", ...span(), mask: now.mask }),
      lacks: () => (now.mask ? "" : "Paint over the part that may change, then press Keep this mask."),
    },
    extend: {
      group: "Whole clip", title: "Extend", text: "Imagines what comes next, or what was before.", words: true,
      fields: () => [field("seconds", "Seconds", 1, { min: 0.1, max: 10 }), choice("direction", "Where", [["forward", "After the end"], ["backward", "Before the beginning"]])],
      edit: () => ({ kind: "extend", seconds: Number(read("seconds")), direction: read("direction") }),
    },
    join: {
      group: "Whole clip", title: "Join", text: "Lets another clip follow, with an imagined transition or a cut.", words: true,
      fields: () => [clips("other", "The clip that follows"), field("transition", "Transition in seconds, 0 for a cut", 0.5, { min: 0, max: 4 })],
      edit: () => ({ kind: "join", other: other(), transition_s: Number(read("transition")) }),
    },
    loop: {
      group: "Whole clip", title: "Loop", text: "Leads the end back to the beginning.", words: true,
      fields: () => [field("seam", "Seconds made anew around the seam", 0.5, { min: 0.1, max: 2 })],
      edit: () => ({ kind: "loop", seam_s: Number(read("seam")) }),
    },
    dub: {
      group: "Whole clip", title: "Dub", text: "Makes new sound for the picture.", words: true, edit: () => ({ kind: "dub" }),
      suits: (model) => model.is_for_sound,
    },
    visualise: { group: "Whole clip", title: "Visualise", text: "Makes a new picture for the sound.", words: true, edit: () => ({ kind: "visualise" }) },
    speed: {
      group: "Whole clip", title: "Speed", text: "Faster or slower; voices and music keep their pitch.",
      fields: () => [field("factor", "Times as fast", 2, { min: 0.25, max: 4, step: 0.05 })],
      edit: () => ({ kind: "speed", factor: Number(read("factor")) }),
    },
    interpolate: {
      group: "Whole clip", title: "Smoother", text: "Draws frames between those that are there.",
      fields: () => [choice("factor", "Frames a second", [["2", "Twice as many"], ["4", "Four times as many"]])],
      edit: () => ({ kind: "interpolate", factor: Number(read("factor")) }),
    },
    upscale: {
      group: "Whole clip", title: "Enlarge", text: "Draws the picture larger with the model's upscaler.",
      fits: () => now.factors.length > 0,
      fields: () => [choice("factor", "How large", now.factors.map((factor) => [String(factor), `${factor}x as wide and high`]))],
      edit: () => ({ kind: "upscale", factor: Number(read("factor")) }),
    },
    crop: {
      group: "Whole clip", title: "Crop", text: "Keeps a rectangle of the picture, in pixels.",
      fields: () => [
        field("left", "Left", 0, { min: 0, step: 2 }), field("top", "Top", 0, { min: 0, step: 2 }),
        field("width", "Width", now.clip.width, { min: 16, step: 2 }), field("height", "Height", now.clip.height, { min: 16, step: 2 }),
      ],
      edit: () => ({ kind: "crop", ...Object.fromEntries(["left", "top", "width", "height"].map((name) => [name, Number(read(name))])) }),
    },
    "match-colour": {
      group: "Range", title: "Match colour", text: "Brings the colours of the marked range to those of the frames beside it.",
      edit: () => ({ kind: "match-colour", ...span() }),
    },
    mute: { group: "Sound", title: "Mute", text: "Takes the sound away.", edit: () => ({ kind: "mute" }) },
    "replace-sound": {
      group: "Sound", title: "Replace", text: "Takes the sound of another clip.", fields: () => [clips("other", "The clip with the sound")],
      edit: () => ({ kind: "replace-sound", other: other() }),
    },
    "shift-sound": {
      group: "Sound", title: "Shift", text: "Moves the sound: above 0 later, below 0 earlier.",
      fields: () => [field("offset", "Seconds", 0.1, { step: 0.01, min: -10, max: 10 })],
      edit: () => ({ kind: "shift-sound", offset_s: Number(read("offset")) }),
    },
  };

  /* The clips of the library to choose a second one from. */
  function clips(name, label) {
    const list = h("select", { class: "text", name, onchange: plan });
    attempt(async () => {
      const page = await api("/clips?limit=60");
      list.replaceChildren(...page.clips.filter((clip) => clip.id !== now.clip.id).map((clip) => h("option", { value: clip.id }, words.title(clip))));
      plan();
    });
    return h("label", { class: "edit-field" }, label, list);
  }

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
    planning = setTimeout(async () => {
      if (!now.clip || !panel.isConnected) return;
      const lacks = TOOLS[now.tool].lacks?.() ?? "";
      make.disabled = Boolean(lacks);
      if (lacks) return notices.replaceChildren(h("p", { class: "hint" }, lacks));
      try {
        const found = await api("/edits/plan", { method: "POST", json: asked() });
        const seconds = found.request.num_frames / found.request.frame_rate;
        make.disabled = false;
        notices.replaceChildren(
          h("p", { class: "hint" }, `Makes a clip of ${seconds.toFixed(2)} s, ${words.size(found.request)}.`),
          ...found.notices.map((text) => h("p", { class: "hint" }, text)),
        );
      } catch (error) {
        if (!(error instanceof studio.Failure)) throw error;
        make.disabled = true;
        notices.replaceChildren(h("p", { class: "hint bad" }, error.message));
      }
      return undefined;
    }, 150);
  }

  async function submit(body = asked()) {
    await attempt(async () => {
      make.disabled = true;
      watch(await api("/edits", { method: "POST", json: body }));
    });
    plan();
  }
  const seams = studio.seamGuard({ submit, show: (at_s) => show(at_s * rate()) });
  axis.append(seams.marks);

  function watch(job) {
    source?.close();
    const mine = (source = new EventSource(`/api/v1/jobs/${job.id}/events`));
    progress.hidden = false;
    for (const kind of ["state", "progress", ...FINAL])
      mine.addEventListener(kind, (event) => {
        const { job: fresh } = JSON.parse(event.data);
        const percent = Math.round(100 * (fresh.progress?.fraction ?? 0));
        progress.firstChild.style.width = `${percent}%`;
        progress.setAttribute("aria-valuenow", String(percent));
        if (!FINAL.includes(fresh.state)) return;
        mine.close();
        progress.hidden = true;
        if (fresh.state === "done") open(fresh.result.id, { keepTool: true }).then(() => studio.clipEdited(fresh.result));
        else if (fresh.error) toast(fresh.error.message, { kind: "bad", seconds: 10 });
      });
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
    await attempt(async () => {
      const family = await api(`/clips/${id}/family`);
      const { clip } = family;
      const heard = clip.has_audio ? (await api(`/clips/${id}/waveform?points=${Math.min(4000, 6 * clip.num_frames)}`)).peaks : [];
      const factors = clip.has_video ? await studio.upscaleFactors(clip.request.model) : [];
      Object.assign(now, { clip, family, factors, peaks: heard, before: false, keys: [], mask: null });
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

  const brushes = (kind) => studio.brushes(kind, {
    keep: async (image) => {
      if (kind === "mask") now.mask = image;
      else now.keys = [...now.keys.filter((key) => key.frame !== now.frame), { frame: now.frame, image }].sort((a, b) => a.frame - b.frame);
      plan();
    },
    kept: () => (kind === "mask" ? [] : now.keys),
    drop: (frame) => {
      now.keys = now.keys.filter((key) => key.frame !== frame);
      plan();
    },
    jump: show,
  });
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
