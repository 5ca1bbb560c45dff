/* Under Generate: what the clip would take of the memory against what can be had, and the cheapest change that fits. The studio
   reckons; this asks when the settings have come to rest, and shows. It never stands in the way of Generate. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, places } = studio;
  const WAIT_MS = 400;
  const AGAIN_MS = 20000; // what is free changes without the form
  const SHORT = {
    encode: "prompt",
    denoise: "denoising",
    "upsample latents": "between stages",
    "decode picture": "picture",
    enlarge: "enlarging",
    "decode sound": "sound",
    write: "file",
  };
  const WATCHED = ["modality", "model", "size", "duration", "frame_rate", "upscale", "stages", "guidance_scale", "audio_guidance_scale"];
  const size = (bytes) => `${(bytes / 1e9).toFixed(bytes < 1e11 ? 1 : 0)} GB`;

  function mountMemory(element, trigger, props, watch) {
    const place = element.querySelector(".memory");
    const fill = h("i");
    const bar = h("div", { class: "memory-bar", role: "meter", "aria-label": "Memory for this clip", "aria-valuemin": "0", "aria-valuemax": "100" }, fill);
    const note = h("span", { class: "memory-note" });
    let timer = 0;
    let asked = "";

    const draw = () => {
      const told = props.value;
      place.hidden = !told;
      if (!told) return;
      const share = told.free_bytes ? Math.min(1, told.peak_bytes / told.free_bytes) : 0;
      bar.hidden = told.free_bytes === null;
      fill.style.width = `${(100 * share).toFixed(1)}%`;
      bar.setAttribute("aria-valuenow", (100 * share).toFixed(0));
      bar.setAttribute("aria-valuetext", told.sentence);
      place.dataset.fits = String(told.fits);
      place.title = `${told.sentence} ${told.stages.map((each) => `${SHORT[each.stage]} ${size(each.peak_bytes)}`).join(", ")}. ${
        told.runs ? `From ${told.runs} measured ${told.runs === 1 ? "clip" : "clips"}.` : "Reckoned; not measured yet."
      }`;
      note.setAttribute("aria-live", told.fits === false ? "polite" : "off"); // what is merely free changes all the time
      const free = told.free_bytes === null ? "" : ` of ${size(told.free_bytes)} free`;
      note.textContent =
        told.fits === false
          ? `Needs ${size(told.peak_bytes)}, ${size(told.free_bytes)} can be had${told.change ? "" : ": choose a smaller model"}. `
          : `Memory: ${size(told.peak_bytes)}${free}${told.ran_short ? ", in smaller steps" : ""}`;
      const change =
        told.fits === false && told.change
          ? h("button", { type: "button", class: "memory-change", onclick: () => trigger("select") }, `Make it fit: ${told.change.words}`)
          : "";
      place.replaceChildren(bar, h("p", {}, note, change));
    };
    const ask = () => {
      clearTimeout(timer);
      timer = setTimeout(ask, AGAIN_MS);
      if (element.offsetParent && document.visibilityState === "visible") trigger("submit");
    };
    const look = () => {
      const key = JSON.stringify(WATCHED.map((name) => studio.form?.[name]));
      if (key === asked) return;
      asked = key;
      clearTimeout(timer);
      timer = setTimeout(ask, WAIT_MS);
    };
    watch("value", draw);
    addEventListener("studio-form", look);
    look();
    draw();
  }

  Object.assign(places, { memory: mountMemory });
})();
