/* Under the prompt: the styles (LoRAs) that act together, how strongly each, what calls them up, and how much they fight.
   The value is the request's `loras`; which there are, and whether they fit each other, is the API's to say. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, button, api, attempt, toast, places } = studio;
  const MOST = 16;
  const WHOLE = { weight: 1, video: 1, audio: 1, start: 0, end: 1 };
  const field = () => document.querySelector("#field-prompt textarea");
  const pathOf = (reference) => `/loras/${encodeURIComponent(reference)}`;
  const number = (value) => String(Math.round(100 * value) / 100);
  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  /* Where a trigger word stands in the prompt: as a part of its own between commas, or among other words. */
  const within = (word) => new RegExp(`(?<![\\p{L}\\p{N}])${escaped(word)}(?![\\p{L}\\p{N}])`, "iu");
  const holds = (prompt, word) => within(word).test(prompt);
  const alone = (prompt, word) => prompt.split(",").some((part) => part.trim().toLowerCase() === word.toLowerCase());
  const withWord = (prompt, word) => (holds(prompt, word) ? prompt : prompt.trim() ? `${word}, ${prompt}` : `${word}, `);
  const withoutWord = (prompt, word) =>
    alone(prompt, word)
      ? prompt
          .split(",")
          .filter((part) => part.trim().toLowerCase() !== word.toLowerCase())
          .join(",")
          .trimStart()
      : prompt.replace(within(word), "").replace(/ {2,}/g, " ").trimStart();

  const clip = (lora, still) =>
    lora.has_preview
      ? h("video", {
          src: `/api/v1${pathOf(lora.reference)}/preview`,
          "aria-label": `What ${lora.name} looks like`,
          muted: true,
          loop: true,
          playsinline: true,
          preload: "metadata",
          autoplay: !still && !matchMedia("(prefers-reduced-motion: reduce)").matches,
        })
      : h("span", { class: "style-face", "aria-hidden": "true" }, icon("image"));

  /* One slider with its name and its value. */
  function slider(label, value, [min, max, step], show, onchange) {
    const said = h("output", {}, show(value));
    const input = h("input", {
      type: "range",
      min,
      max,
      step,
      value: String(value),
      "aria-label": label,
      oninput: () => {
        said.textContent = show(Number(input.value));
        onchange(Number(input.value));
      },
    });
    return h("div", { class: "style-slider" }, h("span", {}, label.split(" of ")[0]), input, said);
  }

  function mountStyles(element, trigger, props, watch) {
    const place = element.querySelector(".styles");
    const list = h("div", { class: "styles-list", role: "group", "aria-label": "Styles in use" });
    const chips = h("div", { class: "styles-words", role: "group", "aria-label": "Trigger words" });
    const meter = h("div", { class: "styles-meter", "aria-live": "polite", hidden: true });
    const opener = h("button", { type: "button", class: "styles-open", onclick: () => shelf.open() }, icon("plus"), "Add a style");
    const open = new Set();
    let known = null; // every LoRA by its reference, once they were asked for
    let asked = 0;
    let compared = "";

    const uses = () => props.value ?? [];
    const knownOf = (use) => known?.get(use.lora);
    studio.styleName = (reference) => known?.get(reference)?.name;
    const words = () => [...new Set(uses().flatMap((use) => knownOf(use)?.trigger_words ?? []))];
    const load = async () => {
      known = new Map((await api("/loras")).loras.map((each) => [each.reference, each]));
      draw();
    };
    const told = (list) => JSON.stringify(list.map((use) => Object.values({ ...WHOLE, ...use, lora: use.lora })));
    let held = "";
    const put = (next) => {
      held = told(next);
      props.value = next;
      trigger("change");
    };
    const write = (prompt) => {
      if (prompt === field().value) return;
      studio.styledPrompt = prompt;
      trigger("select");
    };
    const change = (at, part) => put(uses().map((use, i) => (i === at ? { ...use, ...part } : use)));
    const add = (lora) => {
      if (uses().some((use) => use.lora === lora.reference)) return;
      if (uses().length >= MOST) return void toast(`A clip takes ${MOST} styles at most; remove one first.`, { kind: "bad" });
      put([...uses(), { ...WHOLE, lora: lora.reference, weight: lora.strength }]);
      write(lora.trigger_words.reduce(withWord, field().value));
      draw();
    };
    const remove = (at) => {
      const gone = knownOf(uses()[at])?.trigger_words ?? [];
      put(uses().filter((_, i) => i !== at));
      const free = gone.filter((word) => !words().includes(word) && alone(field().value, word));
      write(free.reduce(withoutWord, field().value));
      draw();
      opener.focus();
    };
    const takeStack = (preset) => {
      put(preset.uses);
      write(words().reduce(withWord, field().value));
      draw();
    };

    const row = (use, at) => {
      const lora = knownOf(use);
      const name = lora?.name ?? "A style that is not here";
      const fits = !lora || lora.models.includes(studio.form.model);
      const of = (what) => `${what} of ${name}`;
      const set = (part) => (value) => change(at, { [part]: value });
      const percent = (value) => `${Math.round(100 * value)} %`;
      const more = h(
        "details",
        { open: open.has(use.lora), ontoggle: (event) => open[event.target.open ? "add" : "delete"](use.lora) },
        h("summary", {}, "More"),
        slider(of("Picture"), use.video ?? 1, [0, 2, 0.05], number, set("video")),
        slider(of("Sound"), use.audio ?? 1, [0, 2, 0.05], number, set("audio")),
        slider(of("From step"), use.start ?? 0, [0, 0.95, 0.05], percent, (value) =>
          change(at, { start: value, end: Math.max(uses()[at].end ?? 1, Math.round(100 * value + 5) / 100) }),
        ),
        slider(of("Up to step"), use.end ?? 1, [0.05, 1, 0.05], percent, (value) =>
          change(at, { end: value, start: Math.min(uses()[at].start ?? 0, Math.round(100 * value - 5) / 100) }),
        ),
      );
      return h(
        "div",
        { class: "style", "data-lora": use.lora },
        lora ? clip(lora, true) : h("span", { class: "style-face", "aria-hidden": "true" }, icon("file")),
        h(
          "div",
          { class: "style-body" },
          h("div", { class: "style-head" }, h("b", {}, name), button(`Remove ${name}`, "close", () => remove(at))),
          lora || !known ? null : h("p", { class: "style-fault" }, "Import its file again, or remove it."),
          fits ? null : h("p", { class: "style-fault" }, "It is not for this model; remove it, or choose its model."),
          slider(of("Weight"), use.weight ?? 1, [-1, 2, 0.05], number, set("weight")),
          more,
        ),
      );
    };
    const chip = (word) => {
      const said = holds(field()?.value ?? "", word);
      const label = said ? `Take “${word}” out of the prompt` : `Put “${word}” into the prompt`;
      const press = () => write((said ? withoutWord : withWord)(field().value, word));
      return h(
        "button",
        { type: "button", class: "style-word", "aria-pressed": String(said), "aria-label": label, title: label, onclick: press },
        word,
        icon(said ? "close" : "plus"),
      );
    };
    const compare = async () => {
      const here = uses().filter((use) => knownOf(use));
      const key = here.map((use) => use.lora).join();
      if (key === compared) return;
      compared = key;
      const mine = (asked += 1);
      const query = new URLSearchParams(here.map((use) => ["lora", use.lora]));
      const pairs = here.length < 2 ? [] : (await api(`/loras/conflicts?${query}`).catch(() => ({ conflicts: [] }))).conflicts;
      if (mine === asked) tell(pairs);
    };
    const tell = (pairs) => {
      const size = (pair) => Math.max(Math.abs(pair.cosine), pair.overlap);
      const worst = [...pairs].sort((one, two) => size(two) - size(one))[0];
      meter.hidden = !worst;
      if (!worst) return;
      const [one, two] = [worst.one, worst.two].map((reference) => `“${known.get(reference)?.name}”`);
      const share = Math.round(100 * Math.min(1, size(worst)));
      const sentence = {
        none: "These styles leave one another alone.",
        some: `${one} and ${two} change some of the same things; lower one if the clip looks wrong.`,
        strong:
          worst.cosine < 0
            ? `${one} and ${two} work against each other; use one of them, or lower both.`
            : `${one} and ${two} push the same way; together they may be too much.`,
      }[worst.level];
      meter.dataset.level = worst.level;
      meter.replaceChildren(
        h("span", { class: "meter-bar", role: "meter", "aria-label": "Conflict of the styles", "aria-valuenow": share, "aria-valuemin": 0, "aria-valuemax": 100 }, h("i", { style: `width: ${share}%` })),
        h("span", {}, sentence),
      );
    };
    const drawWords = () => {
      studio.triggerWords = words();
      chips.replaceChildren(...studio.triggerWords.map(chip));
    };
    const draw = () => {
      list.replaceChildren(...uses().map(row));
      drawWords();
      if (known) compare();
      shelf.follow();
    };
    const shelf = studio.styleShelf({ all: () => known, uses, load, add, takeStack, clip });

    studio.importStyle = (file) =>
      attempt(async () => {
        const form = new FormData();
        form.append("file", file);
        const name = encodeURIComponent(file.name.replace(/\.safetensors$/i, "").slice(0, 80));
        const kept = await api(`/loras?name=${name}`, { method: "POST", body: form });
        await load();
        add(kept);
        toast(`“${kept.name}” is kept and in use.`);
      });
    let seen = null;
    const look = () => {
      const now = JSON.stringify([studio.form.model, words().map((word) => holds(field()?.value ?? "", word))]);
      if (now === seen) return;
      const other = seen && JSON.parse(seen)[0] !== studio.form.model;
      seen = now;
      if (other) draw();
      else drawWords();
    };
    held = told(uses());
    watch("value", () => {
      const now = told(uses());
      if (now === held) return; // a slider moved: drawing anew would take it out of the hand
      held = now;
      if (known || !uses().length) draw();
      else attempt(load);
    });
    place.replaceChildren(h("div", { class: "styles-head" }, h("h3", {}, "Styles"), opener), list, chips, meter);
    addEventListener("studio-form", look);
    draw();
    if (uses().length) attempt(load);
  }

  places.styles = mountStyles;
})();
