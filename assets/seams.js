/* The drift guard: where an edit's new frames meet the kept ones, what jumps there, and the two ways to mend it. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, refill } = studio;
  const SIDES = ["in", "out"];

  /* What is poor or fair at either seam of a clip, in words: [{ at_s, said, verdict, colour }]. */
  function seamsOf(clip, byName) {
    return SIDES.filter((side) => clip.measurements[`seam.${side}_s`] !== undefined).map((side) => {
      const value = (what) => clip.measurements[`seam.${side}_${what}`];
      const judged = (what) => (value(what) === undefined ? "good" : studio.verdict(byName[`seam.${side}_${what}`], value(what)));
      const at_s = value("s"), found = { colour: judged("colour"), sharpness: judged("sharpness"), motion: judged("motion") };
      const softer = (value("sharpness") ?? 1) < 1;
      const said = [
        found.colour === "poor" && "the colour jumps",
        found.sharpness === "poor" && `the new frames are ${softer ? "softer" : "sharper"}`,
        found.motion === "poor" && "the motion jumps",
      ].filter(Boolean);
      return { at_s, said, colour: found.colour === "poor" };
    });
  }

  /* The range that was made anew, in seconds; null where it runs over the clip's end, as in a loop. */
  function rangeOf(clip) {
    const begins = clip.measurements["seam.in_s"] ?? 0, ends = clip.measurements["seam.out_s"] ?? clip.duration_s;
    return begins < ends ? { start_s: begins, end_s: ends } : null;
  }

  /* The same edit by the same model with the same settings, from another seed; its shape comes from its source. */
  const again = ({ seed, height, width, num_frames, frame_rate, modality, upscale, stages, refine_sigmas, ...kept }) => kept;

  const sentence = ({ at_s, said }) => {
    const list = said.length > 1 ? `${said.slice(0, -1).join(", ")} and ${said.at(-1)}` : said[0];
    return `At ${at_s.toFixed(2)} s ${list}.`;
  };

  /* `submit` takes an edit's body, `show` goes to a second. */
  studio.seamGuard = ({ submit, show }) => {
    const guard = h("div", { class: "edit-seams", role: "status", hidden: true });
    const marks = h("div", { class: "seam-marks", "aria-hidden": "true" });

    async function draw(clip) {
      const { byName } = await studio.known();
      const seams = seamsOf(clip, byName), bad = seams.filter(({ said }) => said.length);
      refill(
        marks,
        seams.map(({ at_s, said }) => h("i", { class: said.length ? "bad" : "", style: `left: ${(100 * at_s) / clip.duration_s}%` })),
      );
      guard.hidden = !seams.length;
      if (!bad.length) {
        refill(guard, seams.length ? h("p", { class: "good" }, icon("check"), "The new frames join the kept ones without a jump.") : []);
        return;
      }
      const range = rangeOf(clip), { edit } = clip.request;
      refill(
        guard,
        bad.map((seam) => h("p", { class: "bad" }, icon("close"), button(sentence(seam), null, () => show(seam.at_s), { text: true, class: "link" }))),
        h(
          "div", { class: "edit-row" },
          bad.some(({ colour }) => colour) && range && edit.kind !== "match-colour"
            ? button("Match colour", null, () => submit({ source: `clip:${clip.id}`, edit: { kind: "match-colour", ...range } }), { text: true, class: "button small", title: "Brings the colours of the new frames to those beside them" })
            : null,
          edit.kind !== "match-colour"
            ? button("Re-roll", null, () => submit(again(clip.request)), { text: true, class: "button small", title: "Makes only the new frames again, from another seed" })
            : null,
        ),
      );
    }
    return { guard, marks, draw };
  };
})();
