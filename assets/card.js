/* The quality card: what was measured on a clip, in plain words, and what it was made with.
   Good and bad are told by a sign and a word, never by colour alone. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, words, places, api, attempt, toast } = studio;
  const SIGNS = { good: ["check", "good"], fair: ["minus", "fair"], poor: ["close", "poor"] };
  let place = null,
    catalogue = null,
    asking = null;

  /* What is measured, asked for once. */
  function known() {
    asking ??= api("/metrics").then((found) => {
      catalogue = { ...found, byName: Object.fromEntries(found.metrics.map((metric) => [metric.name, metric])) };
      drawCard();
      return catalogue;
    });
    return asking;
  }

  function verdict(metric, value) {
    if (!metric.good) return null;
    const within = ([least, most]) => least <= value && value <= most;
    return within(metric.good) ? "good" : within(metric.fair) ? "fair" : "poor";
  }

  function shownValue(metric, value) {
    if (metric.unit === "share") return `${(100 * value).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`;
    const digits = metric.unit === "ms" ? 0 : Math.abs(value) < 10 ? 2 : 1;
    const sign = metric.name.endsWith("_ms") && metric.better === "near" && value > 0 ? "+" : "";
    return `${sign}${value.toFixed(digits).replace(/^-(0(\.0+)?)$/, "$1")} ${metric.unit}`;
  }

  function row(metric, value) {
    const how = verdict(metric, value);
    const sign = how ? h("span", { class: `sign ${how}` }, icon(SIGNS[how][0]), SIGNS[how][1]) : null;
    const picture = ["sound", "sync"].includes(metric.group) ? "sound" : "picture";
    return h(
      "div",
      { class: `measured ${picture}`, "data-metric": metric.name, title: `${metric.definition} (${metric.source})` },
      h("dt", {}, metric.title),
      h("dd", {}, h("span", { class: "number" }, shownValue(metric, value)), sign),
    );
  }

  /* The offset in a sentence: what it is, and whether that is more than chance. */
  function together(clip) {
    const m = clip.measurements,
      offset = m["sync.offset_ms"],
      confidence = m["sync.confidence"];
    if (!clip.has_video || !clip.has_audio) return null;
    if (offset === undefined) return ["none", "Too few events are both seen and heard to tell whether they are together."];
    if (confidence < (catalogue?.confident ?? 0.95))
      return ["none", "No sync found: sound and picture fit no better than by chance."];
    const ms = Math.round(Math.abs(offset));
    if (Math.abs(offset) <= 1000 / clip.frame_rate) return ["good", `Sound and picture are together, to ${ms} ms.`];
    return ["bad", `The sound is ${ms} ms too ${offset > 0 ? "late" : "early"}.`];
  }

  function fixButton(clip) {
    const offset = clip.measurements["sync.offset_ms"];
    return button(
      "Fix sync",
      "wave",
      () =>
        attempt(async () => {
          const edit = { kind: "shift-sound", offset_s: -Math.round(offset) / 1000 };
          studio.submitted(await api("/edits", { method: "POST", json: { source: `clip:${clip.id}`, edit } }));
          toast("A new take with its sound moved is on its way; this clip stays as it is.");
        }),
      { text: true, class: "button small fix-sync" },
    );
  }

  function measureButton(clip) {
    const press = button(
      "Measure again",
      "reuse",
      () =>
        attempt(async () => {
          press.disabled = true;
          press.lastChild.textContent = "Measuring…";
          const fresh = await api(`/clips/${clip.id}/measure`, { method: "POST" }).finally(() => {
            press.disabled = false;
            press.lastChild.textContent = "Measure again";
          });
          studio.clipChanged(fresh);
          studio.clipMeasured?.(fresh);
          drawCard();
        }),
      { text: true, class: "button small quiet measure" },
    );
    return press;
  }

  const LANE = 34; // above the waveform: what is seen

  /* What is seen, above the waveform: things that touch, beats, and how far a mouth is open. */
  function drawSeen(ink, seen, x, colour, width) {
    ink.fillStyle = colour;
    if (seen.mouth) {
      ink.globalAlpha = 0.35;
      ink.beginPath();
      ink.moveTo(0, LANE);
      seen.mouth.forEach((open, frame) => ink.lineTo((width * (frame + 0.5)) / seen.mouth.length, LANE - 2 - (LANE - 6) * Math.min(1, open)));
      ink.lineTo(width, LANE);
      ink.fill();
      ink.globalAlpha = 1;
    }
    for (const s of seen.impacts_s) {
      ink.beginPath();
      for (const [dx, y] of [[-7, 14], [7, 14], [0, 30]]) ink.lineTo(x(s) + dx, y);
      ink.fill();
    }
    for (const s of seen.beats_s) {
      ink.beginPath();
      ink.arc(x(s), 6, 4, 0, 2 * Math.PI);
      ink.fill();
    }
  }

  function seenInWords({ impacts_s, beats_s, mouth }) {
    const kinds = [impacts_s.length && "triangles: things touch", beats_s.length && "dots: beats", mouth && "hill: the mouth opens"].filter(Boolean);
    return kinds.length ? ` Above, as it is seen: ${kinds.join(", ")}.` : "";
  }

  /* Loudness over time, with the moments at which something begins to sound, where they would be without the offset, and what is seen. */
  function waveform(clip) {
    const tall = clip.moments && seenInWords(clip.moments) ? 96 + LANE : 96, top = tall - 96;
    const canvas = h("canvas", { class: "card-wave", width: "520", height: String(tall), role: "img", "aria-label": "Waveform with onsets" });
    canvas.style.height = `${tall / 2}px`;
    const offset = clip.measurements["sync.offset_ms"] ?? 0,
      moved = (together(clip) ?? [])[0] === "bad";
    const legend = h("figcaption", {}, moved ? "Lines: onsets. Dashed: where the picture puts them." : "Lines: something begins to sound.");
    attempt(async () => {
      const wave = await api(`/clips/${clip.id}/waveform?points=130`);
      const ink = canvas.getContext("2d"),
        style = getComputedStyle(canvas),
        x = (s) => (s / wave.duration_s) * canvas.width;
      ink.fillStyle = style.getPropertyValue("--sound");
      const most = Math.max(0.05, ...wave.peaks);
      wave.peaks.forEach((peak, at) => {
        const high = Math.max(2, (peak / most) * 76);
        ink.fillRect(at * 4, top + 48 - high / 2, 2.6, high);
      });
      const heard = await api(`/clips/${clip.id}/onsets`); // takes longer: the loudness is shown meanwhile
      ink.fillStyle = style.getPropertyValue("--text");
      for (const s of heard.onsets_s) ink.fillRect(x(s) - 1, top, 2, 96);
      if (moved) {
        ink.strokeStyle = style.getPropertyValue("--accent");
        ink.lineWidth = 3;
        ink.setLineDash([7, 5]);
        for (const s of heard.onsets_s) {
          ink.beginPath();
          ink.moveTo(x(s - offset / 1000), top);
          ink.lineTo(x(s - offset / 1000), tall);
          ink.stroke();
        }
      }
      if (!heard.onsets_s.length) legend.textContent = "Nothing in it begins to sound suddenly.";
      canvas.setAttribute("aria-label", `Waveform; ${heard.onsets_s.length} onsets${moved ? ", and where the picture puts them" : ""}`);
      const seen = clip.moments;
      if (!seen) return; // measured before they were kept
      drawSeen(ink, seen, x, style.getPropertyValue("--accent"), canvas.width);
      legend.textContent += seenInWords(seen);
      canvas.dataset.seen = String(seen.impacts_s.length + seen.beats_s.length);
    });
    return h("figure", { class: "card-sound" }, canvas, legend);
  }

  /* A clip of a model that knows certain words only, whose prompt has none that the readers know. */
  const isUncompared = (clip) =>
    clip.request.kind === "generate" && clip.has_video && clip.measurements["temporal.flicker"] !== undefined &&
    clip.measurements["semantic.match"] === undefined &&
    (document.querySelector(".words")?.dataset.models ?? "").split(" ").includes(clip.request.model);

  /* Everything that is measured on a clip, grouped; what needs no judgement is folded away. */
  function quality(clip, { wave = true } = {}) {
    known();
    if (!catalogue) return h("div", { class: "quality" });
    const m = clip.measurements,
      parts = [],
      rest = [];
    for (const [group, title] of Object.entries(catalogue.groups)) {
      const measured = catalogue.metrics.filter((metric) => metric.group === group && m[metric.name] !== undefined);
      const judged = measured.filter((metric) => metric.good && group !== "sync");
      rest.push(...measured.filter((metric) => !judged.includes(metric)));
      if (judged.length) parts.push(h("h3", {}, title), h("dl", {}, judged.map((metric) => row(metric, m[metric.name]))));
    }
    const [kind, sentence] = together(clip) ?? [];
    const isOld = !parts.length;
    return h(
      "div",
      { class: "quality" },
      sentence && !isOld
        ? h("p", { class: `verdict ${kind}` }, icon({ good: "check", bad: "clock", none: "minus" }[kind]), sentence)
        : null,
      clip.has_video && !clip.has_audio && !isOld ? h("p", { class: "verdict none" }, icon("minus"), "No sound.") : null,
      kind === "bad" && clip.id ? fixButton(clip) : null,
      wave && clip.has_audio && clip.id && !isOld ? waveform(clip) : null,
      isOld ? h("p", { class: "hint" }, "This clip was made before it could be measured.") : parts,
      isUncompared(clip) ? h("p", { class: "hint" }, "Whether it shows what was asked is not judged: the model knows no word of the prompt that could be looked for.") : null,
      rest.length
        ? h("details", {}, h("summary", {}, "More"), h("dl", {}, rest.map((metric) => row(metric, m[metric.name]))))
        : null,
      clip.id ? measureButton(clip) : null,
    );
  }

  function drawCard() {
    if (!place) return;
    const { clip, job } = studio.now;
    if (!clip) {
      const text = job && !["failed", "cancelled"].includes(job.state)
        ? "Its measurements appear here as soon as the clip is finished."
        : "When a clip is finished, this card says in plain words how it moves, how sharp it is, how loud, and whether picture and sound are together.";
      place.replaceChildren(
        h("h2", {}, "Quality"),
        h("div", { class: "ghost-meters", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i")),
        h("p", { class: "hint" }, text),
      );
      return;
    }
    const spent = Object.values(clip.stage_seconds).reduce((sum, s) => sum + s, 0);
    const rows = [
      ["Model", clip.request.model],
      ["Steps", clip.request.num_inference_steps],
      ...(clip.has_video ? [["Frames", `${clip.num_frames} at ${clip.frame_rate} a second`]] : []),
      ["Made in", words.seconds(spent)],
      ["File", words.bytes(clip.size_bytes)],
    ];
    place.replaceChildren(
      h("h2", {}, "Quality"),
      quality(clip),
      h("h2", {}, "Made with"),
      h(
        "dl",
        { class: "facts" },
        rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
      ),
    );
  }

  places.card = (element) => {
    place = element.querySelector(".card");
    place.setAttribute("aria-label", "Measurements of the clip");
    drawCard();
  };
  Object.assign(studio, { quality, known, verdict, shownValue, drawCard });
})();
