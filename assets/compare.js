/* Two clips side by side: one play and one seek for both, a map of what differs, and both cards line by line. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, words, attempt } = studio;
  const dialog = h("dialog", { class: "compare", "aria-label": "Compare two clips" });

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

  /* Both on one clock: the first leads, the second follows wherever it is. */
  function lead(one, two, tools) {
    const seek = h("input", { type: "range", min: "0", max: "1000", value: "0", "aria-label": "Position of both clips" });
    const play = button("Play both", "play", () => (one.paused ? start() : one.pause()), { text: true, class: "button small play-both" });
    const follow = (force) => {
      if (force || Math.abs(two.currentTime - one.currentTime) > 0.05) two.currentTime = Math.min(one.currentTime, two.duration || 0);
    };
    function start() {
      follow(true);
      one.play().catch(() => {});
      two.play().catch(() => {});
    }
    one.addEventListener("play", () => (play.lastChild.textContent = "Pause both"));
    one.addEventListener("pause", () => {
      play.lastChild.textContent = "Play both";
      two.pause();
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
    const listen = button("Hear B", "wave", () => {
      [one.muted, two.muted] = [two.muted, one.muted];
      listen.lastChild.textContent = one.muted ? "Hear A" : "Hear B";
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

  /* Which is better, where the difference is more than a hundredth of the usual span. */
  function better(metric, one, two) {
    const bad = (value) => ({ near: Math.abs(value - (metric.target ?? 0)), lower: value, higher: -value })[metric.better];
    const gap = bad(one) - bad(two);
    return Math.abs(gap) <= 0.01 * (metric.span[1] - metric.span[0]) ? "" : gap < 0 ? "A" : "B";
  }

  function table(a, b, catalogue) {
    const both = catalogue.metrics.filter(
      (metric) => metric.group !== "length" && a.measurements[metric.name] !== undefined && b.measurements[metric.name] !== undefined,
    );
    if (!both.length) return h("p", { class: "hint" }, "Open both clips and press Measure again: one of them has not been measured yet.");
    return h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ["", "A", "B", "Better"].map((text) => h("th", { scope: "col" }, text)))),
      h(
        "tbody",
        {},
        both.map((metric) => {
          const [one, two] = [a.measurements[metric.name], b.measurements[metric.name]];
          const wins = better(metric, one, two);
          return h(
            "tr",
            { title: metric.definition },
            h("th", { scope: "row" }, metric.title),
            h("td", { class: wins === "A" ? "wins" : null }, studio.shownValue(metric, one)),
            h("td", { class: wins === "B" ? "wins" : null }, studio.shownValue(metric, two)),
            h("td", {}, wins),
          );
        }),
      ),
    );
  }

  studio.compareClips = (a, b) =>
    attempt(async () => {
      const catalogue = await studio.known();
      if (!dialog.isConnected) document.body.append(dialog);
      const [one, two] = [film(a, false), film(b, true)],
        tools = h("div", { class: "compare-tools" });
      lead(one, two, tools);
      const equal = a.has_video && b.has_video && a.width === b.width && a.height === b.height;
      const side = (letter, clip, video) => h("figure", {}, video, h("figcaption", {}, h("b", {}, letter), words.title(clip)));
      dialog.replaceChildren(
        h("div", { class: "detail-head" }, h("h2", {}, "Compare"), button("Close", "close", () => dialog.close())),
        h(
          "div",
          { class: `films ${equal ? "three" : "two"}` },
          side("A", a, one),
          side("B", b, two),
          equal ? h("figure", {}, difference(one, two, a), h("figcaption", {}, h("b", {}, "≠"), "What differs, three times as bright")) : null,
        ),
        tools,
        table(a, b, catalogue),
      );
      dialog.showModal();
    });
  dialog.addEventListener("close", () => dialog.replaceChildren());
})();
