/* The player, with the job that is being made in its place.
   The server remembers everything; this page only watches, so it may be reloaded, doubled or closed at any time. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, refill, api, attempt, words, toast, places } = studio;
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const FINAL = ["done", "failed", "cancelled"];
  let place = null;
  const now = {
    clip: null,
    job: null,
    source: null,
    queue: { paused: false, jobs: [], queued: 0, running: 0, ready: true, problems: [] },
    clips: [],
    failed: [],
    dismissed: new Set(),
    ready: false,
  };

  /* ---- the player ---- */
  const ambient = h("img", { class: "ambient", alt: "", "aria-hidden": "true", hidden: true });
  const video = h("video", {
    controls: true,
    loop: true,
    playsinline: true,
    preload: "metadata",
    "aria-label": "The clip",
    hidden: true,
  });
  const preview = h("img", { class: "preview", alt: "Preview of the clip while it is made", hidden: true });
  const notice = h("div", { class: "notice", hidden: true });
  const hudStage = h("b", { class: "hud-stage", "aria-live": "polite" }),
    hudStep = h("span", { class: "hud-step" }),
    hudLeft = h("span", { class: "hud-left" });
  const bar = h(
    "div",
    {
      class: "bar",
      role: "progressbar",
      "aria-label": "Progress of the clip",
      "aria-valuemin": "0",
      "aria-valuemax": "100",
    },
    h("i"),
  );
  const hud = h(
    "div",
    { class: "hud", hidden: true },
    studio.curves,
    h("div", { class: "hud-line" }, hudStage, hudStep, hudLeft),
    bar,
  );
  const caption = h("div", { class: "caption" });
  video.addEventListener("error", async () => {
    if (!video.getAttribute("src")) return;
    const answers = await fetch("/livez").then(
      (answer) => answer.ok,
      () => false,
    );
    if (!answers)
      say(
        "film",
        "The studio does not answer",
        "Your clips are safe in its data folder. Start it again: this page goes on by itself.",
      );
    else
      say(
        "film",
        "This clip cannot be played",
        "Its file may have been removed from the data folder. Delete it from the Library, or make it again with its settings.",
      );
  });

  /* Nobody wants to hear a clip that they no longer see. The observer's news may be old: the player may be back in sight. */
  new IntersectionObserver(() => {
    const { top, bottom } = video.getBoundingClientRect();
    if (bottom <= 0 || top >= innerHeight) video.pause();
  }).observe(video);

  function reveal(...shown) {
    for (const part of [video, preview, notice, hud]) part.hidden = !shown.includes(part);
    if (video.hidden) {
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
    ambient.hidden = !ambient.getAttribute("src") || shown.includes(notice);
  }

  function say(iconName, title, text, ...more) {
    notice.replaceChildren(icon(iconName), h("h2", {}, title), h("p", {}, text), ...more);
    reveal(notice);
  }

  function glow(source) {
    if (source) ambient.src = source;
    else ambient.removeAttribute("src");
    ambient.hidden = !source;
  }

  function showClip(clip, { play = false } = {}) {
    stopWatching();
    now.clip = clip;
    now.job = null;
    glow(clip.urls.thumbnail);
    video.poster = clip.urls.thumbnail;
    reveal(video);
    video.src = clip.urls.file;
    video.setAttribute("aria-label", `Clip: ${clip.request.prompt}`);
    if (play) comeIntoView("instant");
    if (play && !calm.matches)
      video.play().catch(() => {
        /* the browser wants a touch first: its play button is there */
      });
    drawCaption();
    studio.drawCard();
    studio.drawRecent();
    studio.drawQueue();
  }

  /* On a phone what was pressed may be far below the player. */
  function comeIntoView(behavior) {
    document.getElementById("stage")?.scrollIntoView({ block: "nearest", behavior });
  }

  async function example(path) {
    now.clip = null;
    glow(null);
    reveal(video);
    video.removeAttribute("poster");
    video.src = path;
    const use = button(
      "Use its settings",
      "reuse",
      () =>
        attempt(async () =>
          studio.restoreFile(new File([await (await fetch(path)).blob()], "example.mp4", { type: "video/mp4" })),
        ),
      { text: true, class: "button small" },
    );
    caption.replaceChildren(
      h(
        "div",
        { class: "caption-text" },
        h("b", {}, "An example, made by this studio"),
        h("span", {}, "Press play. Then write a prompt of your own and press Generate."),
      ),
      h("div", { class: "caption-tools" }, use),
    );
  }

  function welcome() {
    const path = place?.dataset.example;
    studio.drawCard();
    if (path) return example(path);
    caption.replaceChildren();
    return say(
      "film",
      "Your first clip starts with a sentence",
      "Say what to see and what to hear, for example “a red ball bouncing on grass”. Press Generate, and watch the clip take shape here. Picture and sound are made together.",
    );
  }

  function drawCaption() {
    const clip = now.clip,
      job = now.job;
    if (job)
      return caption.replaceChildren(
        h(
          "div",
          { class: "caption-text" },
          h("b", {}, job.request.prompt),
          h("span", {}, `${words.size(job.request)} · seed ${job.request.seed}`),
        ),
      );
    if (!clip) return caption.replaceChildren();
    const keep = button(
      clip.favourite ? "Remove from favourites" : "Add to favourites",
      "heart",
      () =>
        attempt(async () => {
          const changed = await api(`/clips/${clip.id}`, { method: "PATCH", json: { favourite: !clip.favourite } });
          studio.clipChanged(changed);
        }),
      { "aria-pressed": String(clip.favourite), "data-key": "heart" },
    );
    const isForeign = clip.request.kind === "import"; // nothing was set to make it
    const again = button("Use these settings", "reuse", () => studio.restoreRequest(clip.request), {
      text: true,
      class: "button small",
      hidden: isForeign,
    });
    const save = studio.downloadLink(clip);
    const cut = button("Edit", "cut", () => studio.editClip(clip), { text: true, class: "button small" });
    return refill(
      caption,
      h(
        "div",
        { class: "caption-text" },
        h("b", {}, words.title(clip)),
        h(
          "span",
          {},
          `${words.when(clip.created_at)} · ${words.size(clip)} · ${words.seconds(clip.duration_s)} · ${isForeign ? "from a file" : `seed ${clip.request.seed}`}`,
        ),
      ),
      h("div", { class: "caption-tools" }, keep, save, studio.enlargeMenu(clip), cut, again),
    );
  }

  /* ---- watching a job ---- */
  function stopWatching() {
    now.source?.close();
    now.source = null;
  }

  function watch(job) {
    stopWatching();
    now.clip = null;
    now.job = job;
    preview.removeAttribute("src");
    preview.dataset.version = "0";
    glow(null);
    listen();
    showJob(job);
    drawCaption();
    studio.drawCard();
    studio.drawRecent();
    studio.drawQueue();
  }

  /* One stream a page, and none while nobody looks: browsers allow a server only six connections. */
  function listen() {
    now.source?.close();
    now.source = null;
    if (!now.job || FINAL.includes(now.job.state) || document.hidden) return;
    const id = now.job.id;
    const source = (now.source = new EventSource(`/api/v1/jobs/${id}/events`));
    for (const kind of ["state", "progress", "preview", "metric", ...FINAL]) {
      source.addEventListener(kind, (event) => {
        if (now.job?.id === id) showJob(JSON.parse(event.data).job);
      });
    }
  }

  function showJob(job) {
    now.job = job;
    const drawn = {
      queued: showQueued,
      running: showRunning,
      done: showDone,
      failed: showFailed,
      cancelled: showCancelled,
    };
    drawn[job.state](job);
  }

  function showQueued(job) {
    const first = job.position === 1 || job.position === null;
    const ahead = now.queue.running;
    const text = now.queue.paused
      ? "The queue is paused. Press Resume below to go on."
      : first
        ? ahead
          ? "It begins when the clip that is being made is finished. You may close this page."
          : "It begins in a moment."
        : `${job.position - 1} ${job.position === 2 ? "clip is" : "clips are"} before it. You may close this page: the studio goes on without it.`;
    say("clock", now.queue.paused ? "Paused" : first ? "Next in line" : `Number ${job.position} in line`, text);
  }

  function showRunning(job) {
    const at = job.progress,
      percent = Math.round(100 * (at?.fraction ?? 0));
    const stage = job.cancel_requested ? "Stopping" : words.stage(at?.stage);
    if (hudStage.textContent !== stage) hudStage.textContent = stage;
    hudStep.textContent = at && at.total > 1 ? `step ${at.step} of ${at.total}` : "";
    hudLeft.textContent = words.left(at?.remaining_s);
    bar.setAttribute("aria-valuenow", String(percent));
    bar.setAttribute("aria-valuetext", `${stage}, ${percent} percent`);
    bar.firstChild.style.width = `${percent}%`;
    studio.drawCurves(at);
    const version = at?.preview_version ?? 0;
    if (version > Number(preview.dataset.version)) loadPreview(job.id, version);
    if (preview.getAttribute("src")) reveal(preview, hud);
    else {
      say(
        job.request.modality === "audio" ? "wave" : "film",
        `${stage}…`,
        job.request.modality === "audio"
          ? "A sound without a picture: it plays here when it is finished."
          : "The first picture appears in a moment and sharpens as the studio works.",
      );
      hud.hidden = false;
    }
  }

  function loadPreview(id, version) {
    preview.dataset.version = String(version);
    const next = new Image();
    next.addEventListener("load", () => {
      if (now.job?.id !== id || FINAL.includes(now.job.state) || Number(preview.dataset.version) > version) return;
      preview.src = next.src;
      glow(next.src);
      reveal(preview, hud);
    });
    next.src = `/api/v1/jobs/${id}/preview?v=${version}`;
  }

  async function showDone(job) {
    const clip = job.result;
    stopWatching();
    if (clip) showClip(clip, { play: navigator.userActivation?.hasBeenActive });
    await refresh();
  }

  function showFailed(job) {
    stopWatching();
    const again = button("Try again", "reuse", () => retry(job), { text: true, class: "button small" });
    const edit = button("Put it in the form", "file", () => studio.restoreRequest(job.request), {
      text: true,
      class: "button small quiet",
    });
    say(
      "close",
      "This clip could not be made",
      job.error?.message ?? "The studio does not know why; try again.",
      h("div", { class: "notice-tools" }, again, edit),
    );
    refresh();
  }

  async function showCancelled() {
    stopWatching();
    toast("Cancelled. Your settings are still in the form.");
    now.job = null;
    await refresh();
    open(); // the next job in line, or the newest clip
  }

  const retry = (job) =>
    attempt(async () => {
      const fresh = await api(`/jobs/${job.id}/retry`, { method: "POST" });
      watch(fresh);
      await refresh();
    });
  const cancel = (job) =>
    attempt(async () => {
      const after = await api(`/jobs/${job.id}/cancel`, { method: "POST" });
      if (now.job?.id === job.id) showJob(after);
      await refresh();
    });

  /* ---- keeping up with the server, also with what other tabs do ---- */
  let known = "",
    timer = 0,
    asked = 0,
    answered = 0;

  async function refresh() {
    clearTimeout(timer);
    const mine = (asked += 1);
    try {
      const [queue, ended] = await Promise.all([api("/queue"), api("/jobs?state=failed&state=done&limit=8")]);
      if (mine < answered) return; // something asked later is known already
      answered = mine;
      const recently = Date.now() - 15 * 6e4,
        failed = ended.filter((job) => job.state === "failed" && new Date(job.finished_at) > recently).slice(0, 3),
        ids = [...queue.jobs, ...ended].map((job) => job.id + job.state).join();
      Object.assign(now, { queue, failed });
      if (!now.ready || ids !== known) await refreshClips();
      known = ids;
      studio.drawQueue();
      await reconcile();
      if (!now.ready) {
        now.ready = true;
        open();
      }
    } catch (error) {
      if (!(error instanceof studio.Failure)) throw error;
      studio.sayAway(); // the next look finds the studio again
    } finally {
      clearTimeout(timer);
      timer = setTimeout(refresh, document.hidden ? 15000 : now.queue.jobs.length ? 1500 : 4000);
    }
  }

  /* The stream tells nearly everything; what it missed while the server was away, or what only the queue knows, comes here. */
  async function reconcile() {
    const job = now.job;
    if (!job || FINAL.includes(job.state)) return;
    const fresh = now.queue.jobs.find((each) => each.id === job.id) ?? (await api(`/jobs/${job.id}`));
    if (now.job?.id !== job.id || FINAL.includes(now.job.state)) return;
    if (fresh.state !== "running" || job.state !== "running") showJob(fresh);
    if (now.source?.readyState === EventSource.CLOSED) listen();
  }

  async function refreshClips() {
    now.clips = (await api("/clips?limit=16")).clips;
    studio.drawRecent();
    studio.libraryChanged?.();
  }

  function open() {
    studio.drawRecent();
    if (now.job) return undefined;
    const active = now.queue.jobs.find((job) => job.state === "running") ?? now.queue.jobs[0];
    return active ? watch(active) : now.clips[0] ? showClip(now.clips[0]) : welcome();
  }

  document.addEventListener("visibilitychange", () => {
    listen();
    if (!document.hidden) refresh();
  });

  places.stage = (element) => {
    place = element.querySelector(".stage");
    place.setAttribute("aria-label", "Player");
    place.replaceChildren(h("div", { class: "screen" }, ambient, video, preview, notice, hud), caption);
    refresh();
  };

  Object.assign(studio, {
    now,
    watch,
    cancel,
    retry,
    refresh,
    showClip,
    submitted: (job) => {
      const busy = now.job && !FINAL.includes(now.job.state);
      if (busy) toast("In line. It is made as soon as the clips before it are finished.");
      else watch(job);
      comeIntoView(calm.matches ? "instant" : "smooth");
      refresh();
    },
    cancelWatched: () => {
      const job = now.job && !FINAL.includes(now.job.state) ? now.job : now.queue.jobs[0];
      if (job) cancel(job);
    },
    clipChanged: (clip) => {
      const gone = clip.deleted_at !== null;
      now.clips = now.clips
        .map((each) => (each.id === clip.id ? clip : each))
        .filter((each) => !(gone && each.id === clip.id));
      if (now.clip?.id === clip.id) {
        now.clip = clip;
        if (gone) {
          if (now.clips[0]) showClip(now.clips[0]);
          else {
            now.clip = null;
            welcome();
          }
        } else drawCaption();
      }
      refreshClips().catch(() => {});
    },
  });
})();
