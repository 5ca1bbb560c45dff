/* Clips side by side: one play and one seek for all, of two a map of what differs, and their cards line by line. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, words, attempt } = studio;
  const dialog = h("dialog", { class: "compare", "aria-label": "Compare clips" });
  const LETTERS = "ABCDEFGH";

  function film(clip, muted) {
    return h("video", {
      src: clip.urls.file,
      poster: clip.urls.thumbnail,
      preload: "auto",
      playsinline: true,
      muted,
      "aria-label": `Clip: ${clip.request.prompt}`,
    });
  }

  /* All on one clock: the first leads, the others follow wherever it is. */
  function lead(films, tools) {
    const [one, ...others] = films;
    const all = films.length > 2 ? "all" : "both";
    let heard = 0;
    const seek = h("input", { type: "range", min: "0", max: "1000", value: "0", "aria-label": `Position of ${all} clips` });
    const play = button(`Play ${all}`, "play", () => (one.paused ? start() : one.pause()), { text: true, class: "button small play-both" });
    const follow = (force) => {
      for (const each of others)
        if (force || Math.abs(each.currentTime - one.currentTime) > 0.05) each.currentTime = Math.min(one.currentTime, each.duration || 0);
    };
    function start() {
      follow(true);
      for (const each of films) each.play().catch(() => {});
    }
    one.addEventListener("play", () => (play.lastChild.textContent = `Pause ${all}`));
    one.addEventListener("pause", () => {
      play.lastChild.textContent = `Play ${all}`;
      for (const each of others) each.pause();
      follow(true);
    });
    one.addEventListener("timeupdate", () => {
      seek.value = String((1000 * one.currentTime) / (one.duration || 1));
      if (!one.paused) follow(false);
    });
    seek.addEventListener("input", () => {
      one.currentTime = ((one.duration || 0) * Number(seek.value)) / 1000;
      follow(true);
    });
    const next = () => (heard + 1) % films.length;
    const listen = button("Hear B", "wave", () => {
      heard = next();
      films.forEach((each, at) => (each.muted = at !== heard));
      listen.lastChild.textContent = `Hear ${LETTERS[next()]}`;
    }, { text: true, class: "button small quiet" });
    tools.append(play, seek, listen);
  }

  function difference(one, two, clip) {
    const canvas = h("canvas", { class: "difference", width: clip.width, height: clip.height, role: "img", "aria-label": "What differs" });
    const ink = canvas.getContext("2d", { willReadFrequently: true });
    const draw = () => {
      if (one.readyState < 2 || two.readyState < 2) return;
      ink.globalCompositeOperation = "copy";
      ink.filter = "none";
      ink.drawImage(one, 0, 0, canvas.width, canvas.height);
      ink.globalCompositeOperation = "difference";
      ink.drawImage(two, 0, 0, canvas.width, canvas.height);
      ink.globalCompositeOperation = "copy";
      ink.filter = "brightness(3)"; // small differences are the ones worth a map
      ink.drawImage(canvas, 0, 0);
    };
    for (const each of [one, two]) for (const news of ["seeked", "loadeddata", "timeupdate"]) each.addEventListener(news, draw);
    return canvas;
  }

  /* Which is the best, where the next is worse by more than a hundredth of the usual span. */
  function better(metric, values) {
    const bad = values.map((value) => ({ near: Math.abs(value - (metric.target ?? 0)), lower: value, higher: -value })[metric.better]);
    const [least, next] = [...bad].sort((a, b) => a - b);
    return next - least <= 0.01 * (metric.span[1] - metric.span[0]) ? "" : LETTERS[bad.indexOf(least)];
  }

  function table(clips, catalogue) {
    const inAll = catalogue.metrics.filter(
      (metric) => metric.group !== "length" && clips.every((clip) => clip.measurements[metric.name] !== undefined),
    );
    if (!inAll.length) return h("p", { class: "hint" }, "Open the clips and press Measure again: one of them has not been measured yet.");
    const letters = [...LETTERS].slice(0, clips.length);
    const row = (metric) => {
      const values = clips.map((clip) => clip.measurements[metric.name]);
      const wins = better(metric, values);
      return h(
        "tr",
        { title: metric.definition },
        h("th", { scope: "row" }, metric.title),
        values.map((value, at) => h("td", { class: wins === letters[at] ? "wins" : null }, studio.shownValue(metric, value))),
        h("td", {}, wins),
      );
    };
    const heads = ["", ...letters, clips.length > 2 ? "Best" : "Better"].map((text) => h("th", { scope: "col" }, text));
    return h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, inAll.map(row)));
  }

  /* The same as a film; the studio makes it where both have one frame rate. */
  const saved = (a, b) =>
    a.frame_rate === b.frame_rate
      ? h("a", { class: "button small quiet", href: `/api/v1/compare/map?clip=${a.id}&clip=${b.id}`, download: "what-differs.mp4" }, "Save as a film")
      : null;

  studio.compareClips = (...clips) =>
    attempt(async () => {
      const catalogue = await studio.known();
      if (!dialog.isConnected) document.body.append(dialog);
      const films = clips.map((clip, at) => film(clip, at > 0)),
        tools = h("div", { class: "compare-tools" });
      lead(films, tools);
      const [a, b] = clips;
      const equal = clips.length === 2 && a.has_video && b.has_video && a.width === b.width && a.height === b.height;
      const side = (clip, at) => h("figure", {}, films[at], h("figcaption", {}, h("b", {}, LETTERS[at]), words.title(clip)));
      dialog.replaceChildren(
        h("div", { class: "detail-head" }, h("h2", {}, "Compare"), button("Close", "close", () => dialog.close())),
        h(
          "div",
          { class: `films ${equal ? "three" : clips.length > 2 ? "many" : "two"}` },
          clips.map(side),
          equal ? h("figure", {}, difference(...films, a), h("figcaption", {}, h("b", {}, "≠"), "What differs, three times as bright", saved(a, b))) : null,
        ),
        tools,
        h("div", { class: "compare-table" }, table(clips, catalogue)),
      );
      dialog.showModal();
    });
  dialog.addEventListener("close", () => dialog.replaceChildren());
})();
