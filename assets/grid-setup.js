/* What a grid shall vary: one or two settings with their values, or several takes of which the best is kept. What comes of it, and
   what is wrong, the studio says before anything is queued. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, api, words, Failure } = studio;
  const MOST_SEED = 1e6; // short enough to be read as a head
  const draw = (count) => Array.from({ length: count }, () => Math.floor(Math.random() * MOST_SEED));
  const parts = (text, mark) => text.split(mark).map((part) => part.trim()).filter(Boolean);
  const bounded = (value, low, high) => Math.min(high, Math.max(low, Math.round(Number(value)) || low));

  /* The weights of the styles in the stack are settings of their own. */
  function settingsOf(told, body) {
    const lacks = told.lacks[body.model] ?? [];
    const plain = told.varied.filter((each) => !lacks.includes(each.field));
    const weights = body.loras.map((use) => ({
      field: use.lora,
      title: `Weight of ${studio.styleName?.(use.lora) ?? "a style"}`,
      kind: "numbers",
      suggested: [0, 0.5, 1],
    }));
    return [...plain.slice(0, 6), ...weights, ...plain.slice(6)];
  }

  function suggestion(setting, body) {
    if (setting.suggested) return setting.suggested;
    const value = body[setting.field];
    if (typeof value !== "number") return [];
    if (setting.field === "num_inference_steps") return [Math.max(1, Math.round(value / 3)), value];
    if (setting.field.endsWith("guidance_scale")) return [...new Set([1, value, 2 * value])].sort((a, b) => a - b);
    return [value];
  }

  /* The values of one setting: seeds that can be drawn, lines, chips to choose from, or numbers. */
  function valuesOf(setting, body, changed) {
    const label = `Values of ${setting.title}`;
    if (setting.field === "seed") {
      const count = h("input", { type: "number", class: "text", min: "1", max: "16", value: "4", "aria-label": "How many seeds to draw" });
      const seeds = h("textarea", { class: "text", rows: "2", inputmode: "numeric", "aria-label": label, value: draw(4).join(", "), oninput: changed });
      const press = button("Draw", "reuse", () => {
        count.value = bounded(count.value, 1, 16);
        seeds.value = draw(Number(count.value)).join(", ");
        changed();
      }, { text: true, class: "button small" });
      return { parts: [h("div", { class: "xy-seeds" }, count, press, seeds), h("p", { class: "hint" }, "Seeds of your own, with commas, or some drawn at random.")], read: () => parts(seeds.value, ",") };
    }
    if (setting.kind === "texts") {
      const start = body[setting.field] ? `${body[setting.field].replaceAll("\n", " ")}\n` : "";
      const lines = h("textarea", { class: "text", rows: "4", "aria-label": label, value: start, oninput: changed });
      return { parts: [lines, h("p", { class: "hint" }, "One a line.")], read: () => parts(lines.value, "\n") };
    }
    if (setting.kind === "choices") {
      const chosen = new Set(setting.choices.map(([, value]) => value));
      const chip = ([text, value]) => {
        const press = h("button", {
          type: "button", class: "chip", "aria-pressed": "true",
          onclick: () => {
            chosen[chosen.has(value) ? "delete" : "add"](value);
            press.setAttribute("aria-pressed", String(chosen.has(value)));
            changed();
          },
        }, text);
        return press;
      };
      return {
        parts: [h("div", { class: "chips", role: "group", "aria-label": label }, setting.choices.map(chip))],
        read: () => setting.choices.map(([, value]) => value).filter((value) => chosen.has(value)),
      };
    }
    const numbers = h("input", { type: "text", class: "text", inputmode: "decimal", "aria-label": label, value: suggestion(setting, body).join(", "), placeholder: "1, 3, 5", oninput: changed });
    return { parts: [numbers, h("p", { class: "hint" }, "Numbers, with commas.")], read: () => parts(numbers.value, ",") };
  }

  /* One axis: which setting, and its values. */
  function axis(title, settings, body, { first, none, changed }) {
    const place = h("div", { class: "xy-values" });
    let values = null;
    const select = h(
      "select", { class: "text", "aria-label": title, onchange: () => choose() },
      none ? h("option", { value: "" }, "Nothing") : null,
      settings.map((each) => h("option", { value: each.field, selected: each.field === first }, each.title)),
    );
    const choose = () => {
      const setting = settings.find((each) => each.field === select.value);
      values = setting ? valuesOf(setting, body, changed) : null;
      place.replaceChildren(...(values?.parts ?? []));
      changed();
    };
    const element = h("fieldset", { class: "xy-axis" }, h("legend", {}, title), select, place);
    return { element, choose, read: () => (values ? { field: select.value, values: values.read() } : null) };
  }

  /* The API's sentence with the form's names for its fields. */
  function inWords(message, settings) {
    const short = (field) => (field.startsWith("lora:") ? field.slice(0, 17) : field);
    const said = settings.reduce((text, each) => text.replaceAll(short(each.field), each.title), message.replace(/^axes(: | )/, ""));
    return said[0].toUpperCase() + said.slice(1);
  }

  /* `body` is the form's request, `judged` what is measured on its clips; `make` gets what to hand in, and the measurement whose best is
     kept, if any. */
  studio.gridSetup = (told, body, judged, make) => {
    const settings = settingsOf(told, body);
    const note = h("p", { class: "xy-note", role: "status" });
    const submit = button("Make the grid", "grid", () => press(), { text: true, class: "button primary xy-make", disabled: true });
    let timer = 0, turn = 0, takes = false;
    const changed = () => {
      clearTimeout(timer);
      turn += 1;
      submit.disabled = true;
      timer = setTimeout(plan, 250);
    };
    const across = axis("Vary across", settings, body, { first: "seed", changed });
    const down = axis("Vary down", settings, body, { none: true, changed });
    const count = h("input", { type: "number", class: "text", min: "2", max: "16", value: "4", id: "xy-takes", oninput: changed });
    const metric = h("select", { class: "text", id: "xy-by" }, judged.map((each) => h("option", { value: each.name, selected: each.name === "semantic.match" }, each.title)));
    const axes = h("div", { class: "xy-axes" }, across.element, down.element);
    const best = h(
      "div", { class: "xy-best", hidden: true },
      h("label", { for: "xy-takes" }, "Takes"), count, h("label", { for: "xy-by" }, "keep the best by"), metric,
      h("p", { class: "hint" }, "The same prompt and settings with a new seed each. The best becomes a favourite, the others stay in the Library."),
    );
    const mode = (name, on) => h("button", { type: "button", class: "xy-mode", role: "radio", "aria-checked": String(on), onclick: () => turnTo(name) }, name);
    const modes = h("div", { class: "xy-modes", role: "radiogroup", "aria-label": "What to make" }, mode("Grid", true), mode("Best of n", false));
    const turnTo = (name) => {
      takes = name !== "Grid";
      [...modes.children].forEach((each) => each.setAttribute("aria-checked", String(each.textContent === name)));
      axes.hidden = takes;
      rest.hidden = takes;
      best.hidden = !takes;
      submit.lastChild.textContent = takes ? "Make the takes" : "Make the grid";
      changed();
    };
    let seeds = [];
    const asked = () => {
      if (takes) {
        const wanted = bounded(count.value, 2, 16);
        if (seeds.length !== wanted) seeds = draw(wanted);
        return { request: body, axes: [{ field: "seed", values: seeds }] };
      }
      return { request: body, axes: [down.read(), across.read()].filter(Boolean) };
    };
    const empty = (wanted) => wanted.axes.find((each) => !each.values.length);
    async function plan() {
      const mine = turn, wanted = asked(), lacking = empty(wanted);
      const say = (text, bad) => {
        note.textContent = text;
        note.classList.toggle("bad", bad);
      };
      if (lacking) return say(`Say at least one value of ${settings.find((each) => each.field === lacking.field).title}.`, true);
      try {
        const found = await api("/grids/plan", { method: "POST", json: wanted });
        if (mine !== turn) return undefined;
        const sides = wanted.axes.map((each) => each.values.length).join(" × ");
        const clips = `${sides.includes("×") ? `${sides} = ` : ""}${found.clips} ${found.clips === 1 ? "clip" : "clips"}`;
        const time = found.seconds === null ? "how long is told once the first clip is made" : `about ${words.seconds(found.seconds)}`;
        say(`${clips}, ${time}${found.waiting ? `, after ${found.waiting} that ${found.waiting === 1 ? "waits" : "wait"}` : ""}.`, false);
        submit.disabled = false;
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (mine === turn) say(inWords(error.message, settings), true);
      }
      return undefined;
    }
    async function press() {
      submit.disabled = true;
      await make(asked(), takes ? metric.value : null);
      submit.disabled = false;
    }
    across.choose();
    down.choose();
    const shared = body.seed === null ? "all clips share one seed, drawn now, unless you vary it" : `all have the seed ${body.seed}, unless you vary it`;
    const rest = h("p", { class: "hint" }, `Everything else is as the form says; ${shared}.`);
    return h(
      "div", { class: "xy-setup" },
      modes, axes, best, rest,
      h("div", { class: "xy-go" }, note, submit),
    );
  };
})();
