/* A chip of the prompt's analysis, pressed: what could stand there instead, and the prompt without it. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, api, attempt } = studio;

  /* `prompt` gives what is written now, `put` takes another. */
  studio.swapsOf = ({ prompt, put }) => {
    const box = h("div", { class: "swaps", role: "group", hidden: true });
    let wanted = 0;
    let opener = null;
    const close = () => {
      wanted += 1;
      box.hidden = true;
    };
    const leave = () => {
      close();
      opener?.focus();
    };
    const choose = (text) => {
      close();
      put(text);
    };
    const open = (entity, from) =>
      attempt(async () => {
        const mine = (wanted += 1);
        opener = from;
        const { start, end, kind, text } = entity;
        if (Array.from(prompt()).slice(start, end).join("") !== text) return close(); // typed on since it was read
        const found = await api("/prompts/swaps", { method: "POST", json: { prompt: prompt(), model: studio.form.model, start, end } });
        if (mine !== wanted) return;
        const offered = found.swaps.map((each) => button(each.phrase, null, () => choose(each.prompt), { text: true, class: "chip", title: each.prompt }));
        const away = found.without ? button("Take it out", null, () => choose(found.without), { text: true, class: "button small", title: found.without }) : null;
        if (!offered.length && !away) return close();
        box.setAttribute("aria-label", `Instead of ${text}`);
        box.replaceChildren(
          h("div", { class: "swaps-head" }, h("b", {}, `${kind[0].toUpperCase()}${kind.slice(1)}: ${text}`), away ?? "", button("Close", "close", leave)),
          h("div", { class: "chips" }, offered),
        );
        box.hidden = false;
        return undefined;
      });
    box.addEventListener("keydown", (event) => event.key === "Escape" && (event.stopPropagation(), leave()));
    return { box, open, close };
  };
})();
