/* The tools of the Edit tab: what each asks for, and the operation that it makes of that. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, api, attempt, words } = studio;

  /* `now` is the state of the tab, `read` the value of a field by its name, `plan` is called when one changes. */
  studio.editTools = ({ now, read, plan }) => {
    const field = (name, label, value, limits = {}) =>
      h("label", { class: "edit-field" }, label, h("input", { class: "text", type: "number", name, value, step: "0.1", oninput: plan, ...limits }));
    const choice = (name, label, options) =>
      h(
        "label", { class: "edit-field" }, label,
        h("select", { class: "text", name, onchange: plan }, options.map(([value, text]) => h("option", { value }, text))),
      );
    const span = () => ({ start_s: now.from / now.clip.frame_rate, end_s: Math.min((now.to + 1) / now.clip.frame_rate, now.clip.duration_s) });
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
        edit: () => ({ kind: "keyframes", keyframes: now.keys.map(({ frame, image, strength }) => ({ frame, image, strength })), change: Number(read("change")) }),
        lacks: () => (now.keys.length ? "" : "Paint on the frame or choose an image, then press Keep this frame."),
      },
      region: {
        group: "Frame", title: "Region", words: true, paints: "mask",
        text: "Paint over what may change within the marked range; everything else stays. With a second mask for the end the region moves from one to the other.",
        fields: () => [field("change", "How far it may change, 0 to 1", 1, { min: 0.05, max: 1, step: 0.05 })],
        edit: () => ({ kind: "region", ...span(), mask: now.mask, ...(now.endMask ? { end_mask: now.endMask } : {}), change: Number(read("change")) }),
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
        lacks: () => (read("other") ? "" : "Choose the clip that follows."),
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
        lacks: () => (read("other") ? "" : "Choose the clip with the sound."),
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

    return { TOOLS, makers };
  };
})();
