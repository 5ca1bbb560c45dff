/* The quality card: what was measured on the shown clip, in plain words, and what it was made with. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, words, places } = studio;
  let place = null;

  function scale(value, from, to) {
    return Math.max(0.02, Math.min(1, (value - from) / (to - from)));
  }
  function rank(value, steps) {
    return steps.find(([below]) => value < below)[1];
  }

  function readings(clip) {
    const m = clip.measurements,
      found = [];
    if (m.movement !== undefined)
      found.push([
        "Movement",
        rank(m.movement, [
          [0.4, "almost still"],
          [2, "calm"],
          [6, "lively"],
          [Infinity, "very busy"],
        ]),
        scale(Math.log1p(m.movement), 0, 2.5),
        "picture",
        `Mean change between frames: ${m.movement.toFixed(2)} of 255 grey levels`,
      ]);
    if (m.sharpness !== undefined)
      found.push([
        "Sharpness",
        rank(m.sharpness, [
          [2, "soft"],
          [6, "clear"],
          [Infinity, "crisp"],
        ]),
        scale(Math.log1p(m.sharpness), 0, 3),
        "picture",
        `Mean edge strength: ${m.sharpness.toFixed(2)} of 255 grey levels`,
      ]);
    if (m.loudness_dbfs !== undefined)
      found.push([
        "Loudness",
        rank(m.loudness_dbfs, [
          [-55, "nearly silent"],
          [-32, "quiet"],
          [-12, "comfortable"],
          [Infinity, "loud"],
        ]),
        scale(m.loudness_dbfs, -60, 0),
        "sound",
        `${m.loudness_dbfs.toFixed(1)} dB of full scale on average`,
      ]);
    if (m.peak_dbfs !== undefined)
      found.push([
        "Peaks",
        m.peak_dbfs > -0.1 ? "at the limit" : "not clipped",
        scale(m.peak_dbfs, -60, 0),
        "sound",
        `Loudest moment: ${m.peak_dbfs.toFixed(1)} dB of full scale`,
      ]);
    return found;
  }

  function lengths(clip) {
    const m = clip.measurements,
      parts = [];
    if (m.picture_s !== undefined) parts.push(`picture ${m.picture_s.toFixed(2)} s`);
    if (m.sound_s !== undefined) parts.push(`sound ${m.sound_s.toFixed(2)} s`);
    if (m.length_difference_ms === undefined) return [parts.join(", "), true];
    const even = m.length_difference_ms <= 1000 / clip.frame_rate;
    return [
      `${parts.join(", ")}: ${even ? "they end together" : `${Math.round(m.length_difference_ms)} ms apart`}`,
      even,
    ];
  }

  function drawCard() {
    if (!place) return;
    const { clip, job } = studio.now;
    if (!clip) {
      const text = job
        ? "Its measurements appear here as soon as the clip is finished."
        : "When a clip is finished, this card says in plain words how it moves, how sharp it is, how loud, and whether picture and sound end together.";
      place.replaceChildren(
        h("h2", {}, "Quality"),
        h("div", { class: "ghost-meters", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i")),
        h("p", { class: "hint" }, text),
      );
      return;
    }
    const meters = readings(clip).map(([name, word, share, kind, detail]) =>
      h(
        "div",
        { class: `reading ${kind}`, title: detail },
        h("dt", {}, name),
        h("dd", {}, word),
        h("div", { class: "meter", "aria-hidden": "true" }, h("i", { style: `width:${Math.round(100 * share)}%` })),
        h("small", {}, detail),
      ),
    );
    const [together, even] = lengths(clip);
    const spent = Object.values(clip.stage_seconds).reduce((sum, s) => sum + s, 0);
    const rows = [
      ["Model", clip.request.model],
      ["Steps", clip.request.num_inference_steps],
      ["Frames", `${clip.num_frames} at ${clip.frame_rate} a second`],
      ["Made in", words.seconds(spent)],
      ["File", words.bytes(clip.size_bytes)],
    ];
    place.replaceChildren(
      h("h2", {}, "Quality"),
      h("dl", { class: "readings" }, meters),
      h("p", { class: `verdict ${even ? "good" : "bad"}` }, icon(even ? "check" : "clock"), together),
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
  Object.assign(studio, { readings, lengths, drawCard });
})();
