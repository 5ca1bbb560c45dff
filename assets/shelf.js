/* The panel in which styles are chosen, imported and removed, and stacks of them saved and taken up again. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, api, attempt, toast } = studio;

  /* `all`, `uses`, `load`, `add`, `takeStack` and `clip` are the form's. */
  function styleShelf({ all, uses, load, add, takeStack, clip }) {
    const cards = h("div", { class: "shelf-cards" });
    const others = h("div", { class: "shelf-others" });
    let titles = new Map();
    const stacks = h("div", { class: "shelf-stacks" });
    const name = h("input", { type: "text", maxlength: "80", placeholder: "Name of this stack", "aria-label": "Name of this stack" });
    const chosen = h("input", {
      type: "file",
      accept: ".safetensors",
      class: "hidden-file",
      "aria-label": "Import a LoRA file",
      onchange: () => {
        if (chosen.files[0]) studio.importStyle(chosen.files[0]);
        chosen.value = "";
      },
    });
    const save = () =>
      attempt(async () => {
        const wanted = name.value.trim();
        if (!wanted) return void toast("Give the stack a name first.", { kind: "bad" });
        await api(`/loras/presets/${encodeURIComponent(wanted)}`, { method: "PUT", json: { uses: uses() } });
        name.value = "";
        toast(`The stack “${wanted}” is saved.`);
        await drawStacks();
      });
    const foot = h("form", { class: "shelf-save", onsubmit: (event) => (event.preventDefault(), save()) }, name, h("button", { type: "submit", class: "button" }, "Save these styles"));
    const done = () => dialog.close();
    const dialog = h(
      "dialog",
      { class: "shelf", "aria-labelledby": "shelf-title", onclick: (event) => event.target === dialog && done() },
      h(
        "div",
        { class: "shelf-sheet" },
        h("div", { class: "shelf-head" }, h("h2", { id: "shelf-title" }, "Styles"), button("Close", "close", done)),
        h("p", { class: "hint" }, "A style changes what the model draws or sounds like. Drop a .safetensors file anywhere on the page to add your own."),
        h("div", { class: "shelf-body" }, cards, others, h("h3", {}, "Saved stacks"), stacks, foot),
        h(
          "div",
          { class: "shelf-foot" },
          button("Import a file", "file", () => chosen.click(), { text: true }),
          chosen,
          button("Done", null, done, { text: true, class: "button primary" }),
        ),
      ),
    );

    const titleOf = (model) => titles.get(model) ?? model;
    /* The form's values come back from the server with the new model: what is added before that would be undone. */
    const switched = (model) =>
      new Promise((done) => {
        const look = () => {
          if (studio.form.model !== model) return;
          removeEventListener("studio-form", look);
          done();
        };
        addEventListener("studio-form", look);
        studio.bridge("select", { model });
      });
    const addElsewhere = async (lora) => {
      await switched(lora.models[0]);
      add(lora);
      drawCards();
      toast(`The model is ${titleOf(lora.models[0])} now.`);
    };

    const card = (lora) => {
      const elsewhere = !lora.models.includes(studio.form.model);
      const used = !elsewhere && uses().some((use) => use.lora === lora.reference);
      const words = lora.trigger_words.length ? `Trigger word: ${lora.trigger_words.join(", ")}` : "No trigger word";
      const forget = () =>
        attempt(async () => {
          await api(`/loras/${encodeURIComponent(lora.reference)}`, { method: "DELETE" });
          await load();
          drawCards();
        });
      return h(
        "div",
        { class: "shelf-card", "data-lora": lora.reference },
        clip(lora, false),
        h("b", {}, lora.name),
        lora.description ? h("p", {}, lora.description) : null,
        h("small", {}, words),
        h(
          "div",
          { class: "shelf-act" },
          elsewhere
            ? button(`Add, with ${titleOf(lora.models[0])}`, null, () => addElsewhere(lora), { text: true, "aria-label": `Add ${lora.name}, with ${titleOf(lora.models[0])}` })
            : button(used ? "In use" : "Add", null, () => (add(lora), drawCards()), { text: true, disabled: used, "aria-label": used ? `${lora.name} is in use` : `Add ${lora.name}` }),
          lora.is_shipped ? null : button(`Forget ${lora.name}`, "trash", forget),
        ),
      );
    };
    const drawCards = () => {
      const every = [...(all()?.values() ?? [])];
      const here = every.filter((lora) => lora.models.includes(studio.form.model));
      const rest = every.filter((lora) => lora.models.length && !here.includes(lora));
      cards.replaceChildren(...(here.length ? here.map(card) : [h("p", { class: "hint" }, "There are no styles for this model yet.")]));
      others.replaceChildren(...(rest.length ? [h("h3", {}, "For other models"), h("div", { class: "shelf-cards" }, ...rest.map(card))] : []));
      foot.hidden = !uses().length;
    };
    const drawStacks = async () => {
      const { presets } = await api("/loras/presets");
      const take = (preset) => () => {
        takeStack(preset);
        drawCards();
      };
      const forget = (preset) => () =>
        attempt(async () => {
          await api(`/loras/presets/${encodeURIComponent(preset.name)}`, { method: "DELETE" });
          await drawStacks();
        });
      const stack = (preset) =>
        h(
          "span",
          { class: "shelf-stack" },
          h("button", { type: "button", class: "chip", onclick: take(preset) }, h("span", {}, preset.name)),
          button(`Forget the stack ${preset.name}`, "close", forget(preset)),
        );
      stacks.replaceChildren(...(presets.length ? presets.map(stack) : [h("p", { class: "hint" }, "None yet: add some styles, then save them here.")]));
    };
    const open = () =>
      attempt(async () => {
        const [models] = await Promise.all([api("/models"), load()]);
        titles = new Map(models.map((model) => [model.id, model.title]));
        drawCards();
        await drawStacks();
        if (!dialog.isConnected) document.body.append(dialog);
        dialog.showModal();
      });
    return { open, follow: () => dialog.open && drawCards() };
  }

  studio.styleShelf = styleShelf;
})();
